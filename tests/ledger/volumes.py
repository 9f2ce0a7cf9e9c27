"""Small volumes to be filled to the last byte."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_BLOCK = b"\0" * (64 << 10)


class Volume:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave nothing free."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while file.write(_BLOCK):
                pass

    def relieve(self) -> None:
        """Give all of that back."""
        self._ballast.unlink()

    def write_no_more(self) -> None:
        """What is there can be read, and nothing written."""
        remount = ["mount", "-o", "remount,ro", str(self.folder)]
        subprocess.run(remount, capture_output=True, check=True)


@contextlib.contextmanager
def a_volume(folder: Path, *, megabytes: int) -> Iterator[Volume]:
    """Mounted on `folder`. Skips the test where that may not be done."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small volume")
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small volume cannot be mounted here: {done.stderr.strip()}")
    try:
        yield Volume(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def move_wal(data: Path, *, to: Path) -> None:
    """Keep the log of changes on another volume than the data; before the first start."""
    owner = data.stat()
    shutil.copytree(data / "pg_wal", to)
    for path in (to, *to.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    shutil.rmtree(data / "pg_wal")
    (data / "pg_wal").symlink_to(to)
