"""What a firm's back-end places trades with: a call for each, batches on the wire."""

from libs.backend.backend import BackEnd
from libs.backend.errors import InDoubt, NotPlaced

__all__ = ["BackEnd", "InDoubt", "NotPlaced"]
