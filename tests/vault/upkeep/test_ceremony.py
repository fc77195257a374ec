"""The ceremony's files: one for each custodian, for nobody else, and either all of them or none."""

from __future__ import annotations

import os
import stat

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from tests.harness.custodians import words_in
from vault.errors import CeremonyRefused, ShareRejected, SharesDoNotFit
from vault.key_settings import CustodiansSettings
from vault.keys.custodian_record import read_record
from vault.keys.shares import read
from vault.upkeep.ceremony import Rehearsal, hold

NAMES = {"anna": None, "bert": None, "cleo": None}


@pytest.fixture
def settings(tmp_path) -> CustodiansSettings:
    return CustodiansSettings(tmp_path / "record.json")


def names_in(folder) -> set[str]:
    return set(os.listdir(folder))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_each_custodian_gets_a_file_of_their_own(tmp_path, settings, umask):
    before = os.umask(umask)
    try:
        made = hold(settings, 2, NAMES, tmp_path / "new" / "out")
    finally:
        os.umask(before)
    out = tmp_path / "new" / "out"
    assert names_in(out) == {"anna.share", "bert.share", "cleo.share"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700 & ~umask
    assert [read(words_in(path.read_text())).number for path in made.files.values()] == [1, 2, 3]
    for name, path in made.files.items():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        assert f"custodian   {name}" in text and made.kek in text
        words = words_in(text).split()
        assert all(f"{number:2}. {word}" in text for number, word in enumerate(words, 1))
        others = [words_in(other.read_text()) for other in made.files.values() if other != path]
        assert not any(other in text for other in others)
    assert read_record(settings.record)[0].id == made.kek


def ssh_keys(kind: str) -> tuple[bytes, str]:
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    encoding = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return key.private_bytes(*encoding), public.decode() + " anna@example"


@pytest.mark.parametrize("kind", ["age", "ed25519", "rsa"])
def test_a_share_is_encrypted_to_its_custodian(tmp_path, settings, kind):
    if kind == "age":
        identity = pyrage.x25519.Identity.generate()
        public = str(identity.to_public())
    else:
        private, public = ssh_keys(kind)
        identity = pyrage.ssh.Identity.from_buffer(private)
    made = hold(settings, 2, {"anna": public, "bert": None}, tmp_path / "out")
    assert names_in(tmp_path / "out") == {"anna.share.age", "bert.share"}
    encrypted = made.files["anna"].read_bytes()
    assert encrypted.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert stat.S_IMODE(made.files["anna"].stat().st_mode) == 0o600
    text = pyrage.decrypt(encrypted, [identity]).decode()
    assert read(words_in(text)).number == 1
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(encrypted, [pyrage.x25519.Identity.generate()])


@pytest.mark.parametrize("key", ["", "age1nonsense", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1QQ", "ssh-dss AAAA", "me"])
def test_what_is_no_public_key_is_refused_and_nothing_is_written(tmp_path, settings, key):
    with pytest.raises(CeremonyRefused, match="public key of bert"):
        hold(settings, 2, {"anna": None, "bert": key}, tmp_path / "out")
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("threshold", "count", "why"),
    [(1, 3, "one custodian alone"), (0, 3, "one custodian alone"), (4, 3, "could never"), (3, 17, "at most 16")],
)
def test_numbers_that_make_no_dual_control_are_refused(tmp_path, settings, threshold, count, why):
    with pytest.raises(CeremonyRefused, match=why):
        hold(settings, threshold, {f"c{number}": None for number in range(count)}, tmp_path / "out")
    assert names_in(tmp_path) == set()


def test_no_file_is_overwritten_and_then_none_is_left(tmp_path, settings):
    out = tmp_path / "out"
    out.mkdir()
    (out / "cleo.share").write_text("precious")
    with pytest.raises(CeremonyRefused, match="there already"):
        hold(settings, 2, NAMES, out)
    assert names_in(out) == {"cleo.share"}
    assert (out / "cleo.share").read_text() == "precious"
    (out / "cleo.share").unlink()
    (out / "bert.share").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CeremonyRefused, match="there already"):
        hold(settings, 2, NAMES, out)
    assert names_in(out) == {"bert.share"}
    assert names_in(tmp_path) == {"out"}


def test_without_its_record_a_kek_is_not_handed_out(tmp_path, settings):
    settings.record.mkdir()
    with pytest.raises(CeremonyRefused, match=r"record\.json"):
        hold(settings, 2, NAMES, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    nowhere = CustodiansSettings(tmp_path / "nowhere" / "record.json")
    with pytest.raises(CeremonyRefused, match="cannot be written"):
        hold(nowhere, 2, NAMES, tmp_path / "out")
    assert names_in(tmp_path / "out") == set()


def test_a_second_ceremony_leaves_the_first_kek_in_the_record(tmp_path, settings):
    made = [hold(settings, 2, NAMES, tmp_path / str(number)).kek for number in range(2)]
    assert [record.id for record in read_record(settings.record)] == made


async def test_a_rehearsal_tells_whether_shares_open_the_kek(tmp_path, settings):
    files = hold(settings, 2, NAMES, tmp_path / "out").files
    words = [words_in(path.read_text()) for path in files.values()]
    others = hold(CustodiansSettings(tmp_path / "other.json"), 2, NAMES, tmp_path / "others").files
    before = settings.record.read_bytes()
    rehearsal = Rehearsal(settings)
    assert rehearsal.needed == 2
    with pytest.raises(ShareRejected, match="another ceremony"):
        rehearsal.give(words_in(others["anna"].read_text()))
    assert not rehearsal.give(words[2]).opened
    assert rehearsal.give(words[0]).opened
    assert settings.record.read_bytes() == before
    settings.record.write_bytes(before.replace(b'"cleo"', b'"carl"'))
    changed = Rehearsal(settings)
    changed.give(words[0])
    with pytest.raises(SharesDoNotFit):
        changed.give(words[1])
