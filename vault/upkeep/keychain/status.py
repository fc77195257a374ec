"""Every key: its state, age, uses, what it protects, and what to do next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vault.crypto.data_key import KeyState, Purpose
from vault.keys.keyring import MAX_USES
from vault.store.authorities import list_authorities
from vault.store.database import Connection, Database, Role
from vault.store.keychain import KekRow, KeyRow, list_keks, list_keys, protected
from vault.store.processes import live_processes
from vault.upkeep.keychain.signing import verifier_keys

# PCI DSS v4.0.1 requirement 3.7.4 asks for a cryptoperiod for each key; NIST SP 800-57 part 1, table 1 suggests up to
# two years for wrapping and a year or less for others.
KEK_PERIOD = timedelta(days=365)
FINGERPRINT_PERIOD = timedelta(days=365)
SIGNING_PERIOD = timedelta(days=365)
CA_ROTATE_BEFORE = timedelta(days=180)
_PROTECTS = {Purpose.SEAL: "records", Purpose.FINGERPRINT: "fingerprints"}
_NAMES = {Purpose.SEAL: "dek", Purpose.PROCESS: "process"}


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key. `what`: kek, dek, fingerprint, signing, process or ca; `uses` is None where they are not counted."""

    what: str
    id: str
    tenant: str
    state: str
    created_at: datetime
    uses: int | None
    protects: int
    unit: str
    next_step: str

    @property
    def age(self) -> timedelta:
        return datetime.now(UTC) - self.created_at


async def key_status(connection: Connection) -> list[KeyStatus]:
    """Return every key that was ever there, KEKs first, then by what they are for."""
    keys, counts = await list_keys(connection), await protected(connection)
    authorities = await list_authorities(connection)
    by_kek = Counter(row.key.kek for row in keys if row.key.wrapped is not None)
    by_kek.update(each.kek for each in authorities if each.wrapped is not None)
    keks = await list_keks(connection)
    active = {kek.id for kek in keks if kek.state == KeyState.ACTIVE}
    found = [_kek(each, by_kek[each.id]) for each in keks]
    for purpose in Purpose:
        per_key = counts.get(_PROTECTS.get(purpose, ""), {})
        found += [_key(row, per_key.get(row.key.id, 0), active) for row in keys if row.key.purpose == purpose]
    for each in authorities:
        step = _ca_step(each.state, each.not_after)
        found.append(KeyStatus("ca", str(each.id), "", each.state, each.created_at, None, 1, "authority", step))
    return found


def _kek(kek: KekRow, wraps: int) -> KeyStatus:
    match kek.state:
        case KeyState.PRE_ACTIVE:
            step = "Rotation was begun: panless keys rotate kek."
        case KeyState.ACTIVE if datetime.now(UTC) - kek.created_at > KEK_PERIOD:
            step = "A year old: panless keys rotate kek."
        case KeyState.ACTIVE:
            step = f"Nothing until {kek.created_at + KEK_PERIOD:%Y-%m-%d}. Is there a copy apart from the database?"
        case KeyState.DESTROYED:
            step = "Nothing."
        case _ if wraps:
            step = "Rotation is not finished: panless keys rotate kek."
        case _:
            step = "Wraps nothing. When no backup needs it any more: panless keys destroy ID."
    return KeyStatus("kek", kek.id, kek.tenant, kek.state, kek.created_at, None, wraps, "keys", step)


def _key(row: KeyRow, protects: int, active_keks: set[str]) -> KeyStatus:
    key = row.key
    purpose = Purpose(key.purpose)
    if key.wrapped is not None and key.kek not in active_keks:
        step = "Wrapped by a KEK that is not active: panless keys rotate kek."
    else:
        step = _STEPS[purpose](row, protects)
    uses = row.uses if purpose is Purpose.SEAL else None
    unit = _PROTECTS.get(purpose, "")
    what = _NAMES.get(purpose, purpose.value)
    return KeyStatus(what, str(key.id), key.tenant, key.state, key.created_at, uses, protects, unit, step)


def _dek_step(row: KeyRow, protects: int) -> str:
    match row.key.state:
        case KeyState.ACTIVE:
            return f"Nothing: it is replaced by itself after 24 hours or {MAX_USES:,} uses."
        case KeyState.COMPROMISED if protects:
            return "Its records are not opened: panless keys reseal."
        case KeyState.DEACTIVATED if protects:
            return "Nothing: it opens what it sealed. To be rid of it: panless keys reseal."
        case KeyState.DESTROYED:
            return "Nothing." if not protects else "Nothing: its records are lost, as was asked for."
        case _:
            return "Protects nothing: panless keys destroy ID."


def _fingerprint_step(row: KeyRow, _protects: int) -> str:
    match row.key.state:
        case KeyState.ACTIVE if datetime.now(UTC) - row.key.created_at > FINGERPRINT_PERIOD:
            return "A year old: panless keys rotate fingerprint."
        case KeyState.ACTIVE:
            return f"Nothing until {row.key.created_at + FINGERPRINT_PERIOD:%Y-%m-%d}."
        case KeyState.DESTROYED:
            return "Nothing."
        case _:
            return f"Rotation is not finished: panless keys rotate fingerprint --tenant {row.key.tenant}."


def _signing_step(row: KeyRow, _protects: int) -> str:
    if row.compromised_at is not None:
        return f"Do not trust what it signed after {row.compromised_at:%Y-%m-%d %H:%M} UTC."
    if row.key.state != KeyState.ACTIVE:
        return "Signs no more; keep its public key: panless keys public."
    if datetime.now(UTC) - row.key.created_at > SIGNING_PERIOD:
        return "A year old: panless keys rotate signing."
    return f"Nothing until {row.key.created_at + SIGNING_PERIOD:%Y-%m-%d}. Keep its public key: panless keys public."


def _process_step(row: KeyRow, _protects: int) -> str:
    return "Nothing: running processes know one another by it." if row.key.state == KeyState.ACTIVE else "Nothing."


_STEPS = {
    Purpose.SEAL: _dek_step,
    Purpose.FINGERPRINT: _fingerprint_step,
    Purpose.SIGNING: _signing_step,
    Purpose.PROCESS: _process_step,
}


def _ca_step(state: str, not_after: datetime) -> str:
    match state:
        case KeyState.PRE_ACTIVE:
            return "Let applications trust it (panless ca export), then: panless keys rotate ca --activate."
        case KeyState.ACTIVE if not_after - datetime.now(UTC) < CA_ROTATE_BEFORE:
            return "Ends soon: panless keys rotate ca."
        case KeyState.ACTIVE:
            return f"Nothing until {not_after - CA_ROTATE_BEFORE:%Y-%m-%d}."
        case _:
            return "Signs no more. Applications need not trust it any longer."


@dataclass(frozen=True, slots=True)
class Keychain:
    """All keys, the verifier keys of those that sign, and the processes that run (PID on HOST)."""

    keys: list[KeyStatus]
    verifier_keys: dict[str, str]
    processes: list[str]


async def look(database: Database) -> Keychain:
    """Look at everything, as the owner."""
    connection = await database.connect(Role.OWNER)
    try:
        processes = [f"{each.pid} on {each.host}" for each in await live_processes(connection)]
        return Keychain(await key_status(connection), await verifier_keys(connection), processes)
    finally:
        await connection.close()
