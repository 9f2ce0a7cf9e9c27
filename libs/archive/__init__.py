"""Old months of a table, taken out of the database into files that anyone can read and check."""

from libs.archive.archiving import Archivable, Archiving, Candidate, Left
from libs.archive.files import Damaged, Manifest, check

__all__ = ["Archivable", "Archiving", "Candidate", "Damaged", "Left", "Manifest", "check"]
