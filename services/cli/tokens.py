"""Tokens for the calls of the command line, made with the house's own development key."""

from pathlib import Path

from services.cli.failures import ExitCode, Failure
from services.cli.house_file import read_house
from services.cli.settings import Settings

OPERATOR = "operator"
_CALL_SECONDS = 3600


def customer_token(settings: Settings, customer: str, seconds: int = _CALL_SECONDS) -> str:
    """A customer's token, good for `seconds`. Failure without the key."""
    return make_token(settings, customer, "customer", seconds)


def operator_token(settings: Settings, name: str = OPERATOR, seconds: int = _CALL_SECONDS) -> str:
    """An operator's token, good for `seconds`. Failure without the key."""
    return make_token(settings, name, "operator", seconds)


def check_subject(settings: Settings, option: str, name: str | None) -> None:
    """Failure where STOCKBROKER_TOKEN is another's than the `name` that `option` gives."""
    if not settings.token or name is None:
        return
    import jwt

    try:
        # Not verified here: the house does. What cannot be read, it refuses.
        subject = jwt.decode(settings.token, options={"verify_signature": False}).get("sub")
    except jwt.InvalidTokenError:
        return
    if subject != name:
        raise Failure(
            f"the token in STOCKBROKER_TOKEN is that of {subject}, and {option} says {name!r}; "
            "leave one of them out",
            ExitCode.USAGE,
        )


def make_token(settings: Settings, subject: str, role: str, seconds: int) -> str:
    """A token; `role`: customer, operator or back-end. Failure without the key."""
    from libs.auth import SUBJECT, Role, Signer  # slow to import

    if not SUBJECT.fullmatch(subject):
        raise Failure(
            f"{subject!r} cannot be who calls: 1 to 64 of A-Z, a-z, 0-9, underscore and hyphen",
            ExitCode.USAGE,
        )
    key_file = Path(read_house(settings).signing_key_file)
    try:
        signer = Signer(key_file)
    except (OSError, ValueError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Failure(
            f"the signing key {key_file} cannot be read ({why}); "
            "set STOCKBROKER_TOKEN to a token instead",
            ExitCode.FAULT,
        ) from None
    return signer.mint(subject, Role[role.upper().replace("-", "_")], seconds)
