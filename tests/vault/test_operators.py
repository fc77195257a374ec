"""People sign in with a key or a certificate of their own; who does, and who is refused, is recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from vault import errors
from vault.crypto.credentials import read_certificate
from vault.operators import Operator, OperatorRole
from vault.store.credentials import APP_KEYS
from vault.store.last_use import LastUse
from vault.upkeep.apps import add_app, apps
from vault.upkeep.operators import add_operator, operators, revoke_operator, rotate_operator


async def events(owner) -> list[dict]:
    rows = await owner.fetch("SELECT body FROM audit_events WHERE action = 'operator.sign_in' ORDER BY at, chain, seq")
    return [json.loads(row["body"]) for row in rows]


async def test_by_a_key(vault, database, owner, context):
    key = await add_operator(database, "ann", OperatorRole.OPERATOR)
    assert await vault.operators.sign_in(key, context) == Operator("ann", OperatorRole.OPERATOR)
    application = await add_app(database, "ann", "default")
    for wrong in ("", key[:-1], key.upper(), application, key.replace("plo_", "plk_")):
        with pytest.raises(errors.OperatorUnknown):
            await vault.operators.sign_in(wrong, context)
    with pytest.raises(errors.AppUnknown):
        await vault.identify(key, context)
    newer = await rotate_operator(database, "ann", timedelta())
    with pytest.raises(errors.OperatorKeyExpired):
        await vault.operators.sign_in(key, context)
    await revoke_operator(database, "ann")
    with pytest.raises(errors.OperatorKeyRevoked):
        await vault.operators.sign_in(newer, context)
    ends = [(each.get("operator"), each.get("code")) for each in await events(owner)]
    unknown = [(None, "operator_unknown")] * 5
    assert ends == [("ann", None), *unknown, ("ann", "operator_key_expired"), ("ann", "operator_key_revoked")]


async def test_by_a_certificate_that_ends_with_itself(vault, database, context):
    pem = trustme.CA().issue_cert("ann@shop.example", not_after=datetime.now(UTC) + timedelta(days=1))
    credential = read_certificate(pem.cert_chain_pems[0].bytes())
    der = x509.load_pem_x509_certificate(pem.cert_chain_pems[0].bytes()).public_bytes(serialization.Encoding.DER)
    with pytest.raises(errors.OperatorUnknown):
        await vault.operators.sign_in("", context, der)
    assert await add_operator(database, "ann", OperatorRole.AUDITOR, certificate=credential) == ""
    assert (await vault.operators.sign_in("", context, der)).name == "ann"
    with pytest.raises(errors.OperatorUnknown):
        await vault.operators.sign_in("plo_wrong", context, der)  # a key goes first, right or wrong
    with pytest.raises(errors.AppUnknown):
        await vault.identify("", context, der)  # of a person, not of an application
    with pytest.raises(errors.CredentialInUse):
        await add_operator(database, "bob", OperatorRole.AUDITOR, certificate=credential)
    (ann,) = await operators(database)
    assert ann.keys[0].expires_at == credential.ends


async def test_what_cannot_be_written_of_uses_is_written_later(database, open_pool, owner):
    await add_app(database, "shop", "default")
    (digest,) = [key.digest for each in await apps(database) for key in each.keys]
    uses = LastUse(await open_pool(size=1), APP_KEYS)
    uses.note(digest)
    await owner.execute("REVOKE UPDATE (last_used_at) ON app_keys FROM panless_proxy")
    with pytest.raises(errors.StoreError):
        await uses.write()
    await owner.execute("GRANT UPDATE (last_used_at) ON app_keys TO panless_proxy")
    await uses.write()
    assert await owner.fetchval("SELECT last_used_at FROM app_keys") is not None
