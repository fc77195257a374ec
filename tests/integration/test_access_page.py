"""The page docs/access.md, walked: its commands in their order, on a Panless that runs."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import aiohttp
import trustme

from proxy.config import parse
from tests.harness import configuration
from tests.harness.process import panless, serving
from tests.harness.upstream import recording

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "access.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for line in "".join(blocks).splitlines()]


def test_what_the_pages_configure_is_right():
    for page, least in (("access.md", 2), ("secrets.md", 1)):
        blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
        assert len(blocks) >= least
        for block in blocks:
            parse(tomllib.loads(f"[listen]\n{block}" if block.startswith("outbound") else block), DOCS / "x.toml")


async def test_the_page(tmp_path):
    trustme.CA().issue_cert("shop.example").cert_chain_pems[0].write_to_path(tmp_path / "shop.pem")
    walked = 0
    async with recording() as app, aiohttp.ClientSession() as client:
        config = configuration.write(tmp_path, app.url, app.url, head="[break_glass]\nenabled = true\n")
        places = {"panless.toml": str(config), "shop.pem": str(tmp_path / "shop.pem")}
        async with serving(config) as running:
            async with client.post(
                running.urls["inbound"] + "/checkout", json={"card": {"number": "4242424242424242"}}
            ):
                token = app.last.json()["card"]["number"]
            for command in commands():
                words = [token if word.startswith("tok_") else places.get(word, word) for word in command]
                done = await panless(*words[1:])
                walked += 1
                if "--show" in words:  # there is no terminal here
                    assert (done.code, "break_glass_no_terminal" in done.err) == (1, True)
                    continue
                assert done.code == 0, (words, done.err)
                if words[1:3] == ["app", "list"]:
                    places["ID"] = re.search(r"[0-9a-f]{10}", done.out)[0]
                if words[1:3] == ["operator", "add"]:
                    (tmp_path / f"{words[3]}.key").write_text(done.out)
                if words[1] == "reveal" and "--reason" in words:
                    places["ID"] = done.out.strip()
    assert walked == 14
