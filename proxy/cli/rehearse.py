"""panless check --request: what would be done with a captured request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from multidict import CIMultiDict
from rich.console import Console
from rich.table import Table

from proxy.config import Config
from proxy.errors import RouteNotFound
from proxy.rehearsal import Captured, Rehearsal, UnknownRoute, rehearse
from vault.errors import PanlessError

_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+)(?: HTTP/1\.[01])?")


def rehearsed(config: Config, file: Path, route: str | None) -> dict[str, Any] | Rehearsal:
    """Return the rehearsal of a captured request, or the error that it would be refused with."""
    try:
        return rehearse(config, read(file), route)
    except UnknownRoute as error:
        raise click.UsageError(str(error)) from None
    except RouteNotFound as error:
        return {
            "error": error.code,
            "detail": error.detail,
            "advice": "Name the route that it is meant for: --route NAME",
        }
    except PanlessError as error:
        return {"error": error.code, "detail": error.detail, "advice": error.advice}


def read(file: Path) -> Captured:
    """Read a captured request: request line, headers, an empty line, the body as it is."""
    raw = file.read_bytes()
    end = re.search(rb"\r?\n\r?\n", raw)
    head, body = (raw[: end.start()], raw[end.end() :]) if end else (raw, b"")
    first, *lines = head.splitlines() or [b""]
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise click.UsageError(f"{file} does not begin with a request line, such as: POST /v1/payments HTTP/1.1")
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        headers.add(name.strip(), value.strip())
    if "Transfer-Encoding" in headers:
        raise click.UsageError(f"{file} has a Transfer-Encoding: save the request with its body as it is")
    return Captured(request_line[1].decode(), request_line[2].decode("utf-8", "surrogateescape"), headers, body)


def show(result: dict[str, Any] | Rehearsal) -> None:
    """Print what would be done, for people."""
    console = Console()
    if isinstance(result, dict):
        console.print(f"The request would be refused: {result['detail']}  \\[{result['error']}]\n  {result['advice']}")
        return
    console.print(f"{result.way} route [bold]{result.route}[/bold], to {result.upstream}")
    table = Table(title=f"What would be done: {result.action}", title_justify="left")
    for column in ("field", "kind", "part", "at byte", "there stands", "belongs to"):
        table.add_column(column, overflow="fold")
    for swap in result.swaps:
        table.add_row(swap.at, swap.kind, swap.part, str(swap.offset), swap.shown, swap.of or "")
    console.print(table if result.swaps else "No field of the route is in it: it passes unchanged.")
    for at in result.passing:
        console.print(f"{at} passes as it is, unless a token stands there")
    if result.way == "outbound":
        console.print(f"gateway's credential: {_credential(result)}")
    for leak in result.leaks:
        console.print(
            f"NOT COVERED: what looks like a card number stands in the {leak}, in no field; {_what_of(result)}"
        )
    if result.way != "outbound" and not result.leaks:
        console.print(f"leak guard ({result.guard}): nothing found")


def _credential(result: Rehearsal) -> str:
    if result.credential is None:
        return "none in this request"
    return f"{result.credential}; the gateway's secret takes the place of a Panless key there, another key stays"


def _what_of(result: Rehearsal) -> str:
    if result.way == "outbound":
        return "it would go to the gateway as it is, and so would a token"
    return {"refuse": "the request would be refused", "tokenize": "it would be tokenized"}.get(
        result.guard, "it would be reported, and pass"
    )


def differences(result: dict[str, Any] | Rehearsal, expected: Path) -> list[str]:
    """Return in what a result is not as expected; a file that holds less asks for less."""
    got = result if isinstance(result, dict) else json.loads(json.dumps(result.as_dict()))
    try:
        wanted = json.loads(expected.read_bytes())
    except (OSError, ValueError):
        raise click.UsageError(f"{expected} is not a JSON file") from None
    if not isinstance(wanted, dict):
        raise click.UsageError(f"{expected} does not hold an object, as --json prints one")
    wrong = {key: value for key, value in wanted.items() if got.get(key) != value}
    return [f"{key}: expected {value!r}, got {got.get(key)!r}" for key, value in wrong.items()]
