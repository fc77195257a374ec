"""The page docs/keys/custodians.md, walked: the ceremony, a sealed Panless, custodians at a real terminal."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import aiohttp
import click
import pytest

from tests.harness import configuration
from tests.harness.commands import COMMAND
from tests.harness.custodians import HEAD, NAMES, ceremony, unseal, words_in
from tests.harness.forward import LISTEN, Client, ForwardWorld, routes
from tests.harness.process import PanlessProcess, panless, serving
from tests.harness.terminal import Terminal
from tests.harness.upstream import recording

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "keys" / "custodians.md").read_text()
CARD = {"card": {"number": "4242424242424242"}}


def commands() -> list[list[str]]:
    """The commands of the page, as words."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.split()[:1] == ["panless"]]


@pytest.fixture
async def app():
    async with recording() as upstream:
        yield upstream


@pytest.fixture
def config(tmp_path, app) -> Path:
    return configuration.write(tmp_path, app.url, app.url, head=HEAD)


@pytest.fixture
async def shares(config, tmp_path) -> list[str]:
    """A ceremony as the page holds it."""
    (command,) = [each for each in commands() if "--shares" in each]
    assert command[:3] == ["panless", "keys", "ceremony"]
    out = tmp_path / "ceremony"
    places = {"panless.toml": str(config), "/media/ceremony": str(out)}
    done = await panless(*(places.get(word, word) for word in command[1:]))
    assert done.code == 0, done.err
    shares = [words_in((out / f"{name}.share").read_text()) for name in NAMES]
    assert not any(words in done.out + done.err for words in shares)
    assert not any(three in done.out + done.err for words in shares for three in threes(words))
    return shares


def threes(words: str) -> list[str]:
    """Three words in a row: what no text of ours has by chance."""
    split = words.split()
    return [" ".join(split[i : i + 3]) for i in range(len(split) - 2)]


async def get(url: str) -> tuple[int, dict]:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.json()


async def post(running: PanlessProcess, client: aiohttp.ClientSession) -> tuple[int, str]:
    async with client.post(f"{running.urls['inbound']}/checkout", json=CARD) as answer:
        return answer.status, answer.headers.get("Panless-Error", "")


async def charge(running: PanlessProcess, client: aiohttp.ClientSession, key: str, body: dict) -> tuple[int, str]:
    url, headers = f"{running.urls['outbound']}/gateway/charges", {"Panless-Key": key}
    async with client.post(url, json=body, headers=headers) as answer:
        return answer.status, answer.headers.get("Panless-Error", "")


def test_every_command_of_the_page_exists():
    from proxy.cli.main import cli

    found = commands()
    assert len(found) >= 6
    for words in found:
        command, names = cli, iter(words[1:])
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), next(names))
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


async def test_sealed_then_unsealed_without_a_restart(config, shares, app):
    async with serving(config) as running, aiohttp.ClientSession() as client:
        key = await running.add_app("shop")  # needs no KEK
        assert await get(running.urls["admin"] + "/healthz") == (200, {"status": "ok"})
        status, document = await get(running.urls["admin"] + "/readyz")
        assert (status, document["code"]) == (503, "vault_sealed")
        async with client.post(f"{running.urls['inbound']}/checkout", json=CARD) as answer:
            assert (answer.status, answer.content_type) == (503, "application/problem+json")
            assert (await answer.json())["code"] == "vault_sealed"
        async with client.post(f"{running.urls['inbound']}/upload/x", data=b"no card") as answer:
            assert answer.status == 200  # needs no key
        for number, words in enumerate(shares[:2], 1):
            done = await unseal(config, words)
            assert (done.code, done.out) == (0, f"{number} of 3 shares given; thank you, {NAMES[number - 1]}.\n")
            assert await post(running, client) == (503, "vault_sealed")
        done = await unseal(config, shares[4], "--json")
        (process,) = json.loads(done.out)["processes"]
        assert (process["pid"], process["custodian"], process["opened"]) == (running.pid, "emil", True)
        assert await get(running.urls["admin"] + "/readyz") == (200, {"status": "ready"})
        assert await post(running, client) == (200, "")
        assert await charge(running, client, key, app.last.json()) == (200, "")
        assert app.last.json() == CARD
        assert (await unseal(config, shares[3])).out == "It is unsealed already.\n"
        events = [(e["action"], e["outcome"], e.get("origin")) for e in await running.events()]
    user = _user()
    assert [event for event in events if event[0].startswith("keys.")] == [
        ("keys.sealed", "permitted", "start"),
        ("keys.share", "permitted", f"custodian anna, operator {user}"),
        ("keys.share", "permitted", f"custodian bert, operator {user}"),
        ("keys.share", "permitted", f"custodian emil, operator {user}"),
        ("keys.unseal", "permitted", f"custodian emil, operator {user}"),
    ]
    done = await panless("audit", "verify", "-c", config)
    assert done.code == 0, done.err


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.long
async def test_requests_under_load_succeed_when_they_are_repeated(config, shares):
    async with serving(config) as running, aiohttp.ClientSession() as client:
        refused = 0

        async def until_it_succeeds() -> None:
            nonlocal refused
            while (answer := await post(running, client)) != (200, ""):
                assert answer == (503, "vault_sealed")
                refused += 1
                await asyncio.sleep(0.05)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(until_it_succeeds())
            for words in shares[1:4]:
                assert (await unseal(config, words)).code == 0
        assert refused >= 20


