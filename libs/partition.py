"""Which of the 128 partitions a customer belongs to.

The partition is fixed for ever: work is spread by moving partitions between workers, never by
moving customers between partitions.
"""

from functools import lru_cache

PARTITIONS = 128
_MOST_REMEMBERED = 1 << 17

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


def fnv1a32(octets: bytes) -> int:
    """The 32-bit FNV-1a hash, 0 to 2**32 - 1.

    >>> hex(fnv1a32(b"")), hex(fnv1a32(b"foobar"))
    ('0x811c9dc5', '0xbf9cf968')
    """
    value = _FNV_OFFSET
    for octet in octets:
        value = ((value ^ octet) * _FNV_PRIME) & 0xFFFFFFFF
    return value


@lru_cache(_MOST_REMEMBERED)
def partition_of(customer_id: str) -> int:
    """The customer's partition, 0 to 127.

    >>> partition_of("alice")
    103
    """
    return fnv1a32(customer_id.encode()) % PARTITIONS
