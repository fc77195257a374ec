"""The command's root: what all commands share."""

from __future__ import annotations

import sys
from importlib.metadata import version

import click

from proxy.cli import apps, audit, ca, ceremony, check, demo, keys, operate, operators, reveal, unseal
from proxy.cli.hardening import harden
from proxy.cli.running import FAILED, WRONG_USE
from proxy.errors import ConfigInvalid
from vault.errors import PanlessError

_HELP = """Panless: a reverse proxy with a token vault for card payments.

\b
Start here:
  panless demo                        the whole story on this machine, with sandbox parts
  panless check --config FILE         is the configuration right? What becomes of a captured request?
  panless serve --config FILE         run it
  panless app add NAME --config FILE  give an application its key

\b
For the security team:
  panless audit list --config FILE    who revealed what, when, and where it went
  panless audit verify --config FILE  prove that nothing was changed
  panless unseal --config FILE        give a custodian's share to the running Panless; `panless seal` undoes it

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("panless"), prog_name="panless")
def cli() -> None:
    harden()


for command in (
    operate.serve,
    check.check,
    check.schema,
    operate.migrate,
    demo.demo,
    unseal.unseal,
    unseal.seal,
    reveal.reveal,
):
    cli.add_command(command)
keys.keys.add_command(ceremony.ceremony)
for group in (apps.app, audit.audit, ca.ca, keys.keys, operators.operator):
    cli.add_command(group)


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
