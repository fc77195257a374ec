"""The Merkle tree: RFC 6962's reference tree, and proofs for every tree up to some size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vault.audit.chain import leaf_hash
from vault.audit.tree import (
    EMPTY_ROOT,
    Leaves,
    ProofRejected,
    Tree,
    check_consistency,
    check_inclusion,
    node_hash,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "rfc6962.json").read_text())
REFERENCE = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
MANY = [leaf_hash(str(number).encode()) for number in range(33)]


def hashes(texts):
    return [bytes.fromhex(text) for text in texts]


def naive_root(leaves):
    """MTH as RFC 6962 writes it."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_the_reference_tree(size):
    assert Tree.of(REFERENCE[:size]).root() == ROOTS[size]
    assert naive_root(REFERENCE[:size]) == ROOTS[size]


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: f"{vector['index']} of {vector['size']}")
def test_the_paths_of_the_reference_tree(vector):
    path = hashes(vector["path"])
    assert Leaves(Tree(), REFERENCE[: vector["size"]]).inclusion(vector["index"]) == path
    check_inclusion(REFERENCE[vector["index"]], vector["index"], vector["size"], path, ROOTS[vector["size"]])


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: f"{vector['older']} in {vector['size']}")
def test_the_consistency_proofs_of_the_reference_tree(vector):
    older, size, proof = vector["older"], vector["size"], hashes(vector["proof"])
    assert Leaves(Tree(), REFERENCE[:size]).consistency(older) == proof
    check_consistency(older, ROOTS[older], size, ROOTS[size], proof)


def test_every_leaf_of_every_tree_is_proven_and_nothing_else_is():
    for size in range(1, len(MANY) + 1):
        root, leaves = naive_root(MANY[:size]), Leaves(Tree(), MANY[:size])
        for index in range(size):
            path = leaves.inclusion(index)
            check_inclusion(MANY[index], index, size, path, root)
            wrong = [
                (leaf_hash(b"another"), index, size, path),
                (MANY[index], index + 1, size, path),
                (MANY[index], index - 1, size, path),
                (MANY[index], index, index, path),
                (MANY[index], index, size, [*path, MANY[0]]),
                *([(MANY[index], index, size, path[:-1])] if path else []),
                *([(MANY[index], index, size, [bytes(32), *path[1:]])] if path else []),
            ]
            for each in wrong:
                with pytest.raises(ProofRejected):
                    check_inclusion(*each, root)


def test_every_beginning_of_every_tree_is_proven_and_nothing_else_is():
    for size in range(1, len(MANY) + 1):
        root, leaves = naive_root(MANY[:size]), Leaves(Tree(), MANY[:size])
        for older in range(1, size):
            proof, older_root = leaves.consistency(older), naive_root(MANY[:older])
            check_consistency(older, older_root, size, root, proof)
            for wrong in (
                (older, bytes(32), size, root, proof),
                (older, older_root, size, bytes(32), proof),
                (older, older_root, size, root, proof[:-1]),
                (older, older_root, size, root, [*proof, MANY[0]]),
                (size, root, older, older_root, proof),
            ):
                with pytest.raises(ProofRejected):
                    check_consistency(*wrong)


@pytest.mark.parametrize("begin", [1, 2, 3, 7, 8, 12, 20])
def test_a_tree_goes_on_from_its_peaks_alone(begin):
    """What was archived needs not be at hand: later leaves are proven without it."""
    before = Tree.of(MANY[:begin])
    tree = Tree(before.size, before.peaks)
    for leaf in MANY[begin:]:
        tree.append(leaf)
    assert tree.root() == naive_root(MANY)
    leaves = Leaves(before, MANY[begin:])
    for index in range(begin, len(MANY)):
        check_inclusion(MANY[index], index, len(MANY), leaves.inclusion(index), tree.root())
    with pytest.raises(ValueError, match="not at hand"):
        leaves.inclusion(begin - 1)


@pytest.mark.parametrize(("size", "peaks"), [(1, []), (3, [bytes(32)]), (2, [bytes(31)]), (-1, [])])
def test_peaks_that_are_not_those_of_the_size_are_refused(size, peaks):
    with pytest.raises(ValueError, match="not the peaks"):
        Tree(size, peaks)
