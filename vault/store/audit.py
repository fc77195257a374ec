"""The table `audit_events`: opening a chain, adding to it, reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from vault.audit.chain import Head, Link, extend
from vault.audit.event import Event, timestamp
from vault.audit.verification import StoredEvent
from vault.store import packed
from vault.store.database import Connection, Pool, translated
from vault.store.holding import Holding
from vault.tokens import uuid7

# The ends of the newest chains, each found by one step in the index: the log may be long, and chains are few.
_HEADS = """
WITH RECURSIVE chains (chain, number) AS (
  (SELECT chain, 1 FROM audit_events ORDER BY chain DESC LIMIT 1)
  UNION ALL
  SELECT (SELECT older.chain FROM audit_events older WHERE older.chain < chains.chain ORDER BY chain DESC LIMIT 1),
         number + 1
  FROM chains WHERE chain IS NOT NULL AND number < $1
)
SELECT head.chain, head.seq, head.hash FROM chains CROSS JOIN LATERAL (
  SELECT chain, seq, hash FROM audit_events WHERE chain = chains.chain ORDER BY seq DESC LIMIT 1
) head
ORDER BY head.chain
"""
CONTINUED_CHAINS = 32
INSERT_EVENTS = f"""
INSERT INTO audit_events (chain, seq, hash, body, at, action, outcome, app, route, request_id, tokens)
SELECT {{}}::uuid, cell[1]::bigint, {packed.raw(2)}, convert_to(cell[10], 'UTF8'), cell[3]::timestamptz,
       {packed.text(4)}, cell[5], {packed.text(6)}, {packed.text(7)}, {packed.text(8)},
       string_to_array({packed.text(9)}, ' ')
FROM {packed.CELLS}
"""  # noqa: S608  # constants
_INSERT = INSERT_EVENTS.format("$1", "$2")


def event_parameters(links: Sequence[Link]) -> list[object]:
    """Return the parameters of INSERT_EVENTS; all links are of one chain."""
    return [links[0].head.chain, packed.packed([_cells(link) for link in links])]


def _cells(link: Link) -> str:
    event, head, name = link.event, link.head, packed.name
    return (
        f"{head.seq}\t{head.hash.hex()}\t{timestamp(event.at)}\t{name(event.action)}\t{event.outcome}\t"
        f"{name(event.app)}\t{name(event.route)}\t{packed.cell(event.request_id)}\t"
        f"{packed.cell(' '.join(event.tokens))}\t{link.body.decode('ascii')}"
    )


@dataclass(slots=True)
class Chain:
    """A chain being written: its head, and the heads of the chains before it."""

    head: Head
    continues: Sequence[Head]

    def link(self, events: Sequence[Event]) -> list[Link]:
        """Chain events after the head. The head moves only when `advance` says that they are committed."""
        links: list[Link] = []
        head = self.head
        for event in events:
            links.append(extend(head, event, self.continues))
            head = links[-1].head
        return links

    def advance(self, links: Sequence[Link]) -> None:
        self.head = links[-1].head


async def open_chain(executor: Pool | Connection | Holding) -> Chain:
    """Begin a new chain after the newest ones in the log: others may still be written to, or have been until now."""
    with translated():
        heads = await executor.fetch(_HEADS, CONTINUED_CHAINS)
    return Chain(Head(uuid7()), [Head(*head) for head in heads])


async def append(connection: Connection, events: Sequence[Event]) -> None:
    """Write events as a chain of their own, in the caller's transaction."""
    chain = await open_chain(connection)
    with translated():
        await connection.execute(_INSERT, *event_parameters(chain.link(events)))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to list. Times are aware; `until` is exclusive."""

    app: str | None = None
    token: str | None = None
    route: str | None = None
    outcome: str | None = None
    action: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100


_LIST = """
SELECT body FROM audit_events
WHERE ($1::text IS NULL OR app = $1) AND ($2::text IS NULL OR tokens @> ARRAY[$2])
  AND ($3::text IS NULL OR route = $3) AND ($4::text IS NULL OR outcome = $4)
  AND ($5::text IS NULL OR action = $5) AND ($6::text IS NULL OR request_id = $6)
  AND ($7::timestamptz IS NULL OR at >= $7) AND ($8::timestamptz IS NULL OR at < $8)
ORDER BY at DESC, chain DESC, seq DESC LIMIT $9
"""
# PostgreSQL knows times that Python does not, and a tampered row may hold one.
_TIME = """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at"""
ROW = f"event.chain, event.seq, event.hash, event.body, {_TIME}, action, outcome, app, route, request_id, tokens"


async def list_events(connection: Connection, wanted: Filter) -> list[bytes]:
    """Return the canonical bodies of the newest matching events, oldest first."""
    with translated():
        rows = await connection.fetch(
            _LIST,
            wanted.app,
            wanted.token,
            wanted.route,
            wanted.outcome,
            wanted.action,
            wanted.request_id,
            wanted.since,
            wanted.until,
            wanted.limit,
        )
    return [row["body"] for row in reversed(rows)]


async def count_events(connection: Connection) -> int:
    with translated():
        return int(await connection.fetchval("SELECT count(*) FROM audit_events"))


async def first_events(connection: Connection) -> list[StoredEvent]:
    """Return the first event of every chain, in the order of the chains."""
    with translated():
        query = f"SELECT {ROW} FROM audit_events event WHERE seq = 1 ORDER BY chain"  # noqa: S608
        return [stored_event(row) for row in await connection.fetch(query)]


def stored_event(row: asyncpg.Record) -> StoredEvent:
    columns = {
        "at": row["at"],
        "action": row["action"],
        "outcome": row["outcome"],
        "app": row["app"],
        "route": row["route"],
        "request_id": row["request_id"],
        "tokens": row["tokens"] or None,
    }
    return StoredEvent(row["chain"], row["seq"], row["hash"], row["body"], columns)
