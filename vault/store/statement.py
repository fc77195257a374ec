"""One statement for all that a batch writes: one round trip, one commit.

The parts are data-modifying CTEs of one statement. Where the batch's picture of the vault turns out to be old (a card
became known meanwhile, a lease ended, a key was replaced), the statement raises SQLSTATE PL001 and nothing of it is
kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from vault.store.audit import INSERT_EVENTS

CONFLICT = "PL001"

_PARTS: Mapping[str, str] = {
    "events": INSERT_EVENTS,
    "records": """
        INSERT INTO tokens (token, tenant, kind, data_key, sealed, brand, last4, created_at, expires_at, max_uses,
                            routes, gateways)
        SELECT token, tenant, kind, data_key, sealed, brand, last4, created_at, expires_at, max_uses,
               string_to_array(routes, ' '), string_to_array(gateways, ' ')
        FROM unnest({}::uuid[], {}::text[], {}::text[], {}::uuid[], {}::bytea[], {}::text[], {}::text[],
                    {}::timestamptz[], {}::timestamptz[], {}::integer[], {}::text[], {}::text[])
          AS new (token, tenant, kind, data_key, sealed, brand, last4, created_at, expires_at, max_uses, routes,
                  gateways)
    """,
    "fingerprints": """
        INSERT INTO fingerprints (fingerprint, token, card_token, data_key)
        SELECT * FROM unnest({}::bytea[], {}::uuid[], {}::text[], {}::uuid[]) ON CONFLICT DO NOTHING RETURNING 1
    """,
    # What was sealed or marked under keys as they were before a change is not written after it.
    "changes": "SELECT 1 FROM key_changes WHERE number = ANY({}::bigint[])",
    "known": "SELECT 1 FROM tokens WHERE token = ANY({}::uuid[])",
    "leases": """
        INSERT INTO cvc_leases (token, card, tenant, data_key, sealed, created_at, expires_at)
        SELECT * FROM unnest({}::uuid[], {}::uuid[], {}::text[], {}::uuid[], {}::bytea[],
                             {}::timestamptz[], {}::timestamptz[])
    """,
    "used": """
        UPDATE cvc_leases SET attempts = attempts + new.uses
        FROM unnest({}::uuid[], {}::integer[], {}::timestamptz[], {}::integer[]) AS new (token, uses, at, most)
        WHERE cvc_leases.token = new.token AND attempts + new.uses <= new.most AND expires_at > new.at
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
            checks.append(f"CASE WHEN {found} <> cardinality({places[0]}) THEN panless_conflict('{name}') END")
        if name == "counted":
            checks.append(_COUNTED.format(*places))
    return f"WITH {', '.join(parts)} SELECT {', '.join(checks) or '1'}"


def compose(parts: Mapping[str, Sequence[Sequence[object]]]) -> tuple[str, list[Sequence[object]]]:
    """Return the statement for the parts that have rows, and its parameters. `parts`: name -> columns."""
    names = tuple(name for name in _PARTS if parts.get(name))
    return _compose(names), [column for name in names for column in parts[name]]