@pytest.mark.long
async def test_refused_shares_and_a_wrong_set(config, shares, tmp_path):
    other = configuration.write(tmp_path / "other", "http://127.0.0.1:1", "http://127.0.0.1:1", head=HEAD)
    strangers = await ceremony(other, tmp_path / "other" / "out")
    async with serving(config) as running:
        assert (await unseal(config, shares[0])).code == 0
        words = shares[1].split()
        typo = " ".join(["acid" if words[0] != "acid" else "acne", *words[1:]])
        swapped = " ".join([words[1], words[0], *words[2:]])
        unknown = " ".join([*words[:6], "qwertz", *words[7:]])
        for wrong, reason in [
            (typo, "checksum"),
            (swapped, "checksum"),
            (unknown, "word 7 "),
            (strangers[1], "another ceremony"),
            ("", "0 words"),
        ]:
            done = await unseal(config, wrong)
            assert (done.code, done.out) == (1, "")
            assert "share_rejected" in done.err and reason in done.err
            assert not any(three in done.err for three in threes(wrong))
            done = await unseal(config, wrong, "--json")
            assert (done.code, json.loads(done.out)["processes"][0]["code"]) == (1, "share_rejected")
        assert (await unseal(config, shares[0])).out.startswith("1 of 3")  # twice counts once
        denied = [e for e in await running.events("--action", "keys.share") if e["outcome"] == "denied"]
        assert len(denied) == 10 and {e["code"] for e in denied} == {"share_rejected"}
        text = running.log + json.dumps(await running.events())
        assert "qwertz" not in text
        assert not any(three in text for words in (*shares, *strangers) for three in threes(words))


@pytest.mark.long
async def test_a_set_that_does_not_open_the_kek_is_dropped(config, shares):
    record = config.parent / "custodians.json"
    good = record.read_text()
    record.write_text(good.replace('"dora"', '"mallory"'))
    async with serving(config) as running:
        for words in shares[:2]:
            assert (await unseal(config, words)).code == 0
        done = await unseal(config, shares[2])
        assert (done.code, "shares_do_not_fit" in done.err) == (1, True)
        _, document = await get(running.urls["admin"] + "/readyz")
        assert "0 of 3" in document["detail"]
        (event,) = await running.events("--action", "keys.unseal")
        assert (event["outcome"], event["code"]) == ("denied", "shares_do_not_fit")
    record.write_text(good)
    async with serving(config):
        for words in shares[:3]:
            done = await unseal(config, words)
        assert "Unsealed" in done.out


@pytest.mark.long
async def test_after_kill_9_it_begins_at_none_again(config, shares):
    running = await PanlessProcess(config).start()
    for words in shares[:2]:
        await unseal(config, words)
    stale = config.parent / "data" / f"control-{running.pid}.sock"
    assert stale.exists()
    await running.kill()
    done = await unseal(config, shares[2])
    assert (done.code, "not_running" in done.err) == (1, True)
    assert not stale.exists()
    async with serving(config) as again:
        _, document = await get(again.urls["admin"] + "/readyz")
        assert "0 of 3" in document["detail"]
        assert (await unseal(config, shares[2])).out.startswith("1 of 3")
        for words in shares[:2]:
            done = await unseal(config, words)
        assert "Unsealed" in done.out
        assert (await get(again.urls["admin"] + "/readyz"))[0] == 200
    assert not list((config.parent / "data").glob("control-*"))


async def test_sealing_at_once(config, shares, app):
    async with serving(config) as running, aiohttp.ClientSession() as client:
        key = await running.add_app("shop")
        for words in shares[:3]:
            await unseal(config, words)
        assert await post(running, client) == (200, "")
        tokens = app.last.json()
        assert await charge(running, client, key, tokens) == (200, "")
        done = await panless("seal", "-c", config)
        assert (done.code, done.out) == (0, "Sealed.\n")
        assert await post(running, client) == (503, "vault_sealed")
        assert await charge(running, client, key, tokens) == (503, "vault_sealed")
        assert (await get(running.urls["admin"] + "/readyz"))[0] == 503
        assert [e["outcome"] for e in await running.events("--action", "keys.seal")] == ["permitted"]
        for words in shares[2:]:
            await unseal(config, words)
        assert await post(running, client) == (200, "")


