"""One hash stands for many leaves, and a short path shows that a leaf is among them."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.proof.merkle import Tree, path_to, root_from, root_of

# The leaves and roots that Certificate Transparency tests its own trees with.
LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

forests = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def plain_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + plain_root(leaves[:half]) + plain_root(leaves[half:])).digest()


@pytest.mark.parametrize("count", ROOTS)
def test_roots_are_those_of_certificate_transparency(count: int) -> None:
    assert root_of(LEAVES[:count]).hex() == ROOTS[count]


@given(forests)
def test_a_tree_grown_leaf_by_leaf_has_the_root_of_the_definition(leaves: list[bytes]) -> None:
    tree = Tree()
    for count, leaf in enumerate(leaves, start=1):
        tree.add(leaf)
        assert tree.leaf_count == count
        assert tree.root() == plain_root(leaves[:count])


@given(forests, st.data())
def test_the_path_of_a_leaf_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(leaves) - 1))
    path = path_to(leaves, at)
    assert root_from(leaves[at], path, index=at, leaf_count=len(leaves)) == root_of(leaves)
    assert len(path) <= (len(leaves) - 1).bit_length()


@given(forests, st.data())
def test_a_changed_leaf_or_path_leads_elsewhere(leaves: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(leaves) - 1))
    leaf, path = leaves[at], path_to(leaves, at)
    what = data.draw(st.sampled_from(["leaf", "longer", "shorter", "step"]))
    if what == "leaf" or not path:
        leaf += b"!"
    elif what == "longer":
        path.append(bytes(32))
    elif what == "shorter":
        path.pop()
    else:
        step = data.draw(st.integers(0, len(path) - 1))
        path[step] = sha256(path[step]).digest()
    assert root_from(leaf, path, index=at, leaf_count=len(leaves)) != root_of(leaves)


@pytest.mark.parametrize(("index", "leaf_count"), [(-1, 3), (-1, 1), (3, 3), (0, 0), (0, -1)])
def test_there_is_no_root_from_outside_the_tree(index: int, leaf_count: int) -> None:
    assert root_from(b"leaf", [], index=index, leaf_count=leaf_count) is None


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_path_to_a_leaf_outside_the_tree(index: int) -> None:
    with pytest.raises(IndexError):
        path_to([b"a", b"b", b"c"], index)
