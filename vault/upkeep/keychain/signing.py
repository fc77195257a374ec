"""The signing key (Ed25519): it signs receipts and checkpoints.

Its private half is destroyed when another one takes over.
"""

from __future__ import annotations

from vault.crypto import signed_note
from vault.crypto.data_key import KeyState, Purpose
from vault.keys import signing
from vault.keys.keks import EVERY_TENANT
from vault.store.database import Connection
from vault.store.keychain import keys_in_state, list_keys, set_state
from vault.store.keys import KeyRows
from vault.upkeep.keychain.work import Work


async def rotate_signing_key(work: Work) -> str:
    """Let another key sign from now on; return its id. What was signed is verified by the old public key as before."""
    rows = KeyRows(work.connection)
    made = await work.keyring.made(EVERY_TENANT, Purpose.SIGNING, KeyState.ACTIVE)
    async with work.change("keys.signing.activate", str(made.id)) as at:
        for old in await keys_in_state(work.connection, Purpose.SIGNING, [KeyState.ACTIVE], None):
            await set_state(work.connection, old.id, KeyState.DESTROYED, at)
        await rows.add(made)
    work.report(f"Key {made.id} signs from now on. Keep its public half: panless keys public.")
    return str(made.id)


async def signed(work: Work, text: str) -> str:
    """Return a text as a signed note; the first signing key is made if there is none."""
    return await signing.signed(work.keyring, text)


async def verifier_keys(connection: Connection) -> dict[str, str]:
    """Return the verifier keys of all signing keys, by key id, oldest first."""
    rows = [row.key for row in await list_keys(connection) if row.key.purpose == Purpose.SIGNING]
    return {
        str(row.id): signed_note.verifier_key(signing.signer(row), row.public_key) for row in rows if row.public_key
    }
