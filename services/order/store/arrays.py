"""Columns of a batch as arrays."""

from libs.postgres.arrays import Bigints, Moments, Octets, Texts

__all__ = ["Bigints", "Moments", "Octets", "Texts"]
