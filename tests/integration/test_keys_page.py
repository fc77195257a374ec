"""The page docs/keys.md, walked: its commands are taken from it, and given as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.harness import configuration
from tests.harness.cards import cards
from tests.harness.custodians import ceremony, unseal
from tests.harness.process import PanlessProcess, panless
from tests.harness.shopping import Shopping, echo_tokens
from tests.harness.upstream import recording

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()
NUMBERS = cards()[:20]


def steps(heading: str, number: int = 0) -> list[str]:
    """The lines of one block of commands below a heading."""
    section = re.split(r"^#{2,} ", PAGE.partition(f" {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[number].splitlines()


class Site:
    """A Panless with a data directory, a backup and a safe, and whoever walks the page."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder, self.config = folder, config
        self.process = PanlessProcess(config)
        self.key = ""
        for name in ("backup", "safe"):
            (folder / name).mkdir()

    async def start(self) -> Site:
        await self.process.start()
        return self

    async def stop(self) -> None:
        assert await self.process.stop() == 0

    async def walk(self, lines: list[str], **places: str) -> None:
        data = str(self.config.parent / "data")
        places |= {"DATA": data, "BACKUP": f"{self.folder}/backup", "SAFE": f"{self.folder}/safe"}
        places |= {"FILE": str(self.config)}
        for line in lines:
            if line.startswith("# "):
                await {"# stop Panless": self.stop, "# start Panless": self.start}[line]()
                continue
            told = re.sub(r"\b[A-Z]{2,}\b", lambda match: places[match[0]], line)
            await self.run(told)

    async def run(self, command: str) -> str:
        shell = await asyncio.create_subprocess_shell(
            f'panless() {{ "{sys.executable}" -m proxy.cli "$@"; }}\n{command}',
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ},
        )
        out, err = await shell.communicate()
        assert shell.returncode == 0, (command, out, err)
        return out.decode()

    async def shop(self, numbers: list[str]) -> Shopping:
        shop = Shopping(self.process, self.key)
        async with aiohttp.ClientSession() as client:
            for number in numbers:
                await shop.buy(client, number)
        self.right(shop)
        return shop

    async def charge(self, shop: Shopping) -> None:
        shop.statuses.clear()
        await shop.charge_all()
        self.right(shop)

    def right(self, shop: Shopping) -> None:
        assert not shop.wrong
        assert {status for _, status in shop.statuses} == {200}, shop.statuses

    async def status(self) -> dict[str, dict]:
        done = await panless("keys", "status", "--all", "--json", "-c", self.config)
        assert done.code == 0, done.err
        return {key["id"]: key for key in json.loads(done.out)["keys"]}


@pytest.fixture
async def site(tmp_path):
    async with recording() as app, recording() as gateway:
        echo_tokens(app, gateway)
        config = configuration.write(tmp_path / "site", app.url, gateway.url)
        site = await Site(tmp_path, config).start()
        site.key = await site.process.add_app("shop")
        yield site
        await site.process.stop()


async def test_the_database_is_lost_and_comes_back_from_a_backup(site):
    shop = await site.shop(NUMBERS[:10])
    await site.walk(steps("Making a backup"))
    assert not (site.folder / "backup" / "data" / "kek").exists()
    later = await site.shop(NUMBERS[10:])
    await site.walk(steps("The database is lost"))
    await site.charge(shop)
    later.statuses.clear()
    await later.charge_all()
    assert {status for _, status in later.statuses} == {404}


async def test_a_backup_from_before_a_rotation_opens_with_the_kek_of_that_time(site):
    shop = await site.shop(NUMBERS[:5])
    await site.walk(steps("Making a backup"))
    await site.run(f"panless keys rotate kek --config {site.config}")
    await site.walk(["cp -p DATA/kek SAFE/kek"])
    await site.walk(steps("The database is lost"))
    await site.charge(shop)


async def test_the_kek_is_lost_and_comes_back_from_its_copy(site):
    shop = await site.shop(NUMBERS[:5])
    await site.walk(steps("Making a backup"))
    (site.config.parent / "data" / "kek").unlink()
    await site.charge(shop)  # it is in memory
    await site.walk(steps("The KEK is lost"))
    await site.charge(shop)


