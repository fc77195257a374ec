"""The key ceremony, as the operator holds it: a file for each custodian, and the record for Panless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vault.errors import CeremonyRefused, KeyFailure, ShareRejected
from vault.key_settings import CustodiansSettings
from vault.keys import durable
from vault.keys.custodian_record import append_record
from vault.keys.provider import GivenShare, Sealable
from vault.keys.providers import build

if TYPE_CHECKING:
    from vault.keys.ceremony import Made

LEAST_THRESHOLD = 2
MOST_SHARES = 16


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What was made: the KEK's id, and each custodian's file."""

    kek: str
    files: Mapping[str, Path]


class Rehearsal:
    """Custodians prove that their shares open a KEK of the record. It is open here only, until this is thrown away."""

    def __init__(self, settings: CustodiansSettings) -> None:
        """Raises KeyUnavailable."""
        provider = build(settings)
        assert isinstance(provider, Sealable)  # noqa: S101  # that is what these settings build
        self._provider: Sealable = provider

    @property
    def needed(self) -> int:
        """How many shares open the newest KEK."""
        return self._provider.sealed()[0].needed

    def give(self, words: str) -> GivenShare:
        """Take one share; raises ShareRejected or SharesDoNotFit."""
        given = self._provider.give(words)
        if given is None:
            raise ShareRejected(reason="it is of another ceremony than those in the record")
        return given


def hold(settings: CustodiansSettings, threshold: int, custodians: Mapping[str, str | None], out: Path) -> Ceremony:
    """Make a KEK for custodians, given by name, with a public key or without; raises CeremonyRefused.

    Files go to directory `out`, which is made if need be; none is overwritten. If one cannot be written, or the record
    cannot, those that were are removed again, and the KEK is gone.
    """
    _check(threshold, len(custodians))
    try:
        from vault.keys import ceremony  # noqa: PLC0415  # optional
    except ImportError:
        raise CeremonyRefused(reason="`pip install 'panless[custodians]'` is missing") from None
    files = {name: out / (f"{name}.share.age" if key else f"{name}.share") for name, key in custodians.items()}
    try:
        made = ceremony.make(settings.record, threshold, list(custodians))
        _write(_contents(made, custodians, files), out)
        try:
            append_record(settings.record, made.record)
        except KeyFailure:
            _remove(files.values())
            raise
    except KeyFailure as error:
        raise CeremonyRefused(reason=str(error.ids["reason"])) from None
    return Ceremony(made.record.id, files)


def _check(threshold: int, count: int) -> None:
    if threshold < LEAST_THRESHOLD:
        raise CeremonyRefused(reason="a threshold of 1 would let one custodian alone open the vault; take 2 or more")
    if threshold > count:
        raise CeremonyRefused(reason=f"{count} custodians could never give {threshold} shares")
    if count > MOST_SHARES:
        raise CeremonyRefused(reason=f"there are at most {MOST_SHARES} shares")


def _contents(made: Made, custodians: Mapping[str, str | None], files: Mapping[str, Path]) -> dict[Path, bytes]:
    from vault.keys import ceremony, recipients  # noqa: PLC0415  # optional

    contents = {}
    for (name, key), share in zip(custodians.items(), made.shares, strict=True):
        try:
            contents[files[name]] = ceremony.share_file(made, share, key)
        except recipients.NotARecipient:
            raise CeremonyRefused(reason=f"the public key of {name} is none that age can encrypt to") from None
    return contents


def _write(contents: Mapping[Path, bytes], out: Path) -> None:
    """Write all files, readable by their owner alone, or none."""
    written: list[Path] = []
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in contents.items():
            durable.write_new(path, content)
            written.append(path)
    except OSError as error:
        _remove(written)
        there = isinstance(error, FileExistsError)
        what = "a file of that name is there already" if there else "a file cannot be written"
        raise CeremonyRefused(reason=f"{what} in {out}") from None


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
