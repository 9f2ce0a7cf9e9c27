"""The spelling of rows written down once more, plainly, as `libs.proof.forms` describes it."""

from hashlib import sha256


def spelled(tag: str, *parts: int | str | bytes | None) -> bytes:
    """SHA-256 of a row: integers, then texts (None: absent), then hashes, as the rows have them."""
    integers = [part for part in parts if isinstance(part, int)]
    texts = [part for part in parts if part is None or isinstance(part, str)]
    hashes = [part for part in parts if isinstance(part, bytes)]
    row = tag.encode() + b"\0"
    for number in integers:
        row += number.to_bytes(8, "big", signed=True)
    for text in texts:
        length = -1 if text is None else len(text.encode())
        row += length.to_bytes(4, "big", signed=True)
    for text in texts:
        row += (text or "").encode()
    return sha256(row + b"".join(hashes)).digest()
