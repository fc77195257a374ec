"""panless keys ceremony: a KEK that nobody has, in shares for its custodians; and the rehearsal of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli.running import config_option, run
from proxy.cli.shares import collect
from proxy.config import load
from proxy.fetching import fetched_settings
from vault.key_settings import CustodiansSettings
from vault.upkeep.ceremony import Ceremony, Rehearsal, hold

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


@click.command(short_help="Make a KEK in shares for custodians, or rehearse unsealing.")
@config_option
@click.option("--shares", type=int, help="How many shares there are: one for each custodian.")
@click.option("--threshold", type=int, help="How many of them open the vault.")
@click.option("--custodian", "given", multiple=True, metavar="NAME[=PUBLICKEY]", help="Who gets a share; repeat it.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where the shares go.")
@click.option("--verify", is_flag=True, help="Let custodians prove that their shares open the KEK; changes nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ceremony(
    *,
    config_file: Path,
    shares: int | None,
    threshold: int | None,
    given: tuple[str, ...],
    out: Path | None,
    verify: bool,
    as_json: bool,
) -> None:
    """Make a KEK that exists in shares only, for provider `custodians`; docs/keys/custodians.md has the steps.

    Writes DIR/NAME.share for each custodian, or DIR/NAME.share.age where a public key is given (age1..., ssh-ed25519,
    ssh-rsa), and adds the KEK to [keys] record. Nothing secret is printed.
    """
    settings = _settings(config_file)
    if verify:
        if given or out or shares or threshold:
            raise click.UsageError("--verify takes no other options: it only asks for shares.")
        run(_verify(settings, as_json))
        return
    if not given or out is None or threshold is None:
        raise click.UsageError("Give --threshold, --out, and --custodian once for each custodian.")
    custodians = _custodians(given)
    if shares is not None and shares != len(custodians):
        raise click.UsageError(f"There are {len(custodians)} custodians for {shares} shares: each gets exactly one.")
    _tell(hold(settings, threshold, custodians, out), settings, threshold, as_json)


def _settings(config_file: Path) -> CustodiansSettings:
    for settings in run(fetched_settings(load(config_file))).providers:
        if isinstance(settings, CustodiansSettings):
            return settings
    raise click.UsageError("This is for provider `custodians` of [keys].")


def _custodians(given: Sequence[str]) -> dict[str, str | None]:
    custodians: dict[str, str | None] = {}
    for each in given:
        name, has_key, public_key = each.partition("=")
        if not NAME.fullmatch(name):
            raise click.BadParameter("a name is made of letters, digits, dots, dashes and underscores.")
        if name.lower() in map(str.lower, custodians):
            raise click.BadParameter(f"{name} is named twice.", param_hint="--custodian")
        custodians[name] = public_key.strip() if has_key else None
    return custodians


def _tell(made: Ceremony, settings: CustodiansSettings, threshold: int, as_json: bool) -> None:
    if as_json:
        files = {name: str(path) for name, path in made.files.items()}
        click.echo(json.dumps({"kek": made.kek, "record": str(settings.record), "files": files}))
        return
    table = Table(title=f"{made.kek}: any {threshold} of {len(made.files)} open it")
    for column in ("custodian", "file", "is"):
        table.add_column(column, overflow="fold")
    for name, path in made.files.items():
        table.add_row(name, str(path), "encrypted" if path.suffix == ".age" else "IN CLEAR")
    Console().print(table)
    click.echo(_NEXT.format(record=settings.record, kek=made.kek))


_NEXT = """\
Next:
1. Give each custodian their file, and nobody else's. Encrypted ones are read with `age -d -i KEY FILE`.
2. Each copies the words, and locks them away. Files in clear are then destroyed: shred -u FILE.
3. Rehearse: panless keys ceremony --verify --config FILE
4. Write {kek} into the minutes. {record} holds no secret, but protect it against changes.
5. First KEK of this vault: panless serve, then panless unseal. Another one: panless keys rotate kek."""


async def _verify(settings: CustodiansSettings, as_json: bool) -> None:
    rehearsal = Rehearsal(settings)
    opened = collect(rehearsal, rehearsal.needed)
    if as_json:
        click.echo(json.dumps({"kek": opened.kek, "opens": True}))
    else:
        click.echo(f"The shares open {opened.kek}. Nothing was changed, and no running Panless was unsealed.")
