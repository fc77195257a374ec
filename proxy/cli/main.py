"""The command's root: what all commands share."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version

import click

from proxy.cli.exits import FAILED, WRONG_USE
from proxy.cli.hardening import harden
from proxy.errors import ConfigInvalid
from vault.errors import PanlessError

_HELP = """Panless: a reverse proxy with a token vault for card payments.

\b
Start here:
  panless demo                        the whole story on this machine, with sandbox parts
  panless check --config FILE         is the configuration right? What becomes of a captured request?
  panless serve --config FILE         run it
  panless app add NAME --config FILE  give an application its key
  panless key add NAME --origin URL   let the pages of a shop take cards in hosted fields

\b
When a payment is in doubt:
  panless idempotency list -c FILE    keys of applications whose outcome is unknown, and settling them
  panless operations list -c FILE     payments that are sent later: waiting, ended, unknown
  panless webhooks list -c FILE       events on their way to applications, and those that did not arrive

\b
For the security team:
  panless audit list --config FILE    who revealed what, when, and where it went
  panless audit verify --config FILE  prove that nothing was changed
  panless policy explain -c FILE ...  may this application do that, and which rule says so?
  panless token show|erase TOKEN      what is known of a token; erase it for good
  panless limits list --config FILE   who was stopped, and how much was revealed
  panless unseal --config FILE        give a custodian's share to the running Panless; `panless seal` undoes it

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
"""


# Each command's module is imported when it is run: a command that looks something up should not wait for the rest.
_COMMANDS = {
    "app": "apps.app",
    "audit": "audit.audit",
    "ca": "ca.ca",
    "check": "check.check",
    "demo": "demo.demo",
    "fields": "publishable.fields",
    "idempotency": "idempotency.idempotency",
    "key": "publishable.key",
    "keys": "keys.keys",
    "limits": "limits.limits",
    "migrate": "operate.migrate",
    "operations": "operations.operations",
    "operator": "operators.operator",
    "policy": "policy.policy",
    "reveal": "reveal.reveal",
    "schema": "check.schema",
    "seal": "unseal.seal",
    "serve": "operate.serve",
    "token": "tokens.token",
    "unseal": "unseal.unseal",
    "webhooks": "webhooks.webhooks",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(".")
        command: click.Command = getattr(import_module(f"proxy.cli.{module}"), name)
        return command


@click.group(
    cls=_Commands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(version("panless"), prog_name="panless")
def cli() -> None:
    harden()


def main() -> None:
    """Run a command; errors are told in two lines: what is wrong, and what to do."""
    try:
        # Without click's standalone mode an Exit is not raised but returned, as its code.
        code = cli(standalone_mode=False)
    except click.Abort:
        sys.exit(FAILED)
    except click.ClickException as error:
        error.show()
        sys.exit(WRONG_USE)
    except PanlessError as error:
        click.echo(f"panless: {error.detail}\n  {error.advice}  [{error.code}]", err=True)
        sys.exit(WRONG_USE if isinstance(error, ConfigInvalid) else FAILED)
    sys.exit(code if isinstance(code, int) else 0)
