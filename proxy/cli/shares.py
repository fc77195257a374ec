"""Asking custodians for their shares: without echo, from a terminal or a line of stdin, never from an argument."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from vault.errors import ShareRejected, VaultSealed
from vault.upkeep.startup import GivenShare, Keks

ATTEMPTS = 3


class Taker(Protocol):
    """Who takes shares: the KEKs of a command, or a rehearsal."""

    def give(self, words: str) -> GivenShare:
        """Take one share; raises ShareRejected or SharesDoNotFit."""


def ask(prompt: str) -> str:
    """Return one share as it was entered; raises click.Abort when there is none."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        if not line:
            click.echo("No share was given.", err=True)
            raise click.Abort
        return line
    return ask_hidden(prompt)


def ask_hidden(prompt: str) -> str:
    """Return what is typed at the terminal, without echo; raises click.Abort when there is no terminal."""
    if not sys.stdin.isatty():
        click.echo(f"{prompt} is asked for at a terminal.", err=True)
        raise click.Abort
    with _interruptible():
        typed: str = click.prompt(prompt, hide_input=True, err=True)
    return typed


async def open_sealed(keks: Keks, *needed: str) -> None:
    """Let custodians open these KEKs, in this process only; without any, those that were asked for, or else the newest.

    Does nothing if none is sealed. Raises VaultSealed when shares end before that.
    """
    while sealed := keks.sealed(*needed):
        waiting = sealed[0]
        click.echo(f"{waiting.kek} is needed: {waiting.needed} custodians have to give their shares.", err=True)
        try:
            collect(keks, waiting.needed)
        except click.Abort:
            (now, *_) = keks.sealed(waiting.kek)
            raise VaultSealed(given=now.given, needed=now.needed) from None


def collect(taker: Taker, needed: int) -> GivenShare:
    """Ask for shares until a KEK is open. A share that is refused is asked for again, a few times."""
    given, refused = 0, 0
    while True:
        try:
            taken = taker.give(ask(f"Share {given + 1} of {needed}"))
        except ShareRejected as error:
            refused += 1
            if refused >= ATTEMPTS:
                raise
            click.echo(f"{error.detail} {error.advice}", err=True)
            continue
        given, needed = taken.given, taken.needed
        click.echo(f"Share of {taken.custodian} taken: {taken.given} of {taken.needed}.", err=True)
        if taken.opened:
            return taken


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a prompt also while an event loop runs, whose own handler would wait for the prompt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