async def test_commands_that_need_the_kek_ask_for_shares(tmp_path, app):
    config = configuration.write(tmp_path, app.url, app.url, head=HEAD + LISTEN, extra=routes(app.url))
    shares = await ceremony(config, tmp_path / "out")
    async with serving(config) as running:
        client = await Client.connect(ForwardWorld(config, running.urls, app, app))
        answer = await client.tunnel()
        assert (answer.status, answer.headers["panless-error"]) == (503, "vault_sealed")
        client.close()
        done = await panless("ca", "show", "-c", config)  # sealed, none was made yet, and nobody gives a share
        assert (done.code, "vault_sealed" in done.err) == (1, True)
        done = await panless("ca", "show", "--json", "-c", config, stdin="\n".join(shares[:2]).encode())
        assert (done.code, "2 of 3" in done.err) == (1, True)
        for words in shares[:3]:
            assert (await unseal(config, words)).code == 0
        (made,) = json.loads((await panless("ca", "show", "--json", "-c", config)).out)  # made when it was unsealed
        assert made["state"] == "active"
        client = await Client.connect(ForwardWorld(config, running.urls, app, app))
        assert (await client.tunnel()).status == 200
        client.close()
        stdin = "\n".join(["not a share", shares[4], shares[4], shares[3], shares[2]]).encode()
        done = await panless("ca", "rotate", "--json", "-c", config, stdin=stdin)
        assert done.code == 0, done.err
        assert json.loads(done.out)["state"] == "pre-active"
        assert not any(three in done.out + done.err for words in shares for three in threes(words))
        # the command opened the KEK for itself alone
        await panless("seal", "-c", config)
        await panless("ca", "export", "-c", config, stdin="\n".join(shares[:3]).encode())
        assert (await get(running.urls["admin"] + "/readyz"))[0] == 503


async def test_the_rehearsal(config, shares):
    (command,) = [each for each in commands() if "--verify" in each]
    arguments = [str(config) if word == "panless.toml" else word for word in command[1:]]
    done = await panless(*arguments, stdin="\n".join(shares[2:]).encode())
    assert done.code == 0, done.err
    kek = json.loads((config.parent / "custodians.json").read_text())["keks"][0]["id"]
    assert f"open {kek}" in done.out
    assert not (config.parent / "data").exists()
    done = await panless(*arguments, stdin="\n".join(shares[2:4]).encode())
    assert done.code == 1
    record = config.parent / "custodians.json"
    record.write_text(record.read_text().replace('"anna"', '"anne"'))
    done = await panless(*arguments, stdin="\n".join(shares[2:]).encode())
    assert (done.code, "shares_do_not_fit" in done.err) == (1, True)


@pytest.mark.long
async def test_a_second_kek_is_opened_beside_the_first(config, shares, tmp_path):
    async with serving(config) as running, aiohttp.ClientSession() as client:
        for words in shares[:3]:
            await unseal(config, words)
        second = await ceremony(config, tmp_path / "second", ("fred", "gina", "hugo"), 2)
        assert await post(running, client) == (200, "")
        assert (await unseal(config, second[0])).out == "1 of 2 shares given; thank you, fred.\n"
        assert (await get(running.urls["admin"] + "/readyz"))[0] == 200  # the new KEK is not needed yet
        assert "Unsealed" in (await unseal(config, second[2])).out


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--threshold", "1"), 1, "one custodian alone"),
        (("--threshold", "3"), 1, "could never"),
        (("--threshold", "2", "--shares", "3"), 2, "exactly one"),
        (("--threshold", "2", "--custodian", "ANNA"), 2, "named twice"),
        (("--threshold", "2", "--custodian", "../up"), 2, "letters"),
        (("--threshold", "2", "--custodian", "cleo=age1nonsense"), 1, "public key of cleo"),
        ((), 2, "--threshold"),
    ],
    ids=str,
)
async def test_a_ceremony_that_makes_no_sense_is_refused(config, tmp_path, arguments, code, why):
    two = ("--custodian", "anna", "--custodian", "bert", "--out", tmp_path / "out")
    done = await panless("keys", "ceremony", "-c", config, *two, *arguments)
    assert done.code == code
    assert why in done.err
    assert not (tmp_path / "out").exists()
    assert not (config.parent / "custodians.json").exists()