async def test_without_any_copy_of_the_kek_an_empty_vault_is_begun_and_nothing_of_the_old_one_opens(site):
    shop = await site.shop(NUMBERS[:5])
    await site.stop()
    (site.config.parent / "data" / "kek").unlink()
    refused = await panless("serve", "-c", site.config)
    assert (refused.code, "key_unavailable" in refused.err) == (1, True)
    await site.walk(steps("The KEK is lost", 1)[1:])
    site.key = shop.key = await site.process.add_app("shop")
    shop.statuses.clear()
    await shop.charge_all()
    assert {status for _, status in shop.statuses} == {404}
    await site.shop(NUMBERS[:5])


async def test_a_stolen_backup_opens_nothing_once_its_kek_is_destroyed(site):
    shop = await site.shop(NUMBERS[:5])
    await site.walk(steps("Making a backup"))
    (old,) = [each["id"] for each in (await site.status()).values() if each["key"] == "kek"]
    await site.walk(steps("A backup is lost, or was stolen"), ID=old)
    assert (await site.status())[old]["state"] == "destroyed"
    await site.charge(shop)
    await site.stop()
    await site.walk(["mv DATA DATA.new", "cp -a BACKUP/data DATA", "cp -p SAFE/kek DATA/kek"])
    refused = await panless("serve", "-c", site.config)
    assert (refused.code, "does not hold it" in refused.err) == (1, True), refused.err


async def test_a_compromised_key_and_a_tenant_that_is_erased(site):
    shop = await site.shop(NUMBERS[:5])
    for what in ("dek", "fingerprint", "kek"):
        active = [each for each in (await site.status()).values() if (each["key"], each["state"]) == (what, "active")]
        await site.walk(steps("A key may be known to others"), ID=active[0]["id"])
        assert (await site.status())[active[0]["id"]]["state"] in ("compromised", "destroyed")
        await site.charge(shop)
    receipt = site.folder / "receipt.txt"
    (erase,) = steps("Erasing a tenant")
    await site.run(
        erase.replace("NAME", "default --yes").replace("receipt.txt", str(receipt)).replace("FILE", str(site.config))
    )
    verifier = (await panless("keys", "public", "-c", site.config)).out.splitlines()[-1]
    from vault.crypto import signed_note

    assert json.loads(signed_note.verify(receipt.read_text(), verifier))["records_unreadable"] == 5
    shop.statuses.clear()
    await shop.charge_all()
    assert {status for _, status in shop.statuses} == {410}
    await site.shop(NUMBERS[:5])  # the tenant can begin anew


@pytest.mark.long
async def test_a_custodian_is_lost(tmp_path):
    """The steps of docs/keys/custodians.md: a new ceremony, both KEKs open, rotation, the old shares destroyed."""
    async with recording() as app, recording() as gateway:
        echo_tokens(app, gateway)
        head = '[keys]\nprovider = "custodians"\nrecord = "custodians.json"\n'
        config = configuration.write(tmp_path / "site", app.url, gateway.url, head=head)
        old = await ceremony(config, tmp_path / "first")
        site = await Site(tmp_path, config).start()
        try:
            for share in old[:3]:
                await unseal(config, share)
            site.key = await site.process.add_app("shop")
            shop = await site.shop(NUMBERS[:5])
            new = await ceremony(config, tmp_path / "second")
            refused = await panless("keys", "rotate", "kek", "-c", config, stdin="\n".join(old[:3] + new[:3]).encode())
            assert (refused.code, "kek_out_of_reach" in refused.err) == (1, True), refused.err
            for share in new[:3]:
                await unseal(config, share)
            done = await panless("keys", "rotate", "kek", "-c", config, stdin="\n".join(old[:3] + new[:3]).encode())
            assert done.code == 0, done.err
            keks = [each for each in (await site.status()).values() if each["key"] == "kek"]
            assert [each["state"] for each in keks] == ["deactivated", "active"]
            assert keks[0]["protects"] == 0
            refused = await panless("keys", "destroy", keks[0]["id"], "-c", config)
            assert "--gone" in refused.err
            assert (await panless("keys", "destroy", keks[0]["id"], "--gone", "-c", config)).code == 0
            await site.charge(shop)
            await site.stop()
            await site.start()
            for share in new[1:4]:  # the new ones are enough
                await unseal(config, share)
            await site.charge(shop)
        finally:
            await site.process.stop()
