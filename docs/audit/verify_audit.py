"""Verify an export of Panless's audit log without Panless: standard library and `cryptography` only.

    python verify_audit.py EXPORT KEYS [ANCHOR ...]

EXPORT is the folder that `panless audit export` wrote: `events.jsonl`, `checkpoints` and, if the log begins later,
`start.json`. KEYS holds verifier keys, one a line, as `panless keys public` printed them when they were trusted. An
ANCHOR is a file of checkpoints that were kept outside the database. Exit code 0: whole and unchanged; 1: it is not.

What it relies on: the hash of an event is SHA-256(0x00 | line); the hashes are the leaves of a Merkle tree (RFC 6962);
checkpoints (C2SP tlog-checkpoint) name size and root of the tree and are signed with Ed25519 (C2SP signed-note); every
event names its chain, its number there, and the hash of the one before it.
"""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A Merkle tree that grows: the roots of its perfect subtrees, the largest first."""

    def __init__(self, size=0, peaks=()):
        self.size, self.peaks = size, list(peaks)
        if size.bit_count() != len(self.peaks) or any(len(peak) != 32 for peak in self.peaks):
            raise ValueError("start.json does not fit together")

    def append(self, leaf):
        size = self.size
        while size & 1:
            leaf = node(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            root = node(peak, root)
        return root


class Key:
    """A verifier key: NAME+HASH+BASE64(0x01 | public key)."""

    def __init__(self, line):
        self.name, _, rest = line.strip().partition("+")
        key = base64.b64decode(rest.partition("+")[2], validate=True)
        if key[:1] != b"\x01" or len(key) != 33:
            raise ValueError("a line of the keys is no Ed25519 verifier key")
        self.hash = hashlib.sha256(self.name.encode() + b"\n" + key).digest()[:4]
        if self.hash.hex() != rest.partition("+")[0]:
            raise ValueError("a verifier key has another hash than it says")
        self.public = Ed25519PublicKey.from_public_bytes(key[1:])

    def has_signed(self, text, signatures):
        for line in signatures.splitlines():
            dash, _, rest = line.partition(" ")
            name, _, box = rest.partition(" ")
            try:
                signature = base64.b64decode(box, validate=True)
                if dash == "\u2014" and name == self.name and signature[:4] == self.hash:
                    self.public.verify(signature[4:], text.encode())
                    return True
            except (ValueError, InvalidSignature):
                continue
        return False


def checkpoints(path, keys, findings):
    """Return (origin, size, root) of every checkpoint of a file that one of the keys has signed."""
    blocks = [block.strip("\n") for block in re.split(r"\n{2,}", Path(path).read_text("utf-8")) if block.strip("\n")]
    found = []
    for text, signatures in zip(blocks[::2], [*blocks[1::2], ""]):
        origin, size, root = text.split("\n")[:3]
        if any(key.has_signed(text + "\n", signatures) for key in keys):
            found.append((origin, int(size), base64.b64decode(root, validate=True)))
        else:
            findings.append(f"unsigned: no given key has signed the checkpoint of size {size} in {path}")
    if not blocks:
        findings.append(f"unsigned: there is no checkpoint in {path}")
    return found


class Chains:
    """The chains of the events: they say where something was done; that something was done, the roots say."""

    def __init__(self, whole, findings):
        self.whole, self.findings = whole, findings
        self.heads, self.missing = {}, {}

    def follow(self, event, leaf):
        chain, seq, prev = event["chain"], event["seq"], event["prev"]
        last, last_hash = self.heads.get(chain, (0, bytes(32)) if self.whole else (seq - 1, None))
        if seq <= last:
            if seq in self.missing.get(chain, ()):
                self.missing[chain].discard(seq)
                self.findings.append(f"reordered: chain {chain} event {seq} stands after a later one")
            else:
                self.findings.append(f"inserted: chain {chain} has another event {seq}")
            return
        if seq > last + 1:
            self.missing.setdefault(chain, set()).update(range(last + 1, min(seq, last + 100_000)))
        elif last_hash is not None and prev != last_hash.hex():
            self.findings.append(f"changed: chain {chain} event {seq - 1}: the next one names another hash")
        self.heads[chain] = (seq, leaf)

    def finish(self):
        for chain, numbers in self.missing.items():
            if numbers:
                self.findings.append(f"missing: chain {chain} events {min(numbers)} to {max(numbers)}")


def verify(folder, key_file, anchor_files=()):
    """Return how many events there are, what is wrong with them, and how many were before them."""
    folder, findings = Path(folder), []
    keys = [Key(line) for line in Path(key_file).read_text().splitlines() if line.strip() and line[0] != "#"]
    own = checkpoints(folder / "checkpoints", keys, findings)
    anchors = [each for file in anchor_files for each in checkpoints(file, keys, findings)]
    start = json.loads((folder / "start.json").read_text()) if (folder / "start.json").exists() else {}
    tree = Tree(start.get("size", 0), map(bytes.fromhex, start.get("peaks", ())))
    begin = tree.size
    sizes = [size for _, size, _ in own]
    if not own or (begin and begin not in sizes):
        findings.append("unsigned: there is no signed checkpoint, or none of the size at which the log begins")
    if sizes != sorted(sizes):
        findings.append("reordered: the checkpoints are not in the order of their sizes")
    if len({origin for origin, _, _ in own + anchors}) > 1:
        findings.append("forked: the checkpoints are of different logs")
    signed = {}
    for kind, some in (("changed", own), ("forked", anchors)):
        for _, size, root in some:
            signed.setdefault(size, []).append((kind, root))
    chains, good, bad = Chains(not begin, findings), begin, False

    def compare():
        nonlocal good, bad
        for kind, root in signed.get(tree.size, ()):
            if root != tree.root() and not bad:
                findings.append(f"{kind}: leaves {good} to {tree.size - 1} do not give the root that was signed")
                bad = bad or kind == "changed"
        if tree.size in sizes and not bad:
            good = tree.size

    compare()
    with (folder / "events.jsonl").open("rb") as lines:
        for line in lines:
            body = line.removesuffix(b"\n")
            leaf = hashlib.sha256(b"\x00" + body).digest()
            tree.append(leaf)
            try:
                chains.follow(json.loads(body), leaf)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                findings.append(f"changed: leaf {tree.size - 1} is no event")
            if tree.size in signed:
                compare()
    chains.finish()
    last = max(sizes, default=begin)
    if tree.size < last:
        findings.append(f"cut_off or missing: {last - tree.size} signed events are not there")
    if tree.size > last:
        findings.append(f"inserted: {tree.size - last} events were not signed")
    newest = max((size for _, size, _ in anchors), default=0)
    if newest > max(last, tree.size):
        findings.append(f"cut_off: an anchor has seen {newest} events")
    return tree.size - begin, findings, begin


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        count, findings, begin = verify(arguments[0], arguments[1], arguments[2:])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        count, findings, begin = 0, [f"changed: what was given cannot be read ({type(error).__name__})"], 0
    for finding in findings:
        print(finding)
    after = f" after the first {begin}" if begin else ""
    print(f"{count} events{after}: {f'{len(findings)} found wrong' if findings else 'whole and unchanged'}.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
