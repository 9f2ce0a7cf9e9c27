"""Which execution a transfer is about: the fill itself, or what an operator corrects it by."""

import re

from services.ledger.domain.books import Kind

# What an operator's transfer says first to compensate for a fill that is booked wrong, or not.
_CORRECTION = re.compile(r"break ([A-Za-z0-9_.-]{1,32})/([!-~]{1,128})( .*)?")


def execution_named(*, kind: str, reference: str) -> tuple[str, str] | None:
    """Venue and execution id; None: it is about none.

    >>> execution_named(kind="execution", reference="XSIM/XSIM-1-7")
    ('XSIM', 'XSIM-1-7')
    >>> execution_named(kind="transfer", reference="break XSIM/XSIM-1-7 the fill of Monday")
    ('XSIM', 'XSIM-1-7')
    >>> execution_named(kind="transfer", reference="rent")
    """
    if kind == Kind.EXECUTION:
        venue, _, execution_id = reference.partition("/")
        return (venue, execution_id)
    found = _CORRECTION.fullmatch(reference) if kind == Kind.TRANSFER else None
    return (found[1], found[2]) if found else None
