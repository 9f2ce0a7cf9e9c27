"""Columns of a batch as arrays."""

from libs.postgres.arrays import Bigints, Moments, Octets, Packed, Texts

__all__ = ["Bigints", "Moments", "Octets", "Packed", "Texts"]
