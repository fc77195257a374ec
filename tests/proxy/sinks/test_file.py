"""A file of notes is an anchor: it has to be readable whatever happened while it was written."""

from __future__ import annotations

import resource

import pytest

from proxy.config.audit import FileSink
from proxy.sinks.file import Files
from proxy.sinks.payload import Payload
from tests.harness.audit_log import KEY, a_log
from vault.errors import AuditSinkFailed
from vault.feed import Note
from vault.upkeep.evidence import signed_notes


@pytest.fixture
def limited():
    """Let files grow to so many bytes only, None: as before; what is written beyond is cut off, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, before if most is None else (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_what_a_full_disk_cut_off_is_taken_out_again(tmp_path, limited):
    path = tmp_path / "anchors"
    sink = Files(FileSink(name="anchors", type="file", what="checkpoints", path=path), path)
    first, second = (Payload([], [Note(number, note)]) for number, note in enumerate(a_log().notes[:2], 1))
    await sink.send(first)
    limited(path.stat().st_size + 100)
    with pytest.raises(AuditSinkFailed):
        await sink.send(second)
    limited(None)
    await sink.send(second)
    assert [each.trusted for each in signed_notes(path, [KEY])] == [True, True]
