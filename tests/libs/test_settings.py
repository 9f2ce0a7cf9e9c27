from typing import Annotated

import msgspec
import pytest

from libs.settings import InvalidSettings, load


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:0"
    size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    secret: str


def test_a_setting_comes_from_the_environment_or_its_default() -> None:
    settings = load(_Settings, {"STOCKBROKER_SECRET": "s", "STOCKBROKER_SIZE": "7", "SIZE": "1"})
    assert settings == _Settings(listen="127.0.0.1:0", size=7, secret="s")


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({}, "STOCKBROKER_SECRET"),
        ({"STOCKBROKER_SECRET": "s", "STOCKBROKER_SIZE": "0"}, "STOCKBROKER_SIZE"),
        ({"STOCKBROKER_SECRET": "s", "STOCKBROKER_SIZE": "many"}, "STOCKBROKER_SIZE"),
        *(
            ({"STOCKBROKER_SECRET": "s", "STOCKBROKER_LISTEN": address}, "STOCKBROKER_LISTEN: .*")
            for address in ("nonsense", "127.0.0.1", ":80", "127.0.0.1:65536", "[::1]:-1", "a:1x")
        ),
        (
            {"STOCKBROKER_SECRET": "s", "STOCKBROKER_LISTEN": "http://127.0.0.1:80"},
            "STOCKBROKER_LISTEN: .*",
        ),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], variable: str) -> None:
    with pytest.raises(InvalidSettings, match=variable):
        load(_Settings, environment)
