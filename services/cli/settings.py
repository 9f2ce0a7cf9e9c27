"""The command line's settings: they say which house it talks to, and as whom."""

from typing import Annotated

import msgspec

from libs.settings import load_or_exit


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from the environment; options of a command come before them."""

    data_folder: Annotated[
        str,
        msgspec.Meta(
            min_length=1, description="The house's data folder: addresses and the signing key."
        ),
    ] = ".stockbroker"
    public_address: Annotated[
        str, msgspec.Meta(description="Customers' listener, host:port; empty: the data folder's.")
    ] = ""
    operators_address: Annotated[
        str, msgspec.Meta(description="Operators' listener, host:port; empty: the data folder's.")
    ] = ""
    token: Annotated[
        str,
        msgspec.Meta(
            description="Token sent with every call; empty: one is minted.", pattern="^[!-~]*$"
        ),
    ] = ""
    customer: Annotated[
        str, msgspec.Meta(description="Who calls when --as is not given.", min_length=1)
    ] = "alice"


def settings() -> Settings:
    """The settings, or the end of the process with status 2 and a sentence."""
    return load_or_exit(Settings)
