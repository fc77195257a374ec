"""panless check: is the configuration right, and what would be done with a captured request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from proxy.cli import rehearse
from proxy.cli.exits import FAILED
from proxy.cli.running import config_option, run
from proxy.compiled import compile_outbound
from proxy.config import Config, OutboundConfig, RouteConfig, config_schema, load
from proxy.edge.listener import tls_context
from proxy.fetching import fetch
from proxy.hooking import compile_notices, compile_webhooks, fetching_settings
from proxy.settings import vault_settings
from proxy.sinks.building import check as check_sinks
from proxy.upstream.settings import upstream_tls

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@config_option
@click.option("--request", "request_file", type=_FILE, metavar="FILE", help="A captured request: rehearse it.")
@click.option("--route", help="The route that takes it. Left out: the one that its Host header or its path names.")
@click.option("--expect", "expected_file", type=_FILE, metavar="FILE", help="What --json should print; exit 1 if not.")
@click.option("--json", "as_json", is_flag=True, help="Print the rehearsal as JSON.")
def check(
    config_file: Path, request_file: Path | None, route: str | None, expected_file: Path | None, *, as_json: bool
) -> None:
    """Check a configuration without starting anything, and show its routes.

    Everything that `serve` needs is looked at: keys, presets, selectors, overlapping routes, and that every secret is
    where it is said to be. Secrets are not shown.

    With --request, show what would be done with a captured request instead: which route takes it, which values would be
    swapped where, and what the leak guard would find. No value is shown but the last four digits of a card, and neither
    secrets nor a database are needed; the exit code is 1 if a card number stands in no field. The file holds the
    request as it was sent: request line, headers, an empty line, and the body. With --expect it is a test, for your
    own CI:

    \b
      panless check -c panless.toml --request sale.http --json > sale.json
      panless check -c panless.toml --request sale.http --expect sale.json
    """
    config = load(config_file)
    if request_file is None:
        if route or expected_file or as_json:
            raise click.UsageError("--route, --expect and --json need --request FILE")
        _check(config, config_file)
        return
    result = rehearse.rehearsed(config, request_file, route)
    if as_json:
        click.echo(json.dumps(result if isinstance(result, dict) else result.as_dict(), indent=2))
    else:
        rehearse.show(result)
    if expected_file is None:
        raise click.exceptions.Exit(FAILED if isinstance(result, dict) or result.leaks else 0)
    if wrong := rehearse.differences(result, expected_file):
        click.echo(f"not as {expected_file} expects:", err=True)
        for difference in wrong:
            click.echo(f"  {difference}", err=True)
        raise click.exceptions.Exit(FAILED)
    click.echo(f"as {expected_file} expects", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and other tools (docs/config.schema.json)."""
    click.echo(json.dumps(config_schema(), indent=2))


def _check(config: Config, config_file: Path) -> None:
    secrets = run(fetch(config))
    vault_settings(config, lambda: secrets)
    compile_outbound(config, secrets)
    compile_webhooks(config, secrets)
    compile_notices(config, secrets)
    fetching_settings(config)
    check_sinks(config, secrets)
    for listener, given in (*config.listen, *((route.name, route.listener) for route in config.outbound)):
        if given is not None:
            tls_context(listener, given, config)
    for route in (*config.inbound, *config.outbound, *config.webhook):
        upstream_tls(route, config, route.name)
    table = Table(title=f"Routes of {config_file}", title_justify="left")
    for column in ("way", "name", "path, port, hosts", "upstream", "fields", "apps"):
        table.add_column(column, overflow="fold")
    for inbound in config.inbound:
        table.add_row(
            "inbound",
            inbound.name,
            inbound.path,
            inbound.upstream,
            _fields(inbound),
            ", ".join(sorted(inbound.apps or ())),
        )
    for webhook in config.webhook:
        table.add_row(
            "webhook",
            webhook.name,
            webhook.path,
            webhook.upstream,
            _fields(webhook),
            f"signed: {webhook.verify.scheme}",
        )
    for outbound in config.outbound:
        apps = ", ".join(sorted(outbound.apps)) or "none: nobody may use it"
        table.add_row("outbound", outbound.name, _ways(outbound), outbound.upstream, _fields(outbound), apps)
    Console().print(table)
    for warning in _warnings(config):
        click.echo(f"warning: {warning}", err=True)
    click.echo("The configuration is right.")


def _warnings(config: Config) -> Iterator[str]:
    for given in (*config.inbound, *config.outbound, *config.webhook):
        for field in given.fields:
            if field.kind == "cvc" and field.of is None and any(each.kind == "pan" for each in given.fields):
                yield f"route {given.name}: {field.at} names no card (`of`): the code of another card would be accepted"
    if not any(listener for _, listener in config.listen) and not any(route.bind for route in config.outbound):
        yield "no listener is configured: `serve` will refuse to start"
    yield from _unsigned(config)
    yield from _unruled(config)
    for route in config.outbound:
        if not route.apps and not config.policy:
            yield f"outbound route {route.name} names no `apps`: nobody may use it"
        if not route.fields:
            yield f"outbound route {route.name} has no `fields`: tokens are not revealed on it"
        if route.credential is None or route.credential.secret is None:
            yield f"outbound route {route.name} has no `credential` secret: the gateway gets none from Panless"
        if route.hosts and config.listen.forward is None:
            yield f"outbound route {route.name} names `hosts`, but there is no forward listener"
    yield from _open(config)


def _open(config: Config) -> Iterator[str]:
    fields = config.listen.fields
    if fields is None and "fields" in config.model_fields_set:
        yield "there is [fields], but no [listen] fields: nobody can reach them"
    if fields is not None and fields.tls is None and not (fields.url or "").startswith("https://"):
        yield "listener fields has neither tls nor an https `url`: browsers show its frames on pages of http:// only"
    own = [(route.name, route.listener) for route in config.outbound]
    for name, listener in (*config.listen, *own):
        if name in ("inbound", "fields"):
            continue
        if listener is not None and listener.host in ("0.0.0.0", "::"):  # noqa: S104  # warned of, not bound
            yield f"listener {name} is open to every network: it is meant for your own applications and monitoring"


def _unsigned(config: Config) -> Iterator[str]:
    for hook in config.webhook:
        if config.listen.inbound is None:
            yield f"webhook route {hook.name} needs the inbound listener, and there is none"
        if hook.sign is None and hook.mode == "store":
            yield f"webhook route {hook.name} has no `sign`: its application cannot tell Panless's requests from others"


def _unruled(config: Config) -> Iterator[str]:
    """Where there is a policy, what it does not allow is denied."""
    ways = [*((each.name, "tokenize") for each in config.inbound if each.fields)]
    ways += [(each.name, "reveal") for each in config.outbound]
    for name, action in ways if config.policy else ():
        allowing = (rule for rule in config.policy if rule.effect == "allow" and action in rule.actions)
        if not any(not rule.routes or name in rule.routes for rule in allowing):
            yield f"no [[policy]] allows to {action} on route {name}: it is denied there"


def _ways(route: OutboundConfig) -> str:
    return "\n".join(filter(None, (route.path, route.bind, *route.hosts)))


def _fields(route: RouteConfig) -> str:
    return "\n".join(f"{field.kind} {field.at}" for field in route.fields) or "none: passes unchanged"
