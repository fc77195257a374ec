"""Certificates of tunnels: loaded without a trace, and again when the authority makes a new one."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime

import pytest

from proxy.edge import certificates
from proxy.edge.certificates import Certificates
from vault.crypto.certificates import new_authority, new_leaf
from vault.tokens import uuid7


@pytest.mark.parametrize("memory", [True, False])
def test_a_certificate_is_loaded_and_leaves_no_file(memory, monkeypatch, tmp_path):
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(certificates.tempfile, "tempdir", str(tmp_path))
    now = datetime.now(UTC)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    before = set(os.listdir("/proc/self/fd"))
    certificates.load_pem(context, new_leaf(*new_authority(uuid7(), now), "a.example", now).pem)
    assert list(tmp_path.iterdir()) == []
    assert set(os.listdir("/proc/self/fd")) == before


async def test_a_context_is_kept_as_long_as_its_leaf():
    now = datetime.now(UTC)
    authority = new_authority(uuid7(), now)
    leaves = {"a.example": new_leaf(*authority, "a.example", now)}

    async def ask(host: str):
        return leaves[host]

    held = Certificates(ask)
    first = await held.context("a.example")
    assert await held.context("a.example") is first
    leaves["a.example"] = new_leaf(*authority, "a.example", now)
    assert await held.context("a.example") is not first
    assert first.minimum_version == ssl.TLSVersion.TLSv1_2
