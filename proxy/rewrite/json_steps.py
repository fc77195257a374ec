"""Steps through the members of a JSON object (RFC 8259): one match from a member that counts to the next one.

Members that no selector can enter are stepped over, in C, where they hold no container and no escapes. A pattern that
stepped over escapes would remember each of them: a gigabyte for some bodies. Steps are compiled once a state, from
names of the configuration alone. A possessive group would step over any number of members, but matches wrongly in
Python 3.11.0 to 3.11.4 (gh-106052).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from proxy.rewrite.selectors import State

SPACE = r"[ \t\n\r]*+"
COMMA = rf"{SPACE},{SPACE}"
COLON = rf"{SPACE}:{SPACE}"
PLAIN = r'[^"\\\x00-\x1f]*+'
_SCALAR = rf'(?:"{PLAIN}"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)'
_AT_ONCE = 64

Step = Callable[[str, int], "re.Match[str]"]
"""It always matches. What it stopped at is the match's last group, one of the following."""

NAME, STRING, LAST_STRING, OPENING, OTHER, CLOSING = range(2, 8)
"""A member's name, and its value is none of the others; a string without escapes; that and what closes the object; what
opens a container; the value of a member that no selector can enter; what closes the object. Where there is none of
them, the step went as far as it can."""


@lru_cache(maxsize=1024)
def steps(state: State) -> tuple[Step, Step]:
    """Return the step from where an object's content starts, and that from where a member ends.

    A name is always one that a selector can enter; names with escapes, which may be any name, are left to the caller.
    """
    if state.open().other_name is not None:
        return _step("()?", SPACE, PLAIN), _step("()?", COMMA, PLAIN)
    named = "|".join([re.escape(name.encode().decode("latin-1")) for name in state.names])
    other = rf'(?!"(?:{named})")"{PLAIN}"{COLON}'
    first = rf"(?:{SPACE}{other}{_SCALAR}()(?:{COMMA}{other}{_SCALAR}){{0,{_AT_ONCE}}})?"
    following = rf"(?:{COMMA}{other}{_SCALAR}()){{0,{_AT_ONCE}}}"
    return _step(first, f"{SPACE}(?(1),{SPACE})", named, other), _step(following, COMMA, named, other)


def _step(over: str, between: str, names: str, other: str = "(?!)") -> Step:
    value = rf'"({PLAIN})"(?:{SPACE}(\}}))?|([{{\[])'
    pattern = rf'{over}(?:{between}(?:"({names})"{COLON}(?:{value})?|{other}())|{SPACE}(\}}))?'
    return re.compile(pattern).match  # type: ignore[return-value]  # never None
