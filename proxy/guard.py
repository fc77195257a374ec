"""What looks like a PAN where none may be. Pure.

So far it serves request ids and log lines; bodies are searched for revealed values in `rewrite.scrub`.
"""

from __future__ import annotations

import re

from vault.kinds import luhn_valid

# 13 to 19 digits with at most one separator between two of them.
_DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ \-._\u00a0\u2009]?[0-9]){12,18}(?![0-9])", re.ASCII)


def mask(text: str) -> str:
    """Return the text with every number that could be a PAN (length, Luhn) replaced."""
    return _DIGITS.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    digits = "".join(filter(str.isdigit, match[0]))
    return "[masked]" if luhn_valid(digits) else match[0]


def looks_like_pan(text: str) -> bool:
    """Tell whether something in the text could be a PAN."""
    return mask(text) != text
