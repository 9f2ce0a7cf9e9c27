"""Page tokens that only this house can make: where a list goes on, sealed with a key.

A token is good for one scope: the list it was made for, with its filters and its owner. It is not
secret, only unforgeable; a client must treat it as opaque.
"""

import base64
import binascii
import hashlib
import hmac

from libs.refusals import Invalid
from stockbroker.common.v1.reason_pb2 import Reason

_SEAL_BYTES = 16
_MAX_CHARACTERS = 1024


class PageTokens:
    """Seals and opens tokens. All processes that serve the same list share one `key`."""

    def __init__(self, key: bytes) -> None:
        """`key`: at least 16 secret bytes. Raises ValueError when shorter."""
        if len(key) < _SEAL_BYTES:
            raise ValueError(f"a page token key needs at least {_SEAL_BYTES} bytes")
        self._key = key

    def seal(self, scope: str, position: str) -> str:
        """A token for `position` in the list `scope`.

        >>> tokens = PageTokens(bytes(range(16)))
        >>> tokens.open("entries/alice", tokens.seal("entries/alice", "17"))
        '17'
        """
        content = position.encode()
        return base64.urlsafe_b64encode(self._mac(scope, content) + content).decode().rstrip("=")

    def open(self, scope: str, token: str) -> str:
        """The position. Raises Invalid (INVALID_PAGE_TOKEN) unless made by `seal(scope, ...)`."""
        raw = _decode(token)
        mac, content = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(mac, self._mac(scope, content)):
            raise _invalid()
        return content.decode()

    def _mac(self, scope: str, content: bytes) -> bytes:
        # The scope's length keeps scope and position apart.
        label = scope.encode()
        message = len(label).to_bytes(4, "big") + label + content
        return hmac.digest(self._key, message, hashlib.sha256)[:_SEAL_BYTES]


def _decode(token: str) -> bytes:
    if len(token) > _MAX_CHARACTERS:
        raise _invalid()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    # One position has one spelling: the unused bits of the last character must be zero.
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        raise _invalid()
    return raw


def _invalid() -> Invalid:
    return Invalid(
        Reason.REASON_INVALID_PAGE_TOKEN,
        "page_token is not one that was given for this request",
        field="page_token",
    )
