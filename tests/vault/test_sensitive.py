"""The four rules of `vault/sensitive.py`, each tried in every way that comes to mind."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import marshal
import operator
import pickle
import pprint
import traceback

import pytest
import structlog
from rich.console import Console
from rich.pretty import pretty_repr

from vault.exposure import expose
from vault.sensitive import Sensitive

PLAIN = "4242424242424242"


@pytest.fixture
def secret() -> Sensitive:
    return Sensitive(PLAIN)


@dataclasses.dataclass
class Holder:
    name: str
    value: Sensitive


def logged(secret: Sensitive) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("test")  # one of our own, away from the root
    logger.addHandler(handler)
    logger.warning("%s %r", secret, secret)
    logger.warning(secret)
    return stream.getvalue()


SHOWN = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "format": format,
    "format with width": lambda secret: format(secret, ">30"),
    "format with a wrong spec": lambda secret: format(secret, "d"),
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret!a} {secret:x} {secret=}",
    "percent": lambda secret: "%s %r %a %30s" % (secret, secret, secret, secret),  # noqa: UP031
    "str.format": "{0} {0!r} {0:s}".format,
    "in a list": lambda secret: str([secret]),
    "in a dictionary": lambda secret: repr({"card": secret}),
    "in a dataclass": lambda secret: repr(Holder("a", secret)),
    "pprint": pprint.pformat,
    "rich": pretty_repr,
    "json with str": lambda secret: json.dumps({"card": secret}, default=str),
    "json with repr": lambda secret: json.dumps({"card": secret}, default=repr),
    "logging": logged,
    "structlog as JSON": lambda secret: structlog.processors.JSONRenderer()(None, "info", {"card": secret}),
    "structlog as key and value": lambda secret: structlog.processors.KeyValueRenderer()(None, "info", {"c": secret}),
    "structlog as logfmt": lambda secret: structlog.processors.LogfmtRenderer()(None, "info", {"card": secret}),
    "an exception": lambda secret: "".join(traceback.format_exception(ValueError(secret, "canary"))),
    "an exception's repr": lambda secret: repr(ValueError(secret)),
    "a key error": lambda secret: str(KeyError(secret)),
}


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_of_turning_it_into_text_shows_the_value(secret, way):
    shown = SHOWN[way](secret)
    assert "<sensitive>" in shown
    assert PLAIN not in shown
    assert PLAIN[-4:] not in shown


def raising(secret: Sensitive) -> BaseException:
    try:
        local = secret
        other = [local]
        local.no_such_attribute  # noqa: B018
        raise AssertionError(other)
    except AttributeError as error:
        return error


def test_a_traceback_with_local_variables_shows_no_value(secret):
    error = raising(secret)
    exc_info = (type(error), error, error.__traceback__)
    plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)(exc_info)
    assert "<sensitive>" in json.dumps(plain)
    rendered = json.dumps(plain)
    rendered += "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    console = Console(file=io.StringIO(), width=200)
    from rich.traceback import Traceback

    console.print(Traceback.from_exception(*exc_info, show_locals=True))
    rendered += console.file.getvalue()
    assert rendered.count("<sensitive>") >= 3
    assert PLAIN not in rendered


REFUSED = {
    "json": json.dumps,
    "json of its dictionary": lambda secret: json.dumps(secret, default=vars),
    **{
        f"pickle {protocol}": lambda secret, protocol=protocol: pickle.dumps(secret, protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "pickle inside something": lambda secret: pickle.dumps({"card": [secret]}),
    "pickle of a dataclass": lambda secret: pickle.dumps(Holder("a", secret)),
    "marshal": marshal.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy inside something": lambda secret: copy.deepcopy([secret]),
    "dataclasses.asdict": lambda secret: dataclasses.asdict(Holder("a", secret)),
    "dataclasses.astuple": lambda secret: dataclasses.astuple(Holder("a", secret)),
    "==": lambda secret: secret == PLAIN,
    "== itself": lambda secret: operator.eq(secret, secret),
    "== another": lambda secret: secret == Sensitive(PLAIN),
    "== from the other side": lambda secret: PLAIN == secret,  # noqa: SIM300
    "!=": lambda secret: secret != PLAIN,
    "in a list": lambda secret: secret in [Sensitive("5"), Sensitive(PLAIN)],
    "index": [Sensitive(PLAIN)].index,
    "<": lambda secret: secret < Sensitive("5"),
    "sorted": lambda secret: sorted([secret, Sensitive("1")]),
    "hash": hash,
    "set": lambda secret: {secret},
    "dictionary": lambda secret: {secret: 1},
    "bool": bool,
    "if": lambda secret: 1 if secret else 2,
    "not": operator.not_,
    "and": lambda secret: secret and 1,
    "vars": vars,
    "len": len,
    "iter": list,
    "getitem": lambda secret: secret[0],
    "bytes": bytes,
    "int": int,
    "float": float,
    "+": lambda secret: secret + "",
    "+ from the other side": lambda secret: "" + secret,
    "join": lambda secret: "".join([secret]),
    "in text": lambda secret: secret in PLAIN,
    "contains": lambda secret: "4" in secret,
    "int.from_bytes": int.from_bytes,
    "a new attribute": lambda secret: setattr(secret, "value", 1),
    "weak reference": lambda secret: __import__("weakref").ref(secret),
}


@pytest.mark.parametrize("way", REFUSED)
def test_it_cannot_be_stored_compared_or_taken_apart(secret, way):
    with pytest.raises((TypeError, AttributeError, ValueError)) as caught:
        REFUSED[way](secret)
    assert PLAIN not in "".join(traceback.format_exception(caught.value))


def test_equal_and_unequal_values_are_refused_alike():
    for other in (Sensitive(PLAIN), Sensitive("5"), PLAIN, None, 0):
        with pytest.raises(TypeError, match="cannot be compared"):
            _ = Sensitive(PLAIN) == other


def test_only_expose_reads_it(secret):
    assert expose(secret) == PLAIN
    readable = [name for name in dir(secret) if not name.startswith("_")]
    assert readable == []
    assert not hasattr(secret, "__dict__")
    assert not hasattr(secret, "__value")


def test_expose_takes_nothing_else():
    for other in ("text", None, object()):
        with pytest.raises(TypeError):
            expose(other)


def test_its_state_cannot_be_asked_for(secret):
    with pytest.raises(TypeError):
        secret.__getstate__()
