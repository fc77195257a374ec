"""The audit log of a running Panless, by its commands: signed, exported, proven, archived, and held against anchors."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.collectors import collecting
from tests.harness.embedded import value
from tests.harness.process import panless, serving
from tests.harness.upstream import recording
from tests.harness.waiting import until

SCRIPT = Path(__file__).parents[2] / "docs" / "audit" / "verify_audit.py"


def by_the_script(export: Path, config: Path) -> int:
    command = [
        sys.executable,
        "-I",
        str(SCRIPT),
        str(export),
        str(config.parent / "keys"),
        str(config.parent / "anchors"),
    ]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
async def story(tmp_path_factory):
    """A Panless that has run and ended, its anchors, what a collector got, and the keys from before."""
    folder = tmp_path_factory.mktemp("audit") / "with a space"
    async with recording() as app, recording() as gateway, collecting() as collector:
        head = f"""
[audit]
checkpoint_seconds = 0.1
[[audit.sink]]
name = "anchors"
type = "file"
what = "checkpoints"
path = "anchors"
[[audit.sink]]
name = "siem"
type = "http"
what = "events"
format = "cef"
url = "{collector.url}"
"""
        config = configuration.write(folder, app.url, gateway.url, head=head)
        async with serving(config) as running, aiohttp.ClientSession() as client:
            for number in ("4242424242424242", "4111111111111111", "5555555555554444"):
                await client.post(f"{running.urls['inbound']}/checkout", json={"card": {"number": number}})
            (folder / "keys").write_text((await running.command("keys", "public")).out)

            async def signed():
                return await value(config, "SELECT coalesce(max(size), 0) FROM audit_checkpoints") >= 5

            await until(signed)
            async with client.get(f"{running.urls['admin']}/metrics") as answer:
                metrics = await answer.text()
    return config, collector, metrics


async def test_everything_is_signed_at_the_end_and_the_sinks_have_it(story):
    config, collector, metrics = story
    folder = config.parent
    given = ("--key", folder / "keys", "--anchor", folder / "anchors")
    done = await panless("audit", "verify", "-c", config, *given, "--json")
    assert done.code == 0, done.out
    report = json.loads(done.out)
    assert (report["findings"], report["not_covered"], report["begins"]) == ([], 0, 0)
    assert report["anchors"] == report["checkpoints"] >= 2
    assert len(collector.lines) == report["events"] == report["size"]
    assert "|stop permitted|" in collector.lines[-1]
    assert "panless_audit_gaps 0.0" in metrics
    assert "panless_audit_checkpoint_timestamp_seconds 1" in metrics


async def test_the_start_says_which_configuration_it_runs(story):
    config, _, _ = story
    done = await panless("audit", "list", "-c", config, "--action", "start", "--json")
    digest = hashlib.sha256(config.read_bytes()).hexdigest()
    assert json.loads(done.out.splitlines()[-1])["destination"] == f"configuration {digest}"


async def test_an_export_is_verified_by_us_and_by_the_script(story, tmp_path):
    config, _, _ = story
    folder, out = config.parent, tmp_path / "an export"
    assert (await panless("audit", "export", "-c", config, "--out", out)).code == 0
    done = await panless("audit", "verify", "--export", out, "--key", folder / "keys", "--anchor", folder / "anchors")
    assert done.code == 0, done.out
    assert by_the_script(out, config) == 0
    lines = (out / "events.jsonl").read_bytes().splitlines(keepends=True)
    (out / "events.jsonl").write_bytes(b"".join(lines[:-2]))
    done = await panless("audit", "verify", "--export", out, "--key", folder / "keys", "--json")
    assert done.code == 1
    assert [each["kind"] for each in json.loads(done.out)["findings"]] == ["cut_off"]
    assert by_the_script(out, config) == 1


async def test_an_old_backup_is_noticed_by_the_anchors(story, tmp_path):
    """What a restored backup is to the anchors: a log that ends before they do."""
    config, _, _ = story
    folder = config.parent
    later = tmp_path / "later"
    made = await panless("audit", "checkpoint", "-c", config)
    assert made.code == 0, made.err
    later.write_text(made.out)
    out = tmp_path / "old"
    assert (await panless("audit", "export", "-c", config, "--out", out)).code == 0
    notes = (out / "checkpoints").read_text().split("\n\n")
    size = int(notes[2].split("\n")[1])
    lines = (out / "events.jsonl").read_bytes().splitlines(keepends=True)
    (out / "events.jsonl").write_bytes(b"".join(lines[:size]))
    (out / "checkpoints").write_text("\n\n".join(notes[:4]))
    given = ("audit", "verify", "--export", out, "--key", folder / "keys")
    assert (await panless(*given)).code == 0
    done = await panless(*given, "--anchor", later)
    assert done.code == 1
    assert "cut_off" in done.out
    assert (await panless(*given, "--newer-than", "2999-01-01")).code == 1


async def test_one_event_is_proven_by_its_request(story, tmp_path):
    config, _, _ = story
    event = json.loads(
        (await panless("audit", "list", "-c", config, "--action", "tokenize", "--json")).out.splitlines()[0]
    )
    proof = await panless("audit", "prove", "-c", config, event["request_id"])
    assert proof.code == 0, proof.err
    (tmp_path / "proof").write_text(proof.out)
    keys = ("--key", config.parent / "keys", "--json")
    done = await panless("audit", "verify", "--proof", tmp_path / "proof", *keys)
    assert (done.code, json.loads(done.out)["event"]) == (0, event)
    (tmp_path / "proof").write_text(proof.out.replace("index ", "index 1"))
    assert (await panless("audit", "verify", "--proof", tmp_path / "proof", *keys)).code == 1
    assert (await panless("audit", "prove", "-c", config, f"{event['chain']}:99")).code == 1


async def test_events_are_printed_in_the_formats_of_collectors(story):
    config, collector, _ = story
    done = await panless("audit", "export", "-c", config, "--format", "cef")
    assert done.out.splitlines() == collector.lines
    done = await panless("audit", "export", "-c", config, "--format", "ocsf")
    assert {json.loads(line)["class_uid"] for line in done.out.splitlines()} == {6003}


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "--export", "/", "-c", "x"],
        ["verify", "--export", "/"],
        ["export", "-c", "x", "--out", "y", "--follow"],
    ],
)
async def test_wrong_use_is_said(arguments):
    assert (await panless("audit", *arguments)).code == 2


async def test_old_events_are_archived_and_pruned(story, tmp_path):
    config, _, _ = story  # the last test: it changes the log
    keys = config.parent / "keys"
    out = tmp_path / "archive"
    given = ("audit", "archive", "-c", config, "--before", "2999-01-01", "--out", out, "--key", keys, "--prune")
    done = await panless(*given)
    assert done.code == 0, done.err
    assert (await panless("audit", "verify", "--export", out, "--key", keys)).code == 0
    done = await panless(
        "audit", "verify", "-c", config, "--key", keys, "--anchor", config.parent / "anchors", "--json"
    )
    report = json.loads(done.out)
    assert (done.code, report["findings"], report["events"]) == (0, [], 1)
    assert report["begins"] == report["size"] - 1
