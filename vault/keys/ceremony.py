"""What a key ceremony makes: a KEK that exists in shares only, and its public record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vault.crypto import aead
from vault.keys import recipients, shares
from vault.keys.custodian_record import KekRecord, read_record
from vault.keys.shares import Share


@dataclass(frozen=True, slots=True)
class Made:
    """The record of a new KEK, and a share for each of its custodians, in their order."""

    record: KekRecord
    shares: Sequence[Share] = field(repr=False)


def make(record: Path, threshold: int, custodians: Sequence[str]) -> Made:
    """Make a KEK and split it. Nothing is written. Raises KeyUnavailable if the record that is there cannot be read."""
    known = {each.identifier for each in read_record(record)} if record.exists() else set()
    kek = aead.new_key()
    while (split := shares.split(kek, threshold, len(custodians)))[0].identifier in known:
        pass  # 15 bits: a share has to name one KEK of the record
    return Made(KekRecord.of(kek, threshold, custodians, split[0].identifier), split)


def share_file(made: Made, share: Share, public_key: str | None) -> bytes:
    """Return what one custodian gets, encrypted if there is a public key; raises NotARecipient."""
    text = _text(made.record, share).encode()
    return text if public_key is None else recipients.encrypt(text, public_key)


def _text(record: KekRecord, share: Share) -> str:
    words = share.words.split()
    rows = -(-len(words) // 3)
    numbered = [f"{number:2}. {word}" for number, word in enumerate(words, 1)]
    lines = ["   ".join(f"{word:<16}" for word in numbered[row::rows]).rstrip() for row in range(rows)]
    return _TEXT.format(
        custodian=record.custodians[share.number - 1],
        number=share.number,
        count=len(record.custodians),
        threshold=record.threshold,
        kek=record.id,
        made_at=record.made_at,
        numbered="\n".join(f"    {line}" for line in lines),
        words=share.words,
    )


_TEXT = """\
PANLESS: SHARE {number} OF {count} OF A KEY-ENCRYPTION KEY

custodian   {custodian}
KEK         {kek}
made at     {made_at}

{numbered}

The same words in one line, for a password manager:

{words}

You are a key custodian (PCI DSS 3.7.6 and 3.7.8). Any {threshold} of the {count} custodians together open the vault;
nobody does alone.
1. Copy the words by hand onto paper, column by column, with their numbers; seal it in an envelope that shows
   tampering, sign across the flap, and lock it away where no other custodian has access. Or keep the line of words in
   a password manager that only you can open.
2. Check your copy: `panless keys ceremony --verify`, together with the others.
3. Destroy this file: shred -u FILE. It must not be in a backup, a mail or a chat.
4. When you are called: `panless unseal`, at the machine itself or over your own SSH session. Type the words into its
   prompt and nowhere else. Nobody may ask you for them, nor watch you type.
5. If the words may have been seen, or are lost, say so at once: a new ceremony replaces all shares.
"""
