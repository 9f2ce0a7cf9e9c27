"""Merkle trees as in RFC 6962, section 2.1: one hash stands for any number of leaves in order.

That a leaf is among them takes only a path of log2(n) hashes to show.
"""

from collections.abc import Sequence
from hashlib import sha256

_EMPTY = sha256().digest()


class Tree:
    """Leaves added one by one; keeps log2(n) hashes of them."""

    def __init__(self) -> None:
        self._peaks: list[bytes] = []  # roots of full trees, the largest first
        self.leaf_count = 0

    def add(self, leaf: bytes) -> None:
        """Append a leaf."""
        top = _leaf(leaf)
        full = self.leaf_count
        while full & 1:
            top = _node(self._peaks.pop(), top)
            full >>= 1
        self._peaks.append(top)
        self.leaf_count += 1

    def root(self) -> bytes:
        """Of the leaves so far."""
        if not self._peaks:
            return _EMPTY
        top = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            top = _node(peak, top)
        return top


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Of all leaves, in order."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def path_to(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What shows that `leaves[index]` is among them: the hashes beside its way up, lowest first."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    path = []
    level = [_leaf(leaf) for leaf in leaves]
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        above = [_node(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level, index = above, index // 2
    return path


def root_from(leaf: bytes, path: Sequence[bytes], *, index: int, leaf_count: int) -> bytes | None:
    """The root that `path` leads to from the leaf at `index` of `leaf_count`.

    None if no such tree has a path of this length. The leaf is proven where the root is the one
    that was signed.
    """
    if not 0 <= index < leaf_count:
        return None
    top, last = _leaf(leaf), leaf_count - 1
    steps = iter(path)
    while last:
        if index % 2 or index < last:
            beside = next(steps, None)
            if beside is None:
                return None
            top = _node(beside, top) if index % 2 else _node(top, beside)
        index, last = index // 2, last // 2
    return None if next(steps, None) is not None else top


def _leaf(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
