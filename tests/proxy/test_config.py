"""The configuration: what is right is taken, what is wrong is named by file and key, and no value is ever shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from proxy.compiled import compile_outbound
from proxy.config import Config, load
from proxy.config.keys import PROVIDERS
from proxy.errors import ConfigInvalid
from proxy.settings import provider_settings, vault_settings
from vault.errors import PanlessError
from vault.key_settings import FileSettings
from vault.keys.providers import build
from vault.upkeep.startup import create_kek

ROOT = Path(__file__).parents[2]

# Section 6 of the design, less what is not part of this release.
EXAMPLE = """
data_dir = ".panless"

[database]
url = "env:DATABASE_URL"

[keys]
provider = "file"

[listen]
inbound  = { bind = "127.0.0.1:8080" }
outbound = { bind = "127.0.0.1:8081" }
admin    = { bind = "127.0.0.1:8083" }

[[inbound]]
name     = "checkout"
path     = "/checkout"
methods  = ["POST"]
upstream = "http://127.0.0.1:9000"
fields   = [
  { at = "$.card.number", kind = "pan" },
  { at = "$.card.cvc",    kind = "cvc", of = "$.card.number" },
]

[[outbound]]
name     = "stripe"
preset   = "stripe"
path     = "/stripe/"
upstream = "https://api.stripe.com/"
apps     = ["shop"]
"""

INBOUND = '[[inbound]]\nname = "a"\npath = "/a"\nupstream = "http://127.0.0.1:1/"\n'
OUTBOUND = '[[outbound]]\nname = "a"\npath = "/a"\nupstream = "https://api.example/"\n'
CANARY = "CANARY4242424242424242hunter2"


def read(folder: Path, text: str | bytes) -> Config:
    file = folder / "panless.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file)


def refused(folder: Path, text: str | bytes) -> PanlessError:
    """Load what has to be refused; check that the error names the file, and shows the canary nowhere."""
    with pytest.raises(ConfigInvalid) as caught:
        read(folder, text)
    error = caught.value
    assert str(folder / "panless.toml") in str(error)
    shown = f"{error} {error!r} {error.ids} {error.detail} {error.remedy}"
    assert CANARY not in shown + "".join(traceback.format_exception(error))
    return error


def key(folder: Path, text: str | bytes) -> str:
    return str(refused(folder, text).ids["key"])


def test_the_example_of_the_documentation_is_right(tmp_path):
    config = read(tmp_path, EXAMPLE)
    assert config.listen.inbound is not None
    assert (config.listen.inbound.host, config.listen.inbound.port) == ("127.0.0.1", 8080)
    (checkout,), (stripe,) = config.inbound, config.outbound
    assert (checkout.tenant, checkout.methods, checkout.fields[1].of) == ("default", {"POST"}, "$.card.number")
    assert (stripe.apps, stripe.upstream) == ({"shop"}, "https://api.stripe.com/")
    assert stripe.credential is not None
    assert stripe.credential.slots == ("bearer", "basic")
    assert stripe.fields[0].at == "$.card.number"
    assert config.resolve(config.data_dir) == tmp_path / ".panless"


def test_an_empty_file_is_a_configuration_with_nothing_to_do(tmp_path):
    config = read(tmp_path, "")
    assert (config.inbound, config.outbound, config.listen.inbound) == ((), (), None)
    assert config.database.url is None


def test_nothing_of_a_configuration_can_be_changed(tmp_path):
    config = read(tmp_path, EXAMPLE)
    for model, name in ((config, "data_dir"), (config.inbound[0], "tenant"), (config.keys, "provider")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(model, name, "x")


UNKNOWN = [
    ("{x} = 1", "{x}"),
    ("[database]\n{x} = 1", "database.{x}"),
    ("[keys]\n{x} = 1", "keys.{x}"),
    ("[vault]\n{x} = 1", "vault.{x}"),
    ("[limits]\n{x} = 1", "limits.{x}"),
    ("[listen]\n{x} = 1", "listen.{x}"),
    ('[listen.inbound]\nbind = "127.0.0.1:1"\n{x} = 1', "listen.inbound.{x}"),
    ('[listen.inbound]\nbind = "127.0.0.1:1"\ntls = {{ cert = "c", key = "k", {x} = 1 }}', "listen.inbound.tls.{x}"),
    (INBOUND + "{x} = 1", "inbound.0.{x}"),
    (INBOUND + "timeouts = {{ {x} = 1 }}", "inbound.0.timeouts.{x}"),
    (INBOUND + 'fields = [{{ at = "$.a", kind = "pan", {x} = 1 }}]', "inbound.0.fields.0.{x}"),
    (OUTBOUND + "{x} = 1", "outbound.0.{x}"),
    (OUTBOUND + 'preset = "stripe"\n{x} = 1', "outbound.0.{x}"),
    (OUTBOUND + "credential = {{ {x} = 1 }}", "outbound.0.credential.{x}"),
]


@pytest.mark.parametrize(("template", "named"), UNKNOWN, ids=[each[1] for each in UNKNOWN])
def test_an_unknown_key_is_refused_by_its_name(tmp_path, template, named):
    assert key(tmp_path, template.format(x="unknown")) == named.format(x="unknown")


def test_the_models_own_field_is_an_unknown_key_too(tmp_path):
    assert key(tmp_path, 'file = "x"') == "file"


TRANSIT = '[keys]\nprovider = "transit"\naddress = "https://bao.example:8200"\n'
KMS = '[keys]\nprovider = "aws-kms"\nkey = "alias/panless"\nregion = "eu-central-1"\n'
# Each puts the canary where it does not belong.
WRONG = [
    (f'data_dir = ["{CANARY}"]', "data_dir"),
    (f'[database]\nurl = "postgresql://panless:{CANARY}@db/panless"', "database.url"),
    (f'[database]\nurl = "postgresql://db/panless?password={CANARY}"', "database.url"),
    (f'[database]\nurl = "host=db password={CANARY}"', "database.url"),
    (f'[database]\nurl = "env:A"\nowner_url = "postgresql://o:{CANARY}@db/p"', "database.owner_url"),
    (f'[database]\nurl = "env:A"\nauditor_url = "postgresql://o:{CANARY}@db/p"', "database.auditor_url"),
    ('[database]\nowner_url = "env:A"', "database"),
    (f'[database]\nstatement_cache = "{CANARY}"', "database.statement_cache"),
    ('[database]\nurl = "env:"', "database.url"),
    (f'[keys]\nprovider = "{CANARY}"', "keys.provider"),
    ("[keys]\ncache_seconds = 0", "keys.cache_seconds"),
    ("[keys]\ncache_seconds = -1", "keys.cache_seconds"),
    ("[keys]\ncache_seconds = nan", "keys.cache_seconds"),
    ("[keys]\ncache_seconds = inf", "keys.cache_seconds"),
    ("[keys]\ncache_seconds = 86401", "keys.cache_seconds"),
    (f'[keys]\ncache_seconds = "{CANARY}"', "keys.cache_seconds"),
    (TRANSIT, "keys"),
    (f'{TRANSIT}token = "{CANARY}"', "keys.token"),
    (TRANSIT + 'token = "env:T"\nrole_id = "r"\nsecret_id = "env:S"', "keys"),
    (TRANSIT + 'role_id = "r"', "keys"),
    (TRANSIT.replace("https://bao", f"https://u:{CANARY}@bao") + 'token = "env:T"', "keys.address"),
    (TRANSIT.replace("https", "http") + 'token = "env:T"', "keys.address"),
    (KMS + 'endpoint = "http://kms.example"', "keys.endpoint"),
    (f'[vault]\nreuse_tokens = "{CANARY}"', "vault.reuse_tokens"),
    ("[vault]\ncvc_attempts = 0", "vault.cvc_attempts"),
    ("[vault]\ncvc_attempts = 1001", "vault.cvc_attempts"),
    ("[vault]\ncvc_attempts = 1.5", "vault.cvc_attempts"),
    ("[vault]\ncvc_seconds = 0", "vault.cvc_seconds"),
    ("[vault]\ncvc_seconds = 100000", "vault.cvc_seconds"),
    ("[limits]\nbody_bytes = 1023", "limits.body_bytes"),
    ("[limits]\nanswer_bytes = -1", "limits.answer_bytes"),
    ("[limits]\nbody_seconds = 0", "limits.body_seconds"),
    (f'[listen]\ninbound = "{CANARY}"', "listen.inbound"),
    (f'[listen.inbound]\nbind = "{CANARY}"', "listen.inbound.bind"),
    (f'[listen.inbound]\nbind = "127.0.0.1:{CANARY}"', "listen.inbound.bind"),
    ('[listen.inbound]\nbind = "127.0.0.1:65536"', "listen.inbound.bind"),
    ('[listen.inbound]\nbind = ":8080"', "listen.inbound.bind"),
    ('[listen.inbound]\nbind = "127.0.0.1:٨٠"', "listen.inbound.bind"),
    ('[listen.inbound]\nbind = "127.0.0.1:-1"', "listen.inbound.bind"),
    ('[listen.inbound]\nbind = "127.0.0.1:"', "listen.inbound.bind"),
    ('[listen.inbound]\nbind = "127.0.0.1:1"\ntls = { cert = "c" }', "listen.inbound.tls.key"),
    (f'inbound = "{CANARY}"', "inbound"),
    (f'inbound = ["{CANARY}"]', "inbound.0"),
    (f'outbound = ["{CANARY}"]', "outbound.0"),
    ('[[inbound]]\nname = "a"\npath = "/a"', "inbound.0.upstream"),
    ('[[inbound]]\nname = "a"\nupstream = "http://127.0.0.1/"', "inbound.0.path"),
    ('[[inbound]]\npath = "/a"\nupstream = "http://127.0.0.1/"', "inbound.0.name"),
    (INBOUND.replace('"a"', f'"{CANARY} "'), "inbound.0.name"),
    (INBOUND.replace('"a"', '""'), "inbound.0.name"),
    (INBOUND.replace('"a"', '"-a"'), "inbound.0.name"),
    (INBOUND.replace('"a"', '"a\\n"'), "inbound.0.name"),
    (INBOUND.replace('"a"', '"é"'), "inbound.0.name"),
    (INBOUND.replace('"a"', f'"{"a" * 64}"'), "inbound.0.name"),
    (INBOUND.replace("/a", CANARY), "inbound.0.path"),
    (INBOUND.replace("/a", f"/a?{CANARY}"), "inbound.0.path"),
    (INBOUND.replace("/a", f"/a#{CANARY}"), "inbound.0.path"),
    (INBOUND.replace("/a", f"//{CANARY}"), "inbound.0.path"),
    (INBOUND.replace("http://127.0.0.1:1/", CANARY), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"ftp://{CANARY}/"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"file:///{CANARY}"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"https://user:{CANARY}@host/"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"https://{CANARY}@host/"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"https://host/?key={CANARY}"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"https://host/#{CANARY}"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", "https://host:99999/"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", "https://[::1/"), "inbound.0.upstream"),
    (INBOUND + f'methods = ["{CANARY}"]', "inbound.0.methods.0"),
    (INBOUND + 'methods = ["post"]', "inbound.0.methods.0"),
    (INBOUND + 'methods = "POST"', "inbound.0.methods"),
    (INBOUND + f'tenant = " {CANARY}"', "inbound.0.tenant"),
    (INBOUND + f'plain_http = "{CANARY}"', "inbound.0.plain_http"),
    (INBOUND + "timeouts = { connect = 0 }", "inbound.0.timeouts.connect"),
    (INBOUND + f'timeouts = {{ whole = "{CANARY}" }}', "inbound.0.timeouts.whole"),
    (INBOUND + f'fields = "{CANARY}"', "inbound.0.fields"),
    (INBOUND + f'fields = [{{ at = "$.a", kind = "{CANARY}" }}]', "inbound.0.fields.0.kind"),
    (INBOUND + 'fields = [{ at = "$.a" }]', "inbound.0.fields.0.kind"),
    (INBOUND + f'fields = [{{ at = "$.a", kind = "pan", token = "{CANARY}" }}]', "inbound.0.fields.0.token"),
    (INBOUND + 'fields = [{ at = "$", kind = "pan" }]', "inbound.0.fields.0.at"),
    (INBOUND + 'fields = [{ at = "$.a[?@.b]", kind = "pan" }]', "inbound.0.fields.0.at"),
    (INBOUND + 'fields = [{ at = "$.a", kind = "cvc", of = "$.b" }]', "inbound.0"),
    (INBOUND + 'fields = [{ at = "$.a", kind = "cvc", of = "b" }]', "inbound.0.fields.0.of"),
    (INBOUND + f'client_cert = "{CANARY}"', "inbound.0"),
    (INBOUND + f'client_key = "{CANARY}"', "inbound.0"),
    (INBOUND + 'apps = "shop"', "inbound.0.apps"),
    (INBOUND + 'preset = "stripe"', "inbound.0.preset"),
    (OUTBOUND + 'tenant = "default"', "outbound.0.tenant"),
    (OUTBOUND + f'apps = [" {CANARY}"]', "outbound.0.apps.0"),
    (OUTBOUND + 'apps = "shop"', "outbound.0.apps"),
    (OUTBOUND + f'preset = "{CANARY}"', "outbound.0.preset"),
    (OUTBOUND + 'preset = "../gateways/stripe"', "outbound.0.preset"),
    (OUTBOUND + 'preset = ["stripe"]', "outbound.0.preset"),
    (OUTBOUND + 'preset = ""', "outbound.0.preset"),
    (OUTBOUND + f'credential = {{ secret = "{CANARY}" }}', "outbound.0.credential.secret"),
    (OUTBOUND + f'credential = {{ secret = "sk_live_{CANARY}" }}', "outbound.0.credential.secret"),
    (OUTBOUND + f'credential = {{ secret = "https://{CANARY}" }}', "outbound.0.credential.secret"),
    (OUTBOUND + f'credential = {{ secret = "ENV:{CANARY}" }}', "outbound.0.credential.secret"),
    (OUTBOUND + f'credential = {{ secret = " env:{CANARY}" }}', "outbound.0.credential.secret"),
    (OUTBOUND + 'credential = { secret = "file:" }', "outbound.0.credential.secret"),
    (OUTBOUND + 'credential = { secret = "" }', "outbound.0.credential.secret"),
    (OUTBOUND + f'credential = {{ slots = ["{CANARY}"] }}', "outbound.0.credential.slots.0"),
    (OUTBOUND + 'credential = { slots = [], secret = "env:X" }', "outbound.0.credential.slots"),
    (OUTBOUND + f'credential = "{CANARY}"', "outbound.0.credential"),
    (OUTBOUND.replace('path = "/a"\n', ""), "outbound.0"),
    (OUTBOUND.replace('"/a"', '""'), "outbound.0.path"),
    (OUTBOUND + "hosts = []\nbind = 1", "outbound.0.bind"),
    (OUTBOUND + f'bind = "{CANARY}"', "outbound.0.bind"),
    (OUTBOUND + 'tls = { cert = "c", key = "k" }', "outbound.0"),
    (OUTBOUND + 'bind = "127.0.0.1:1"\ntls = { cert = "c" }', "outbound.0.tls.key"),
    (OUTBOUND + f'hosts = "{CANARY}"', "outbound.0.hosts"),
    (OUTBOUND + f'hosts = ["{CANARY}:x"]', "outbound.0.hosts.0"),
    (OUTBOUND + f'hosts = ["https://{CANARY}"]', "outbound.0.hosts.0"),
    (OUTBOUND + f'hosts = ["{CANARY}@api.example"]', "outbound.0.hosts.0"),
    (OUTBOUND + f'hosts = ["api.example", "*.{CANARY}"]', "outbound.0.hosts.1"),
    (INBOUND + 'hosts = ["api.example"]', "inbound.0.hosts"),
    (INBOUND + 'bind = "127.0.0.1:1"', "inbound.0.bind"),
    (f'[listen.forward]\nbind = "{CANARY}"', "listen.forward.bind"),
]


@pytest.mark.parametrize(("text", "named"), WRONG, ids=[f"{n}-{each[1]}" for n, each in enumerate(WRONG)])
def test_a_wrong_value_is_refused_by_its_key_and_not_shown(tmp_path, text, named):
    assert key(tmp_path, text) == named


# Python's own messages quote what they were given.
QUOTED = [
    (INBOUND.replace("http://127.0.0.1:1/", f"https://user:{CANARY}/"), "inbound.0.upstream"),
    (INBOUND.replace("http://127.0.0.1:1/", f"https://user:{CANARY}℀@host/"), "inbound.0.upstream"),
    (f'[database]\nurl = "postgresql://panless:{CANARY}℀@db/panless"', "database.url"),
]


@pytest.mark.parametrize(("text", "named"), QUOTED, ids=["port", "upstream", "database"])
def test_what_cannot_be_parsed_as_a_url_is_not_shown(tmp_path, text, named):
    assert key(tmp_path, text) == named


@pytest.mark.parametrize("text", [f'[[inbound]]\nname = ["{CANARY}"]', f'x = "{CANARY}"'.encode() + b"\n# \xff"])
def test_what_led_to_an_error_does_not_hold_the_input_either(tmp_path, text):
    from pydantic import ValidationError

    cause = refused(tmp_path, text).__context__
    while cause is not None:
        held = repr(cause) + (repr(cause.errors()) if isinstance(cause, ValidationError) else "")
        assert CANARY not in held
        cause = cause.__context__


def test_the_error_of_the_models_themselves_shows_no_value(tmp_path):
    with pytest.raises(ValueError, match="inbound") as caught:
        Config.model_validate({"file": tmp_path / "x", "inbound": [{"name": f"{CANARY} "}], "vault": CANARY})
    assert CANARY not in str(caught.value) + repr(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for file in (tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(ConfigInvalid) as caught:
            load(file)
        assert caught.value.ids == {"file": str(file), "key": "(file)", "problem": "it cannot be read"}


@pytest.mark.parametrize(
    "text",
    [
        f"secret = {CANARY}",
        f'secret = "{CANARY}',
        f'secret = "{CANARY}"\nsecret = "{CANARY}"',
        f'["{CANARY}"]\n["{CANARY}"]',
        f"{CANARY}",
        f'a = "{CANARY}"\na.b = 1',
        f'x = "{CANARY}"\n'.encode() + b"\xff",
        b'\xef\xbb\xbfx = "' + CANARY.encode() + b'"',
    ],
)
def test_what_is_not_toml_is_named_by_its_line_and_not_shown(tmp_path, text):
    error = refused(tmp_path, text)
    assert error.ids["key"] == "(file)"
    assert "line" in str(error.ids["problem"]) or "document" in str(error) or "UTF-8" in str(error)


OVERLAPS = [
    ("/a", "", "/a", "", True),
    ("/a/", "", "/a/", "", True),
    ("/a", 'methods = ["GET", "POST"]', "/a", 'methods = ["POST"]', True),
    ("/a", "", "/a", 'methods = ["POST"]', True),
    ("/a", 'methods = ["GET"]', "/a", 'methods = ["POST"]', False),
    ("/a", "", "/a/", "", False),
    ("/a/", "", "/a/b/", "", False),
    ("/a", "", "/b", "", False),
]


@pytest.mark.parametrize("table", ["inbound", "outbound"])
@pytest.mark.parametrize("case", OVERLAPS)
def test_routes_that_take_the_same_request_are_refused(tmp_path, table, case):
    path, more, other_path, other_more, overlap = case
    upstream = 'upstream = "https://api.example/"'
    text = f'[[{table}]]\nname = "first"\npath = "{path}"\n{upstream}\n{more}\n'
    text += f'[[{table}]]\nname = "second"\npath = "{other_path}"\n{upstream}\n{other_more}\n'
    if overlap:
        error = refused(tmp_path, text)
        assert "first" in str(error)
        assert "second" in str(error)
    else:
        assert len(getattr(read(tmp_path, text), table)) == 2


def test_the_same_path_on_both_listeners_is_no_overlap_but_the_same_name_is_one(tmp_path):
    assert read(tmp_path, INBOUND + OUTBOUND.replace('"a"', '"b"'))
    assert "two routes are named a" in str(refused(tmp_path, INBOUND + OUTBOUND))


PLAIN = [
    ("http://127.0.0.1:9000", True),
    ("http://127.8.8.8/", True),
    ("http://localhost:9000/", True),
    ("http://LOCALHOST/", True),
    ("http://[::1]:9000/", True),
    ("https://api.example/", True),
    ("http://api.example/", False),
    ("http://10.0.0.1/", False),
    ("http://0.0.0.0/", False),
    ("http://[::]/", False),
    ("http://localhost.example/", False),
    ("http://127.0.0.1.example/", False),
    ("http://169.254.169.254/", False),
    ("http://127.1/", False),
    ("http://localhost./", False),
]


@pytest.mark.parametrize("text", [INBOUND, OUTBOUND.replace("https://api.example/", "http://127.0.0.1:1/")])
@pytest.mark.parametrize(("url", "taken"), PLAIN)
def test_plain_http_is_for_loopback_unless_it_is_asked_for(tmp_path, text, url, taken):
    text = text.replace("http://127.0.0.1:1/", url)
    if taken:
        assert read(tmp_path, text)
    else:
        assert "plain http" in str(refused(tmp_path, text))
        assert read(tmp_path, text + "plain_http = true")


def test_a_route_overrides_its_preset_and_tables_are_merged(tmp_path):
    text = OUTBOUND + 'preset = "stripe"\ncredential = { secret = "env:STRIPE" }\nidempotency_header = "X-Other"\n'
    (route,) = read(tmp_path, text).outbound
    assert route.credential is not None
    assert (route.credential.slots, route.credential.secret) == (("bearer", "basic"), "env:STRIPE")
    assert route.idempotency_header == "X-Other"
    (own,) = read(tmp_path, text + 'fields = [{ at = "$.x", kind = "pan" }]').outbound
    assert [field.at for field in own.fields] == ["$.x"]


@pytest.mark.parametrize("wrong", ["fields = {}", "idempotency_header = { a = 1 }", "credential = 1"])
def test_a_wrong_type_over_a_preset_is_named_like_any_other(tmp_path, request, wrong):
    assert key(tmp_path, OUTBOUND + f'preset = "stripe"\n{wrong}').startswith(f"outbound.0.{wrong.split()[0]}")


# Taken today; each makes a route that can only fail, so it should be refused when the file is read.
HOPELESS = [
    (INBOUND + 'fields = [{ at = "$.a", kind = "cvc", of = "$.a" }]', "ValueError in tokenize for every code"),
    (
        INBOUND + 'fields = [{ at = "$.a", kind = "cvc" }, { at = "$.b", kind = "cvc", of = "$.a" }]',
        "ValueError in tokenize for every code",
    ),
    (INBOUND + "methods = []", "no request matches it, and it hides no overlap"),
    (INBOUND.replace("/a", "/a/../b"), "no request matches it"),
    ('[database]\nurl = ""', "asyncpg connects to whatever PGHOST says"),
    ('[database]\nurl = "mysql://db/x"', "found out only by serve"),
]


@pytest.mark.parametrize(("text", "why"), HOPELESS, ids=[each[1] for each in HOPELESS])
def test_what_can_only_fail_later_is_refused_when_the_file_is_read(tmp_path, text, why):
    assert refused(tmp_path, text)


def test_relative_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "panless.toml").write_text('data_dir = "data"\n[keys]\npath = "kek"')
    settings = vault_settings(load(Path("etc/panless.toml")))
    assert (settings.data_dir, settings.providers[0].path) == (folder / "data", folder / "kek")
    (folder / "panless.toml").write_text('data_dir = "/srv/data"')
    assert vault_settings(load(folder / "panless.toml")).providers[0].path == Path("/srv/data/kek")


def test_secrets_come_from_the_environment_and_from_files(tmp_path, monkeypatch):
    monkeypatch.setenv("OWN_URL", f"postgresql://panless:{CANARY}@db/panless")
    (tmp_path / "owner").write_text(f"postgresql://owner:{CANARY}@db/panless\n")
    (tmp_path / "gateway.key").write_text(f"  {CANARY}\n")
    text = '[database]\nurl = "env:OWN_URL"\nowner_url = "file:owner"\n' + OUTBOUND
    config = read(tmp_path, text + 'credential = { secret = "file:gateway.key" }')
    settings = vault_settings(config)
    assert settings.urls["proxy"] == f"postgresql://panless:{CANARY}@db/panless"
    assert settings.urls["owner"].endswith("@db/panless")
    (route,) = compile_outbound(config)
    assert route.credential.secret == CANARY
    assert CANARY not in f"{config!r} {settings!r} {route!r} {config} {config.model_dump()}"


@pytest.mark.parametrize(
    "reference", ["env:NOT_SET", "env:EMPTY", "file:nowhere", "file:empty", "file:binary", "file:."]
)
def test_a_secret_that_is_not_to_be_had_is_named_and_nothing_else_is_shown(tmp_path, monkeypatch, reference):
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(CANARY.encode() + b"\xff")
    for text, named, use in (
        (f'[database]\nurl = "{reference}"', "database.url", vault_settings),
        (f'[database]\nurl = "postgresql:///x"\nowner_url = "{reference}"', "database.owner_url", vault_settings),
        (OUTBOUND + f'credential = {{ secret = "{reference}" }}', "outbound.0.credential.secret", compile_outbound),
    ):
        with pytest.raises(ConfigInvalid) as caught:
            use(read(tmp_path, text))
        assert caught.value.ids["key"] == named
        assert reference.partition(":")[2] in str(caught.value)
        assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


def test_a_long_path_with_a_wrong_character_is_refused_at_once(tmp_path):
    """Its pattern once tried every way to divide the name: forty letters took for ever."""
    assert key(tmp_path, INBOUND.replace('"/a"', f'"/{"a" * 5000}%"')) == "inbound.0.path"


HOSTED = '[[outbound]]\nname = "{name}"\nhosts = {hosts}\nupstream = "https://api.example/"\n'


def test_a_route_can_be_reached_by_port_or_hosts_alone(tmp_path):
    text = HOSTED.format(name="a", hosts='["API.example", "api.example:8443", "[::1]", "127.0.0.1:443"]')
    text += OUTBOUND.replace('"a"', '"b"').replace('path = "/a"\n', "") + 'bind = "127.0.0.1:9101"\n'
    hosted, own = read(tmp_path, text).outbound
    assert hosted.hosts == ("api.example", "api.example:8443", "[::1]", "127.0.0.1")
    assert (hosted.path, hosted.listener) == ("", None)
    assert own.listener is not None
    assert (own.path, own.listener.host, own.listener.port) == ("", "127.0.0.1", 9101)


@pytest.mark.parametrize("other", ["api.example", "API.EXAMPLE", "api.example:443"])
def test_a_host_belongs_to_one_route(tmp_path, other):
    text = HOSTED.format(name="first", hosts='["api.example"]') + HOSTED.format(name="second", hosts=f'["{other}"]')
    error = refused(tmp_path, text)
    assert "first" in str(error)
    assert "second" in str(error)
    assert read(tmp_path, HOSTED.format(name="first", hosts=f'["api.example", "{other}"]'))


@pytest.mark.parametrize("name", ["inbound", "outbound", "forward", "admin"])
def test_a_route_with_a_port_of_its_own_is_not_named_like_a_listener(tmp_path, name):
    text = OUTBOUND.replace('"a"', f'"{name}"')
    assert read(tmp_path, text)
    assert name in str(refused(tmp_path, text + 'bind = "127.0.0.1:0"'))


@pytest.mark.parametrize("port", [9101, 8080])
def test_no_two_listeners_share_an_address(tmp_path, port):
    listen = f'[listen]\nforward = {{ bind = "127.0.0.1:{port}" }}\n'
    routes = OUTBOUND + 'bind = "127.0.0.1:9101"\n'
    if port == 9101:
        assert "two listeners bind 127.0.0.1:9101" in str(refused(tmp_path, listen + routes))
    else:
        assert read(tmp_path, listen + routes)
    free = 'bind = "127.0.0.1:0"\n'
    assert read(tmp_path, OUTBOUND + free + OUTBOUND.replace('"a"', '"b"').replace('"/a"', '"/b"') + free)


@pytest.mark.parametrize("address", ["https://bao.example:8200", "http://127.0.0.1:8200", "http://[::1]:8200"])
def test_a_key_provider_is_reached_over_tls_or_on_loopback(tmp_path, address):
    config = read(tmp_path, TRANSIT.replace("https://bao.example:8200", address) + 'token = "env:T"')
    assert config.keys.address == address


PAGES = [ROOT / "docs" / "keys" / f"{provider}.md" for provider in PROVIDERS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_configuration_of_each_page_on_keys_is_one(tmp_path, page):
    (text,) = [part.split("```")[0] for part in page.read_text().split("```toml\n")[1:]]
    config = read(tmp_path, text)
    assert config.keys.provider == page.stem
    if page.stem == "file":
        create_kek(FileSettings(tmp_path / "kek"))
        config = read(tmp_path, text.replace("/etc/panless/kek", "kek"))
    if page.stem == "custodians":
        return  # its record is made by a ceremony: tests/integration/test_custodians.py
    assert build(provider_settings(config.keys, config)).describe().provider == page.stem
