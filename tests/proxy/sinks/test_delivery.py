"""Sinks get what is under a checkpoint: at least once, from where they stopped, by one process at a time."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from proxy.config import Config
from proxy.config.load import parse
from proxy.edge.metrics import Metrics
from proxy.errors import ConfigInvalid
from proxy.secrets import LocalSecrets
from proxy.sinks import delivery
from proxy.sinks.building import build, check
from proxy.sinks.delivery import Deliveries, Delivery, deliver_now
from tests.harness.collectors import collecting, receiving
from tests.harness.verified import verified
from tests.harness.waiting import until
from vault.audit.checkpoint import split_notes
from vault.errors import AuditSinkFailed, PanlessError
from vault.feed import Feed
from vault.requests import Context
from vault.service import Vault
from vault.store.database import Database
from vault.upkeep.evidence import Demands
from vault.upkeep.history import keys_of_database, verify_history
from vault.upkeep.migrate import migrate
from vault.upkeep.startup import ensure_development_kek, open_database

CONTEXT = Context(request_id="r", route="-", destination="-")


@dataclass
class Logged:
    """A vault with a database of its own, and the number that the next sink's name gets."""

    folder: Path
    database: Database
    vault: Vault
    sinks: int = 0

    def config(self, **sink) -> Config:
        self.sinks += 1
        document = {"data_dir": "data", "audit": {"sink": [{"name": f"sink-{self.sinks}", **sink}]}}
        return parse(document, self.folder / "panless.toml")

    async def events(self, count: int, action: str = "start") -> None:
        for _ in range(count):
            await self.vault.record(action, CONTEXT)
        await self.vault.checkpointing.make()

    async def delivery(self, config: Config) -> Delivery:
        (sink,) = config.audit.sink
        return Delivery(sink, build(sink, config, lambda: LocalSecrets(config.folder)), await Feed.open(self.database))

    async def total(self) -> int:
        return (await verified(self.database)).events


@pytest.fixture(scope="module")
async def logged(tmp_path_factory):
    from proxy.settings import vault_settings

    folder = tmp_path_factory.mktemp("sinks")
    settings = vault_settings(parse({"data_dir": "data"}, folder / "panless.toml"))
    database = await open_database(settings, holder="serve")
    await migrate(database)
    await ensure_development_kek(settings, database)
    vault = await Vault.open(settings, database)
    yield Logged(folder, database, vault)
    await vault.close()
    await database.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path_factory.mktemp("ca") / "ca.pem")
    return made


