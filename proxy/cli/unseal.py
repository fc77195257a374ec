"""panless unseal, panless seal: opening the vault of a running Panless, and closing it at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from proxy.cli.controlling import Answer, ask_all
from proxy.cli.exits import FAILED
from proxy.cli.running import config_option, run
from proxy.cli.shares import ask
from proxy.config import load

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command(short_help="Give one custodian's share to the running Panless.")
@config_option
@json_option
def unseal(config_file: Path, as_json: bool) -> None:
    """Give one custodian's share of the KEK to every Panless that runs on the configuration's data directory.

    Asks for the words without showing them, or reads them from one line of stdin. They go to the running processes
    through a socket of the data directory, and nowhere else. When enough custodians have done this, Panless works.
    """
    data_dir = _data_dir(config_file)
    share = ask("Your share")
    answers = run(ask_all(data_dir, {"do": "give", "share": share}))
    _tell(answers, as_json, [_told(each) for each in answers])


@click.command(short_help="Let the running Panless forget the KEK, at once.")
@config_option
@json_option
def seal(config_file: Path, as_json: bool) -> None:
    """Let every Panless that runs on the configuration's data directory forget the KEK and all keys under it.

    For emergencies. They go on running, and answer 503 until custodians unseal them.
    """
    answers = run(ask_all(_data_dir(config_file), {"do": "seal"}))
    _tell(answers, as_json, [_sealed(each) for each in answers])


def _data_dir(config_file: Path) -> Path:
    config = load(config_file)
    return config.resolve(config.data_dir)


def _told(answer: Answer) -> str:
    document = answer.document
    if document.get("opened"):
        return f"Unsealed: {document['kek']} is open." if document["fresh"] else "It is unsealed already."
    counted = f"{document.get('given')} of {document.get('needed')} shares given"
    return f"{counted}; thank you, {document.get('custodian')}."


def _sealed(answer: Answer) -> str:
    return "Sealed." if answer.document.get("recorded") else "Sealed. It could not be recorded in the audit log."


def _tell(answers: Sequence[Answer], as_json: bool, told: Sequence[str]) -> None:
    refused = [each for each in answers if each.refused]
    if as_json:
        click.echo(json.dumps({"processes": [{"pid": each.pid, **each.document} for each in answers]}))
    else:
        for each, text in zip(answers, told, strict=True):
            name = f"process {each.pid}: " if len(answers) > 1 else ""
            if each.refused:
                code, detail, advice = (each.document[member] for member in ("code", "detail", "advice"))
                click.echo(f"panless: {name}{detail}\n  {advice}  [{code}]", err=True)
            else:
                click.echo(name + text)
    if refused:
        click.get_current_context().exit(FAILED)
