"""No PAN, CVC, key or secret anywhere but where it belongs (promises 5, 6, 8 and 12).

The whole flow runs with canary values; then everything that Panless wrote is searched for them, in every form.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.harness import configuration
from tests.harness.cards import all_cards, cards
from tests.harness.process import PanlessProcess, panless
from tests.harness.upstream import Answer, recording

# Three or four digits are too short to search files for; where codes may be is checked request by request.
CVCS = ("7319", "8264")


def forms(secret: str) -> list[bytes]:
    """Return how a secret may be written: text, UTF-16, hex, base64 in three alignments, percent-encoded, grouped."""
    raw = secret.encode()
    found = [raw, secret.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode()]
    found.append("".join(f"%{byte:02X}" for byte in raw).encode())
    found.append(urllib.parse.quote(secret).encode())
    for shift in range(3):
        first, last = (shift * 8 + 5) // 6, (shift + len(raw)) * 8 // 6
        found.append(base64.b64encode(bytes(shift) + raw)[first:last])
    if len(secret) > 12:
        groups = [secret[n : n + 4] for n in range(0, len(secret), 4)]
        found += [" ".join(groups).encode(), "-".join(groups).encode()]
    return found


def leaks(where: str, data: bytes, secrets: list[str]) -> list[str]:
    return [
        f"{secret[:4]}... as {form[:12]!r} in {where}" for secret in secrets for form in forms(secret) if form in data
    ]


# What forms are made of; in UTF-16 a zero follows each character.
WRITTEN = re.compile(rb"(?:[0-9A-Za-z+/%_ -]\0?){12,}")


def words(data: bytes) -> set[bytes]:
    """Return the parts of data that a form could be in."""
    return set(WRITTEN.findall(data))


def test_the_search_finds_every_form():
    for secret in ("4242424242424242", "sk_live_the_gateways_own_secret"):
        for form in forms(secret):
            assert leaks("here", b"before" + form + b"after", [secret])
    for prefix in (b"", b"a", b"ab"):
        assert leaks("here", base64.b64encode(prefix + b"4242424242424242" + b"xyz"), ["4242424242424242"])
    assert not leaks("here", b"4242", ["4242424242424242"])


def test_every_form_is_found_among_the_words_of_a_file():
    for secret in (*SEARCHED, "sk_live_the_gateways_own_secret", "plk_0123456789abcdefghijklmnop"):
        for form in forms(secret):
            for around in (b"\0\0", b"\xff", b"x", b"\0x\0", b"\0\0\0x"):
                assert any(form in word for word in words(around + form + around)), form


@dataclass
class Flow:
    """What is left of a whole flow: answers, logs, outputs, folders, and the URL of the database's owner."""

    folder: Path
    log: str
    texts: dict[str, bytes] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    dump: bytes = b""
    persistence: dict[str, bytes] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)


# The first card is all zeros, which the files of a database are full of.
SEARCHED = [card.pan for card in all_cards() if len(set(card.pan)) > 1]


@pytest.fixture(scope="module")
async def flow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaks")
    temporary = folder / "tmp"
    temporary.mkdir()
    async with recording() as app, recording() as gateway:
        config = configuration.write(folder, app.url, gateway.url)
        running = await PanlessProcess(config, {"TMPDIR": str(temporary)}).start()
        done = Flow(folder, "")
        key = await running.add_app("shop")
        done.keys.append(key)
        async with aiohttp.ClientSession() as client:
            await _good_requests(running, client, app, gateway, key, done)
            await _bad_requests(running, client, gateway, key, done)
            for page in ("metrics", "readyz", "healthz", "nowhere/4242424242424242"):
                async with client.get(f"{running.urls['admin']}/{page}") as answer:
                    done.texts[f"admin {page}"] = await answer.read()
        for command in (
            ["audit", "list"],
            ["audit", "list", "--json"],
            ["app", "list"],
            ["check"],
            ["audit", "verify"],
        ):
            ended = await panless(*command, "-c", config)
            done.texts[" ".join(command)] = (ended.out + ended.err).encode()
        await _look_into_the_database(folder / "data", done)
        assert await running.stop() == 0
        done.log = running.log
        return done


async def _good_requests(running, client, app, gateway, key, done):
    gateway.answer = lambda received: Answer(402, b'{"declined": %s}' % received.body)
    for number, pan in enumerate(cards()):
        card = {"number": pan, "cvc": CVCS[number % 2]}
        body = (
            {"card": card}
            if number % 3
            else {"card": card | {"number": "-".join(pan[n : n + 4] for n in range(0, 19, 4))}}
        )
        async with client.post(f"{running.urls['inbound']}/checkout", json=body) as answer:
            assert answer.status == 200, pan
        done.texts[f"app {pan}"] = app.last.head + app.last.body
        tokens = app.last.json()["card"]
        async with client.post(
            f"{running.urls['outbound']}/gateway/charges", json={"card": tokens}, headers={"Panless-Key": key}
        ) as answer:
            assert answer.status == 402
            assert gateway.last.json()["card"] == card
            done.texts[f"answer {pan}"] = await answer.read() + repr(answer.headers).encode()