def server_tls(authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_checkpoints_in_a_file_are_anchors(logged):
    await logged.events(2)
    await logged.events(2)
    config = logged.config(type="file", what="checkpoints", path="anchors")
    await deliver_now(config, logged.database)
    anchors = logged.folder / "anchors"
    assert anchors.stat().st_mode & 0o077 == 0
    before = split_notes(anchors.read_text())
    assert len(before) >= 2
    demands = Demands(await keys_of_database(logged.database), [anchors])
    report = await verify_history(logged.database, demands)
    assert (report.findings, report.anchors) == ([], len(before))
    await logged.events(1)
    await deliver_now(config, logged.database)
    assert split_notes(anchors.read_text())[: len(before)] == before
    assert len(split_notes(anchors.read_text())) == len(before) + 1


async def test_a_collector_gets_every_event_once_while_all_goes_well(logged, monkeypatch):
    monkeypatch.setattr("vault.feed.BATCH", 3)
    (logged.folder / "token").write_text("Bearer secret")
    async with collecting() as collector:
        config = logged.config(type="http", what="events", url=collector.url, headers={"Authorization": "file:token"})
        await logged.events(4)
        await deliver_now(config, logged.database)
        await logged.events(4)
        await deliver_now(config, logged.database)
        events = [json.loads(line) for line in collector.lines]
        assert len(events) == await logged.total()
        assert len({(event["chain"], event["seq"]) for event in events}) == len(events)
        assert {headers["Authorization"] for headers, _ in collector.received} == {"Bearer secret"}
        assert {headers["Content-Type"] for headers, _ in collector.received} == {"application/x-ndjson"}


@pytest.mark.parametrize("status", [500, 302, 404])
async def test_what_a_collector_did_not_take_is_sent_again(logged, status):
    async with collecting() as collector:
        config = logged.config(type="http", what="events", url=collector.url)
        collector.statuses = [status]
        with pytest.raises(AuditSinkFailed) as refused:
            await deliver_now(config, logged.database)
        assert collector.url not in str(refused.value)
        assert collector.received == []
        await deliver_now(config, logged.database)
        assert len(collector.lines) == await logged.total()


async def test_a_collector_that_is_away_gets_it_when_it_is_back(logged):
    config = logged.config(type="http", what="events", url="http://127.0.0.1:9/")
    with pytest.raises(AuditSinkFailed):
        await deliver_now(config, logged.database)


async def test_only_what_a_sink_wants_is_sent_and_the_rest_is_passed(logged):
    async with collecting() as collector:
        config = logged.config(type="http", what="events", url=collector.url, only=["break_glass.*"], format="ocsf")
        await logged.events(2)
        await logged.events(1, "break_glass.begin")
        await logged.events(2)
        await deliver_now(config, logged.database)
        (line,) = collector.lines
        assert json.loads(line)["api"]["operation"] == "break_glass.begin"
        assert json.loads(line)["severity"] == "High"
        await deliver_now(config, logged.database)
        assert len(collector.lines) == 1


async def test_two_processes_do_not_deliver_at_once(logged):
    async with collecting() as collector:
        config = logged.config(type="http", what="events", url=collector.url)
        await logged.events(2)
        one, other = await logged.delivery(config), await logged.delivery(config)
        name = config.audit.sink[0].name
        async with one._feed.next(name, "events") as batch:
            assert batch
            assert await other.step() is None
            assert collector.received == []
        await asyncio.gather(one.all(), other.all())
        assert len(collector.lines) == await logged.total() - len(batch)
        for each in (one, other):
            await each.close()
            await each._feed.close()


async def test_what_a_process_had_taken_when_it_ended_is_due_again(logged):
    config = logged.config(type="http", what="events", url="http://127.0.0.1:9/")
    name = config.audit.sink[0].name
    await logged.events(2)
    killed = await logged.delivery(config)
    with pytest.raises(RuntimeError):
        async with killed._feed.next(name, "events"):
            raise RuntimeError("killed")
    async with killed._feed.next(name, "events") as batch:
        assert batch.events[0].index == 0
    await killed.close()
    await killed._feed.close()


async def test_https_is_verified(logged, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with collecting(server_tls(authority)) as collector:
        good = logged.config(type="http", what="events", url=collector.url, ca=str(tmp_path / "ca.pem"))
        await deliver_now(good, logged.database)
        assert collector.lines
        bad = logged.config(type="http", what="events", url=collector.url)
        with pytest.raises(AuditSinkFailed):
            await deliver_now(bad, logged.database)


async def test_syslog_over_tcp_and_tls(logged, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    await logged.events(3)
    async with receiving() as plain, receiving(server_tls(authority)) as secure:
        config = logged.config(type="syslog", what="events", address=f"127.0.0.1:{plain.port}", tls=False, format="cef")
        await deliver_now(config, logged.database)
        assert len(plain.messages) == await logged.total()
        first = plain.messages[0].split(" ", 7)
        assert (first[0], first[3], first[5], first[6]) == ("<109>1", "panless", "event", "-")
        assert first[7].startswith("CEF:0|Panless|")
        to = {"type": "syslog", "what": "checkpoints", "address": f"localhost:{secure.port}"}
        await deliver_now(logged.config(**to, ca=str(tmp_path / "ca.pem")), logged.database)

        async def arrived():
            return bool(secure.messages)

        await until(arrived)
        assert json.loads(secure.messages[0].split(" ", 7)[7])["checkpoint"].startswith("panless/audit/")
        assert set(secure.versions) <= {"TLSv1.2", "TLSv1.3"}
        with pytest.raises(AuditSinkFailed):
            await deliver_now(logged.config(**to), logged.database)


async def test_checkpoints_become_objects_of_a_bucket(logged):
    from aiobotocore.session import get_session

    from tests.harness import kms

    await logged.events(1)
    with kms.serving() as stand_in:
        async with get_session().create_client("s3", region_name="us-east-1", endpoint_url=stand_in.url) as client:
            s3 = {"type": "s3", "what": "checkpoints", "bucket": "anchors", "endpoint": stand_in.url}
            config = logged.config(**s3, region="us-east-1")
            with pytest.raises(AuditSinkFailed):
                await deliver_now(config, logged.database)
            await client.create_bucket(Bucket="anchors")
            await deliver_now(config, logged.database)
            listed = (await client.list_objects_v2(Bucket="anchors"))["Contents"]
            assert listed[0]["Key"] == "panless/000000000001"
            body = await (await client.get_object(Bucket="anchors", Key=listed[-1]["Key"]))["Body"].read()
            assert body.decode().startswith("panless/audit/")


async def test_deliveries_go_on_by_themselves_and_say_how_far_they_are(logged, monkeypatch):
    monkeypatch.setattr(delivery, "LOOK_SECONDS", 0.01)
    async with collecting() as collector:
        collector.statuses = [500]
        config = logged.config(type="http", what="events", url=collector.url)
        metrics = Metrics()
        running = await Deliveries.start(config, logged.database, metrics, lambda: LocalSecrets(config.folder))
        await logged.events(2)
        total = await logged.total()
        name = config.audit.sink[0].name

        async def arrived():  # and counted: who is stopped between the two counts nothing
            return f'sent_total{{sink="{name}"}} {float(total)}' in metrics.render().decode()

        await until(arrived)
        await running.stop()
    assert len(collector.lines) == total
    text = metrics.render().decode()
    assert f'panless_audit_sink_failures_total{{sink="{name}"}} 1.0' in text
    assert f'panless_audit_sink_sent_total{{sink="{name}"}} {float(total)}' in text
    assert f'panless_audit_sink_behind{{sink="{name}"}} 0.0' in text


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "http", "what": "events", "url": "http://collector.example/"},
        {"type": "http", "what": "events", "url": "https://user:pw@collector.example/"},
        {"type": "http", "what": "events", "url": "https://c.example/", "headers": {"Authorization": "secret"}},
        {"type": "syslog", "what": "events", "address": "collector.example:514", "tls": False},
        {"type": "syslog", "what": "events", "address": "collector.example"},
        {"type": "s3", "what": "events", "bucket": "anchors"},
        {"type": "file", "what": "checkpoints", "path": "x", "only": ["reveal"]},
        {"type": "carrier-pigeon", "what": "events"},
    ],
)
async def test_dangerous_sinks_are_refused(logged, sink):
    with pytest.raises(ConfigInvalid):
        logged.config(**sink)


@pytest.mark.parametrize("sink", [{"headers": {"A": "env:PANLESS_NONE"}}, {"ca": "nothing.pem"}])
async def test_the_check_of_a_configuration_looks_at_sinks_too(logged, sink):
    config = logged.config(type="http", what="events", url="https://c.example/", **sink)
    with pytest.raises(ConfigInvalid):
        check(config, LocalSecrets(config.folder))


async def test_a_secret_that_is_not_there_is_named_and_nothing_runs(logged):
    config = logged.config(type="http", what="events", url="https://c.example/", headers={"A": "env:PANLESS_NONE"})
    with pytest.raises(PanlessError) as refused:
        await deliver_now(config, logged.database)
    assert "PANLESS_NONE" in str(refused.value)
