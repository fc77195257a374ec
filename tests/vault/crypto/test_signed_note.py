"""Signed notes as C2SP says: the example of the specification verifies, and nothing that was changed does."""

from __future__ import annotations

import base64

import pytest

from vault.crypto import signed_note
from vault.crypto.signed_note import NoteRejected

# The note and the verifier key of the documentation of golang.org/x/mod/sumdb/note, which the specification is from.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SECRET = bytes(range(32))
NAME = "panless-test"
OWN = signed_note.verifier_key(NAME, signed_note.public_key(SECRET))


def test_the_example_of_the_specification_verifies():
    assert signed_note.verify(NOTE, PETER).startswith("If you think cryptography")


def test_what_is_signed_verifies_with_its_own_key_only():
    note = signed_note.sign("one\ntwo\n", NAME, SECRET)
    assert signed_note.verify(note, OWN) == "one\ntwo\n"
    other = signed_note.verifier_key(NAME, signed_note.public_key(bytes(32)))
    for verifier in (other, PETER, OWN.replace("panless", "Panless")):
        with pytest.raises(NoteRejected):
            signed_note.verify(note, verifier)


def test_a_text_with_empty_lines_is_signed_as_it_is():
    text = "one\n\n\ntwo\n\n"
    assert signed_note.verify(signed_note.sign(text, NAME, SECRET), OWN) == text


def test_every_changed_byte_is_refused():
    note = signed_note.sign("a receipt\n", NAME, SECRET).encode()
    refused = 0
    for at in range(len(note) - 1):
        changed = note[:at] + bytes([note[at] ^ 1]) + note[at + 1 :]
        try:
            assert signed_note.verify(changed.decode("utf-8", "replace"), OWN) == "a receipt\n"
        except NoteRejected:
            refused += 1
    # The last digit of the base64 has bits that mean nothing, if any.
    assert refused >= len(note) - 2


@pytest.mark.parametrize("broken", ["", "\n", "a\n", "a\n\n", "\u2014 x y\n", NOTE[:-20], NOTE.replace("\n\n", "\n")])
def test_what_is_no_note_is_refused(broken):
    with pytest.raises(NoteRejected):
        signed_note.verify(broken, PETER)


@pytest.mark.parametrize(
    "verifier", ["", "a", "a+b", "a+00000000+", PETER[:-4], PETER.replace("c74f", "c74e"), "a+b+c+d"]
)
def test_what_is_no_verifier_key_is_refused(verifier):
    with pytest.raises(NoteRejected):
        signed_note.verify(NOTE, verifier)


def test_the_secret_is_in_nothing_that_is_shown():
    assert base64.b64encode(SECRET).decode() not in signed_note.sign("x\n", NAME, SECRET) + OWN


def test_signatures_of_others_do_not_matter_whatever_name_they_have():
    """A key that was replaced has the name of the one before it; a log's note may have signatures of witnesses."""
    note = signed_note.sign("one\n", NAME, SECRET)
    other = signed_note.sign("one\n", NAME, bytes(32)).splitlines()[-1]
    assert signed_note.verify(note.replace("\u2014", f"{other}\n\u2014"), OWN) == "one\n"
    broken = other.replace(other[-8:], "AAAAAAA=")
    assert signed_note.verify(note.replace("\u2014", f"{broken}\n\u2014"), OWN) == "one\n"
    mine = note.splitlines()[-1]
    with pytest.raises(NoteRejected):  # one of its own has to be right
        signed_note.verify(note.replace("\u2014", f"{mine[:-8]}AAAAAAA=\n\u2014"), OWN)