async def _bad_requests(running, client, gateway, key, done):
    inbound, outbound = running.urls["inbound"], running.urls["outbound"]
    for card in all_cards():
        pan = card.pan
        requests = [
            (f"{inbound}/checkout", {"json": {"card": {"number": -int(pan)}}}),
            (f"{inbound}/checkout", {"json": {"card": {"number": pan + "x"}}}),
            (f"{inbound}/checkout", {"json": {"card": {"number": pan, "cvc": "99999"}}}),
            (f"{inbound}/checkout", {"data": b'{"card": {"number": "%s"' % pan.encode(), "headers": JSON}),
            (f"{inbound}/checkout", {"data": b'{"card": {"number": "%s\xff"}}' % pan.encode(), "headers": JSON}),
            (f"{inbound}/{pan}", {"json": {}}),
            (f"{inbound}/checkout?n={pan}", {"data": pan, "headers": {"Content-Type": f"text/{pan}"}}),
            (f"{inbound}/checkout", {"json": [], "headers": {"X-Request-Id": pan, "Cookie": pan}}),
            (f"{outbound}/gateway/x", {"json": {"card": {"number": pan}}, "headers": {"Panless-Key": key}}),
            (f"{outbound}/gateway/x", {"json": {}, "headers": {"Panless-Key": f"plk_{pan}"}}),
            (f"{outbound}/gateway/x", {"json": {}, "headers": {"Authorization": f"Bearer {pan}"}}),
        ]
        for number, (url, options) in enumerate(requests):
            async with client.post(url, **options) as answer:
                assert answer.status >= 400 or "X-Request-Id" in options.get("headers", {})
                done.texts[f"refusal {number} {pan}"] = await answer.read() + repr(answer.headers).encode()


JSON = {"Content-Type": "application/json"}


async def _look_into_the_database(data_dir: Path, done: Flow) -> None:
    """Keep every row of every table as text, as the superuser sees it, and put everything on disk."""
    connection = await asyncpg.connect(host=str(data_dir / "run"), port=5432, user="postgres", database="panless")
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, relname) AS name FROM pg_stat_user_tables ORDER BY 1"
        )
        assert len(tables) >= 7
        rows = [row[0] for table in tables for row in await connection.fetch(f"SELECT t::text FROM {table['name']} t")]
        assert len(rows) > 100
        done.dump = "\n".join(rows).encode()
        tables = await connection.fetch(
            "SELECT relname, relpersistence FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        done.persistence = dict(tables)
        done.kinds = [row[0] for row in await connection.fetch("SELECT DISTINCT kind FROM tokens")]
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def test_logs_are_complete_and_hold_no_card(flow):
    assert flow.log.count('"event": "request"') > 400, "the requests were logged"
    assert not leaks("log", flow.log.encode(), SEARCHED)


FIELDS = "event level timestamp request_id listener route app method status code values milliseconds"


def test_a_log_line_of_a_request_has_nothing_in_it_but_names_and_numbers_of_our_own(flow):
    lines = [json.loads(line) for line in flow.log.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert {frozenset(line) for line in requests} == {frozenset(FIELDS.split())}
    assert {line["route"] for line in requests} == {"-", "checkout", "gateway"}
    assert {line["method"] for line in requests} == {"POST"}
    assert {line["app"] for line in requests} == {None, "shop"}


async def test_verification_codes_are_in_one_table_and_that_is_unlogged(flow):
    assert flow.persistence["cvc_leases"] == b"u"
    assert {name for name, kept in flow.persistence.items() if kept != b"p"} == {
        "cvc_leases",
        "lease_keys",
        "processes",
    }
    assert flow.kinds == ["pan"]


def test_answers_outputs_and_metrics_hold_no_card(flow):
    found = []
    for where, data in flow.texts.items():
        found += leaks(where, data, SEARCHED)
    assert not found


def test_no_table_holds_a_card_or_a_key(flow):
    assert not leaks("tables", flow.dump, [*SEARCHED, *flow.keys])


def test_no_file_of_the_data_directory_holds_a_card_a_key_or_a_secret(flow):
    secrets = [*SEARCHED, *flow.keys, configuration.GATEWAY_SECRET]
    seen: dict[bytes, str] = {}
    searched, bytes_read = 0, 0
    for path in sorted((flow.folder / "data").rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            searched, bytes_read = searched + 1, bytes_read + len(data)
            seen = dict.fromkeys(words(data), path.name) | seen
    assert searched > 500 and bytes_read > 2**24, "heap, WAL and logs were all searched"
    assert any("pg_wal" in str(path) for path in (flow.folder / "data").rglob("*"))
    found = leaks("one of them", b"\n".join(seen), secrets)
    assert not found, [leak for word, name in seen.items() for leak in leaks(name, word, secrets)]


def test_temporary_files_are_none(flow):
    assert list((flow.folder / "tmp").rglob("*")) == []


def test_the_kek_is_in_one_file_only_and_that_is_private(flow):
    kek_file = flow.folder / "data" / "kek"
    assert kek_file.stat().st_mode & 0o777 == 0o600
    kek = base64.b64decode(kek_file.read_text().split()[2])
    for path in (flow.folder / "data").rglob("*"):
        if path.is_file() and path != kek_file:
            data = path.read_bytes()
            assert kek not in data
            assert kek.hex().encode() not in data
            assert base64.b64encode(kek) not in data


@pytest.mark.usefixtures("own_interpreter")
async def test_core_dumps_are_off(tmp_path):
    async with recording() as app, recording() as gateway:
        running = await PanlessProcess(configuration.write(tmp_path, app.url, gateway.url)).start()
        limits = Path(f"/proc/{running.pid}/limits")
        if limits.exists():
            line = next(line for line in limits.read_text().splitlines() if line.startswith("Max core file size"))
            assert line.split()[4:6] == ["0", "0"]
        await running.stop()