async def test_the_file_provider_has_no_custodians(tmp_path):
    config = configuration.write(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1")
    done = await panless("keys", "ceremony", "-c", config, "--verify")
    assert (done.code, "provider" in done.err) == (2, True)
    async with serving(config):
        done = await unseal(config, "x")
        assert (done.code, "not_running" in done.err) == (1, True)


async def test_a_missing_record_ends_the_start(config):
    done = await panless("serve", "-c", config)
    assert done.code == 1
    assert "panless keys ceremony" in done.err


def processes_that_show(text: bytes) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_bytes().replace(b"\0", b" "):
                found.append(str(path))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux (/proc)")
async def test_a_share_at_a_terminal_shows_nowhere(config, shares, tmp_path):
    command = shlex.join([*COMMAND, "unseal", "--config", str(config)])
    async with serving(config) as running, aiohttp.ClientSession() as client, Terminal(tmp_path / "home") as terminal:
        await terminal.until("shell> ")
        for number, words in enumerate(shares[:3], 1):
            before = len(terminal.screen)
            terminal.type(command + "\n")
            await terminal.until("Your share", before)
            terminal.type(words)
            await asyncio.sleep(0.3)  # what is echoed would be on the screen by now
            assert not [p for three in threes(words)[:5] for p in processes_that_show(three.encode())]
            terminal.type("\n")
            await terminal.until("Unsealed" if number == 3 else f"{number} of 3 shares given", before)
        await terminal.leave()
        assert await post(running, client) == (200, "")
        kek = _kek(shares)
        places = {str(path): path.read_bytes() for path in _files(config.parent / "data", tmp_path / "home")}
        places |= {"screen": terminal.screen, "log": running.log.encode(), "record": _record(config)}
        places["events"] = json.dumps(await running.events()).encode()
    assert b"unseal" in places[str(tmp_path / "home" / "history")]
    assert len(places) > 500
    needles = [three.encode() for words in shares for three in threes(words)]
    needles += [kek, kek.hex().encode(), base64.b64encode(kek)[:42]]
    assert [(where, needle) for where, data in places.items() for needle in needles if needle in data] == []


def _kek(shares: list[str]) -> bytes:
    from shamir_mnemonic import combine_mnemonics

    return combine_mnemonics(shares[:3])


def _record(config: Path) -> bytes:
    return (config.parent / "custodians.json").read_bytes()


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


async def test_ctrl_c_ends_the_prompt_and_the_echo_comes_back(config, shares, tmp_path):
    command = shlex.join([*COMMAND, "keys", "ceremony", "--verify", "--config", str(config)])
    async with Terminal(tmp_path / "home") as terminal:
        await terminal.until("shell> ")
        terminal.type(command + "\n")
        await terminal.until("Share 1 of 3")
        terminal.type(shares[0] + "\n")
        await terminal.until("Share of anna taken: 1 of 3")
        await terminal.until("Share 2 of 3")
        before = len(terminal.screen)
        await asyncio.sleep(0.3)  # the prompt is shown a moment before it is listened to
        os.write(terminal.master, b"\x03")
        await terminal.until("shell> ", before)
        terminal.type("echo seen-$((1 + 1))\n")
        await terminal.until("echo seen-$((1 + 1))", before)
        await terminal.until("seen-2", before)
        await terminal.leave()


@pytest.mark.long
async def test_every_process_of_the_data_directory_is_unsealed(config, shares, tmp_path, app):
    """Two with a database of their own each, and one data directory for what they share."""
    from tests.harness.external import external

    async with external(tmp_path / "server") as database:
        head = f'database = {{ url = "{database.url}" }}\n' + HEAD
        config = configuration.write(tmp_path, app.url, app.url, head=head)
        second = tmp_path / "second.toml"
        second.write_text(config.read_text())
        assert (await panless("migrate", "-c", config)).code == 0
        async with serving(config) as one, serving(second) as two, aiohttp.ClientSession() as client:
            await unseal(config, shares[0])
            async with serving_third(tmp_path, config) as three:
                done = await unseal(config, shares[1], "--json")
                given = {each["pid"]: each["given"] for each in json.loads(done.out)["processes"]}
                assert given == {one.pid: 2, two.pid: 2, three.pid: 1}
                done = await unseal(config, shares[2])
                assert done.out.count("Unsealed") == 2 and "2 of 3" in done.out
                for running in (one, two):
                    assert await post(running, client) == (200, "")
                assert await post(three, client) == (503, "vault_sealed")
                assert (await unseal(config, shares[0])).out.count("Unsealed") == 1
                assert await post(three, client) == (200, "")
                await panless("seal", "-c", config)
                for running in (one, two, three):
                    assert await post(running, client) == (503, "vault_sealed")


def serving_third(folder: Path, config: Path):
    third = folder / "third.toml"
    third.write_text(config.read_text())
    return serving(third)


async def test_sigterm_while_sealed_ends_it_cleanly(config, shares):
    running = await PanlessProcess(config).start()
    assert await running.stop(signal.SIGTERM) == 0
    assert not list((config.parent / "data").glob("control-*"))
