"""Finds what is there twice among any number of ids, in bounded memory."""

import tempfile
from struct import Struct

_BUCKETS = 64
_BUCKET_BYTES_IN_MEMORY = 1 << 20  # more is kept in a temporary file
_ROW = Struct(">16s q")


class Once:
    """Ids and the lines they stand on."""

    def __init__(self) -> None:
        self._buckets = [
            tempfile.SpooledTemporaryFile(max_size=_BUCKET_BYTES_IN_MEMORY)  # noqa: SIM115
            for _ in range(_BUCKETS)
        ]

    def add(self, id_: bytes, line: int) -> None:
        """`id_`: 16 bytes."""
        self._buckets[hash(id_) % _BUCKETS].write(_ROW.pack(id_, line))

    def first_repeated(self) -> tuple[bytes, int, int] | None:
        """The first id that comes again, the line it stood on, and the line it comes again on."""
        found = [again for bucket in range(_BUCKETS) if (again := self._repeated(bucket))]
        return min(found, key=lambda again: again[2], default=None)

    def close(self) -> None:
        """Let go of the files."""
        for bucket in self._buckets:
            bucket.close()

    def _repeated(self, bucket: int) -> tuple[bytes, int, int] | None:
        file = self._buckets[bucket]
        file.seek(0)
        lines: dict[bytes, int] = {}
        for id_, line in _ROW.iter_unpack(file.read()):
            before = lines.setdefault(id_, line)
            if before != line:
                return id_, before, line
        return None
