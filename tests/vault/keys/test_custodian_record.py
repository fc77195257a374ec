"""The public record of ceremonies: nobody else may write to it, it holds no share, and it grows whole."""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat

import pytest

from vault.errors import KeyUnavailable
from vault.keys import ceremony
from vault.keys.custodian_record import KekRecord, append_record, read_record

NAMES = ("anna", "bert", "cleo")


def add(path, **changes):
    made = ceremony.make(path, 2, NAMES)
    append_record(path, made.record)
    return made


def test_the_record_says_who_and_how_many_and_no_share(tmp_path):
    path = tmp_path / "record.json"
    made = add(path)
    (entry,) = json.loads(path.read_text())["keks"]
    assert entry["id"].startswith("custodians_")
    assert (entry["threshold"], entry["count"], entry["custodians"]) == (2, 3, list(NAMES))
    assert entry["identifier"] == made.shares[0].identifier
    text = path.read_text()
    for share in made.shares:
        assert not any(" ".join(share.words.split()[i : i + 2]) in text for i in range(32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_records_are_added_and_the_newest_is_last(tmp_path):
    path = tmp_path / "record.json"
    made = [add(path).record for _ in range(4)]
    path.chmod(0o600)
    made.append(add(path).record)
    assert read_record(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len({record.identifier for record in made}) == 5
    assert os.listdir(tmp_path) == ["record.json"]


def test_a_check_value_proves_its_own_kek_only():
    kek = secrets.token_bytes(32)
    record = KekRecord.of(kek, 2, NAMES, 7)
    assert record.proves(kek)
    assert not record.proves(secrets.token_bytes(32))
    assert not record.proves(b"")
    assert not KekRecord.of(secrets.token_bytes(32), 2, NAMES, 7).proves(kek)
    assert kek not in record.check


def test_a_set_of_shares_is_never_numbered_as_another_one_of_the_record(tmp_path, monkeypatch):
    from shamir_mnemonic import shamir

    path = tmp_path / "record.json"
    taken = add(path).record.identifier
    drawn = iter([taken, taken, taken ^ 1])
    monkeypatch.setattr(shamir, "_random_identifier", lambda: next(drawn))
    assert ceremony.make(path, 2, NAMES).record.identifier == taken ^ 1


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620])
def test_a_record_that_others_can_write_to_is_refused(tmp_path, mode):
    path = tmp_path / "record.json"
    add(path)
    path.chmod(mode)
    with pytest.raises(KeyUnavailable, match="chmod go-w"):
        read_record(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_record_of_another_user_is_refused(tmp_path):
    path = tmp_path / "record.json"
    add(path)
    os.chown(path, 65534, 65534)
    with pytest.raises(KeyUnavailable, match="another user"):
        read_record(path)


GOOD = KekRecord.of(bytes(32), 2, NAMES, 7).document()


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        "not json",
        {"format": "panless-custodians-2", "keks": [GOOD]},
        {"format": "panless-custodians-1", "keks": []},
        {"format": "panless-custodians-1", "keks": {}},
        {"format": "panless-custodians-1", "keks": [GOOD | {"id": "kek_1"}]},
        {"format": "panless-custodians-1", "keks": [GOOD | {"threshold": 1}]},
        {"format": "panless-custodians-1", "keks": [GOOD | {"threshold": 4}]},
        {"format": "panless-custodians-1", "keks": [GOOD | {"threshold": "many"}]},
        {"format": "panless-custodians-1", "keks": [GOOD | {"custodians": None}]},
        {"format": "panless-custodians-1", "keks": [GOOD | {"check": "!"}]},
        {"format": "panless-custodians-1", "keks": [{k: v for k, v in GOOD.items() if k != "identifier"}]},
    ],
)
def test_what_is_no_record_is_refused(tmp_path, document):
    path = tmp_path / "record.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(KeyUnavailable, match="not the record"):
        read_record(path)


def test_a_missing_record_says_how_it_is_made(tmp_path):
    with pytest.raises(KeyUnavailable, match="panless keys ceremony"):
        read_record(tmp_path / "nowhere.json")
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        read_record(tmp_path)


def test_the_check_value_is_what_aes_gcm_gives_for_the_documented_context():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    record = KekRecord.of(b"k" * 32, 2, NAMES, 7)
    parts = ["panless-custodians-1", record.id, record.made_at, "2", "7", *NAMES]
    context = b"".join(len(part).to_bytes(2, "big") + part.encode() for part in parts)
    box = base64.b64decode(record.document()["check"])
    assert AESGCM(b"k" * 32).decrypt(box[:12], box[12:], context) == b"panless custodians"
