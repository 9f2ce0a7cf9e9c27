"""What a running house leaves in its data folder for others: addresses and the signing key."""

from pathlib import Path

import msgspec

from services.cli.failures import ExitCode, Failure
from services.cli.settings import Settings

NAME = "house.json"


class House(msgspec.Struct, frozen=True, kw_only=True):
    """`house.json`, as far as the command line reads it. Addresses are host:port."""

    public: str
    operators: str
    signing_key_file: str
    services: dict[str, str] = {}
    orders: dict[str, str] = {}  # all processes of the order service
    workers: dict[str, str] = {}  # and of execution
    parts: dict[str, str] = {}
    databases: dict[str, str] = {}


def read_house(settings: Settings) -> House:
    """The house of the data folder. Failure when none has been started there."""
    path = Path(settings.data_folder) / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=House)
    except FileNotFoundError:
        raise Failure(
            f"the house is not running: there is no {path}; `make up` starts it "
            "(STOCKBROKER_DATA_FOLDER names another folder)",
            ExitCode.UNREACHABLE,
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(
            f"{path} is not what the house writes ({error}); `make up` writes it anew",
            ExitCode.FAULT,
        ) from None
