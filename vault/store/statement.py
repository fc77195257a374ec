"""One statement for all that a batch writes: one round trip, one commit.

The parts are data-modifying CTEs of one statement. Where the batch's picture of the vault turns out to be old (a card
became known meanwhile, a lease ended, a key was replaced), the statement raises SQLSTATE PL001 and nothing of it is
kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from vault.store import packed
from vault.store.audit import INSERT_EVENTS

CONFLICT = "PL001"

_PARTS: Mapping[str, str] = {
    "events": INSERT_EVENTS,
    "records": f"""
        INSERT INTO tokens (token, tenant, kind, data_key, sealed, brand, last4, expires_at, max_uses, routes, gateways,
                            created_at)
        SELECT cell[1]::uuid, {packed.text(2)}, cell[3], cell[4]::uuid, {packed.raw(5)}, cell[6], {packed.text(7)},
               cell[8]::timestamptz, cell[9]::integer, string_to_array({packed.text(10)}, ' '),
               string_to_array({packed.text(11)}, ' '), {{}}::timestamptz
        FROM {packed.CELLS}
    """,  # noqa: S608  # constants
    "fingerprints": f"""
        INSERT INTO fingerprints (fingerprint, token, card_token, data_key)
        SELECT {packed.raw(1)}, cell[2]::uuid, cell[3], cell[4]::uuid FROM {packed.CELLS}
        ON CONFLICT DO NOTHING RETURNING 1
    """,  # noqa: S608  # constants
    # What was sealed or marked under keys as they were before a change is not written after it.
    "changes": "SELECT 1 FROM key_changes WHERE number = ANY({}::bigint[])",
    "known": "SELECT 1 FROM tokens WHERE token = ANY(string_to_array({}, chr(10))::uuid[])",
    "leases": f"""
        INSERT INTO cvc_leases (token, card, tenant, data_key, sealed, created_at, expires_at)
        SELECT cell[1]::uuid, cell[2]::uuid, {packed.text(3)}, cell[4]::uuid, {packed.raw(5)}, {{}}::timestamptz,
               cell[6]::timestamptz
        FROM {packed.CELLS}
    """,  # noqa: S608  # constants
    "used": """
        UPDATE cvc_leases SET attempts = attempts + new.uses
        FROM unnest({}::uuid[], {}::integer[]) AS new (token, uses)
        WHERE cvc_leases.token = new.token AND attempts + new.uses <= {}::integer AND expires_at > {}::timestamptz
        RETURNING 1
    """,
    "spent": """
        UPDATE tokens SET uses = uses + new.more FROM unnest({}::uuid[], {}::integer[]) AS new (token, more)
        WHERE tokens.token = new.token AND uses + new.more <= max_uses RETURNING 1
    """,
    "customers": """
        INSERT INTO token_customers (tenant, customer, token)
        SELECT * FROM unnest({}::text[], {}::text[], {}::uuid[]) ON CONFLICT DO NOTHING
    """,
    "sessions": """
        INSERT INTO used_sessions (id, ends) SELECT * FROM unnest({}::uuid[], {}::timestamptz[])
        ON CONFLICT DO NOTHING RETURNING 1
    """,
    "counted": """
        INSERT INTO reveal_counts (subject, seconds, began, count)
        SELECT subject, seconds, began, n
        FROM unnest({}::text[], {}::integer[], {}::timestamptz[], {}::bigint[], {}::bigint[])
          AS new (subject, seconds, began, n, most)
        ON CONFLICT (subject, seconds, began) DO UPDATE SET count = reveal_counts.count + excluded.count
        RETURNING subject, seconds, count
    """,
}
_ARITY = {name: sql.count("{}") for name, sql in _PARTS.items()}
# These have to touch exactly as many rows as they name.
_CHECKED = ("fingerprints", "changes", "known", "used", "spent", "sessions")
_PACKED = ("fingerprints", "known")
# What is counted, in the order of its rows; and nothing is kept if it goes over a limit.
_COUNTED = """
(SELECT array_agg(count ORDER BY subject COLLATE "C", seconds) FROM counted_part) AS counted,
(SELECT panless_conflict(concat_ws(' ', 'counted', subject, seconds))
 FROM counted_part JOIN unnest({0}, {1}, {4}) AS limits (subject, seconds, most) USING (subject, seconds)
 WHERE count > most ORDER BY subject COLLATE "C", seconds LIMIT 1)
"""


@cache
def _compose(names: tuple[str, ...]) -> str:
    parts: list[str] = []
    checks: list[str] = []
    number = 1
    for name in names:
        places = [f"${number + offset}" for offset in range(_ARITY[name])]
        number += len(places)
        parts.append(f"{name}_part AS ({_PARTS[name].format(*places)})")
        if name in _CHECKED:
            found = f"(SELECT count(*) FROM {name}_part)"  # noqa: S608  # names are those of _PARTS
            named = packed.count(places[0]) if name in _PACKED else f"cardinality({places[0]})"
            checks.append(f"CASE WHEN {found} <> {named} THEN panless_conflict('{name}') END")
        if name == "counted":
            checks.append(_COUNTED.format(*places))
    return f"WITH {', '.join(parts)} SELECT {', '.join(checks) or '1'}"


def compose(parts: Mapping[str, Sequence[object]]) -> tuple[str, list[object]]:
    """Return the statement for the parts that there are, and its parameters. `parts`: name -> parameters."""
    names = tuple([name for name in _PARTS if name in parts])
    return _compose(names), [parameter for name in names for parameter in parts[name]]
