"""Files that are there whole, and for good, or not at all."""

import os
from pathlib import Path


def put(unfinished: Path, path: Path) -> None:
    """A file that is on disk already comes under its name, in place of one that was there."""
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
