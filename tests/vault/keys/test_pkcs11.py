"""The PKCS #11 provider against SoftHSM2: keys cannot leave, PINs are not tried twice, tokens may go away."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness.softhsm import SoftHsm, left_out
from vault.errors import KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import Pkcs11Settings
from vault.keys.pkcs11 import Pkcs11KeyProvider
from vault.keys.pkcs11.thread import CallThread
from vault.keys.providers import build

pytestmark = pytest.mark.skipif(left_out(), reason="there is no SoftHSM2")

KEY = b"0123456789abcdef0123456789abcdef"
CONTEXT = b"panless data key: \x00\xff"
PIN = "canary-pin-4711"
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "pkcs11.json").read_text())

_labels = (f"payments {number}" for number in range(10**6))


@pytest.fixture(scope="module")
def hsm(tmp_path_factory) -> SoftHsm:
    made = SoftHsm(tmp_path_factory.mktemp("soft hsm"))
    os.environ["SOFTHSM2_CONF"] = str(made.config)  # the library reads it once
    yield made
    del os.environ["SOFTHSM2_CONF"]


@pytest.fixture
async def settings(hsm) -> Pkcs11Settings:
    """A new token's."""
    label = next(_labels)
    await hsm.new_token(label, PIN)
    return Pkcs11Settings(hsm.library, label, lambda: PIN, timeout=10)


@pytest.fixture
async def provider(settings):
    made = Pkcs11KeyProvider(settings)
    yield made
    await made.close()


@pytest.fixture
def administer(hsm, settings):
    return lambda program: hsm.administer(settings.token, PIN, program)


async def test_the_first_key_is_made_and_what_it_wraps_it_unwraps_in_the_same_context_only(provider, settings):
    kek = await provider.newest()
    assert kek.startswith(f"pkcs11:{settings.token.replace(' ', '%20')}/panless/")
    assert await provider.newest() == kek
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    assert (wrapped[:1], len(wrapped)) == (b"\x01", 1 + 12 + 32 + 16)
    assert KEY not in wrapped
    assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
    assert await provider.wrap(kek, KEY, CONTEXT) != wrapped
    for other in (b"", CONTEXT + b"\0", CONTEXT[:-1], b"another tenant"):
        with pytest.raises(KeyUnavailable, match="not wrapped by this KEK") as caught:
            await provider.unwrap(kek, wrapped, other)
        assert type(caught.value) is KeyUnavailable
    await provider.health()


async def test_a_changed_or_foreign_wrapping_is_not_unwrapped(provider):
    kek, other = await provider.make(None), await provider.make(None)
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    for place in (0, 1, 12, 13, len(wrapped) - 1):
        changed = bytearray(wrapped)
        changed[place] ^= 1
        with pytest.raises(KeyUnavailable, match="not wrapped by this KEK"):
            await provider.unwrap(kek, bytes(changed), CONTEXT)
    for box in (b"", b"\x01", wrapped[:28], wrapped[:-1], wrapped[1:], wrapped + b"\0"):
        with pytest.raises(KeyUnavailable, match="not wrapped by this KEK"):
            await provider.unwrap(kek, box, CONTEXT)
    with pytest.raises(KeyUnavailable, match="not wrapped by this KEK"):
        await provider.unwrap(other, wrapped, CONTEXT)


async def test_later_keys_sort_after_earlier_ones(provider):
    made = [await provider.newest()]
    for _ in range(5):
        made.append(await provider.make(None))
        assert await provider.newest() == made[-1]
    assert sorted(made) == made
    wrapped = [await provider.wrap(kek, KEY, CONTEXT) for kek in made]
    assert [await provider.unwrap(*pair, CONTEXT) for pair in zip(made, wrapped, strict=True)] == [KEY] * 6


async def test_a_tenants_key_is_another_key_and_does_not_tell_the_tenant(provider):
    shared, mine, other = await provider.newest(), await provider.make("acme"), await provider.make("other")
    assert "acme" not in mine
    assert await provider.newest() == shared
    wrapped = await provider.wrap(mine, KEY, CONTEXT)
    for kek in (shared, other):
        with pytest.raises(KeyUnavailable):
            await provider.unwrap(kek, wrapped, CONTEXT)
    assert all(provider.holds(kek) for kek in (shared, mine, other))


LEAVE = """
for key in session.get_objects({Attribute.LABEL: "panless"}):
    found = [key[a] for a in (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.PRIVATE, Attribute.LOCAL)]
    print(*found, key[Attribute.NEVER_EXTRACTABLE], not key[Attribute.EXTRACTABLE], not key[Attribute.MODIFIABLE])
    flags = MechanismFlag.WRAP | MechanismFlag.ENCRYPT
    wrapping = session.generate_key(KeyType.AES, 256, capabilities=flags)
    def attempt(action):
        try:
            print("LEFT", action())
        except PKCS11Error as error:
            print(type(error).__name__)
    attempt(lambda: key[Attribute.VALUE])
    attempt(lambda: wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP))
    attempt(lambda: key.__setitem__(Attribute.EXTRACTABLE, True))
    attempt(lambda: key.__setitem__(Attribute.SENSITIVE, False))
    attempt(lambda: key.copy({Attribute.EXTRACTABLE: True, Attribute.TOKEN: False})[Attribute.VALUE])
"""


async def test_a_key_cannot_leave_the_token(provider, administer):
    await provider.newest()
    lines = (await administer(LEAVE)).splitlines()
    assert lines[0].split() == ["True"] * 7
    assert lines[1:3] == ["AttributeSensitive", "KeyUnextractable"]
    assert len(lines) == 6
    assert "LEFT" not in "".join(lines)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ("Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: True", "can leave"),
        ("Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: False", "can leave"),
        ("Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True, Attribute.VALUE_LEN: 16", "256 bits"),
    ],
)
async def test_a_key_that_is_not_fit_to_be_a_kek_is_refused(provider, administer, attributes, reason):
    bits = 128 if "VALUE_LEN" in attributes else 256
    attributes = attributes.replace(", Attribute.VALUE_LEN: 16", "")
    template = f"label='panless', store=True, template={{{attributes}}}"
    await administer(f"session.generate_key(KeyType.AES, {bits}, id=b'\\x01', {template})")
    with pytest.raises(KeyUnavailable, match=reason):
        await provider.newest()


async def test_a_destroyed_key_is_gone(provider):
    kek, kept = await provider.make(None), await provider.make(None)
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    await provider.destroy(kek)
    for call in (provider.unwrap(kek, wrapped, CONTEXT), provider.wrap(kek, KEY, b"")):
        with pytest.raises(KeyUnavailable, match="not in token") as caught:
            await call
        assert type(caught.value) is KeyUnavailable
    await provider.destroy(kek)
    assert await provider.unwrap(kept, await provider.wrap(kept, KEY, b""), b"") == KEY


async def test_a_key_that_another_process_made_or_destroyed_is_seen(provider, administer):
    first = await provider.newest()
    await provider.wrap(first, KEY, b"")
    await administer(
        "for key in session.get_objects({Attribute.LABEL: 'panless'}): key.destroy()\n"
        "template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}\n"
        "session.generate_key(KeyType.AES, 256, id=b'\\xff' * 16, label='panless', store=True, template=template)"
    )
    with pytest.raises(KeyUnavailable, match="not in token"):
        await provider.wrap(first, KEY, b"")
    assert (await provider.newest()).endswith("/" + "ff" * 16)


async def test_a_refused_pin_is_not_tried_again_until_it_changes(settings, administer):
    pin = ["wrong-pin"]
    provider = Pkcs11KeyProvider(replace(settings, pin=lambda: pin[0]))
    with pytest.raises(KeyUnavailable, match="refuses the PIN") as caught:
        await provider.newest()
    assert "wrong-pin" not in str(caught.value)
    # Now it would be right, which only trying it again could tell.
    await administer(f"session.set_pin({PIN!r}, 'wrong-pin')")
    for call in (provider.newest(), provider.health(), provider.make(None), provider.newest()):
        with pytest.raises(KeyUnavailable, match="not tried again until it changes"):
            await call
    pin[0] = "another-pin"
    with pytest.raises(KeyUnavailable, match="refuses the PIN"):
        await provider.newest()
    pin[0] = "wrong-pin"
    assert await provider.newest()
    await provider.close()


async def test_a_pin_that_cannot_be_read_is_not_tried(settings):
    def missing() -> str:
        raise ValueError(PIN)

    for pin in (missing, lambda: ""):
        with pytest.raises(KeyUnavailable, match="PIN cannot be read") as caught:
            await Pkcs11KeyProvider(replace(settings, pin=pin)).newest()
        assert PIN not in str(caught.value)


async def test_a_token_that_was_taken_away_is_unavailable_and_works_again_by_itself(hsm, tmp_path):
    folder = await hsm.new_token("removable", PIN)
    provider = Pkcs11KeyProvider(Pkcs11Settings(hsm.library, "removable", lambda: PIN, timeout=10))
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    folder.rename(tmp_path / "away")
    for call in (provider.unwrap(kek, wrapped, CONTEXT), provider.wrap(kek, KEY, b""), provider.make(None)):
        with pytest.raises(KeyProviderUnavailable, match="its library fails"):
            await call
    with pytest.raises(KeyProviderUnavailable):
        await provider.health()
    (tmp_path / "away").rename(folder)
    assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
    assert await provider.newest() == kek
    await provider.close()


async def test_a_token_that_was_taken_away_is_not_healthy_although_a_session_is_open(hsm, tmp_path):
    folder = await hsm.new_token("pulled", PIN)
    provider = Pkcs11KeyProvider(Pkcs11Settings(hsm.library, "pulled", lambda: PIN, timeout=10))
    await provider.newest()
    await provider.health()
    folder.rename(tmp_path / "away")
    with pytest.raises(KeyProviderUnavailable):
        await provider.health()
    (tmp_path / "away").rename(folder)
    await provider.health()
    await provider.close()


async def test_a_token_that_was_initialised_anew_has_lost_its_keys(hsm, tmp_path):
    folder = await hsm.new_token("erased", PIN)
    provider = Pkcs11KeyProvider(Pkcs11Settings(hsm.library, "erased", lambda: PIN, timeout=10))
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    folder.rename(tmp_path / "old")
    await hsm.new_token("erased", PIN)
    with pytest.raises(KeyUnavailable, match="not in token"):
        await provider.unwrap(kek, wrapped, CONTEXT)
    assert await provider.newest() != kek
    await provider.close()


# Holds the locks of a token's files until its input ends: SoftHSM2 waits for them within a call.
LOCK = """
import fcntl, sys
files = [open(name, "r+b") for name in sys.argv[1:]]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


async def lock(hsm: SoftHsm, folder: Path) -> asyncio.subprocess.Process:
    process = await hsm.program(LOCK, *folder.iterdir())
    assert await process.stdout.readline() == b"locked\n"
    return process


async def test_a_call_that_hangs_is_given_up_blocks_nothing_and_is_used_again(hsm):
    folder = await hsm.new_token("hanging", PIN)
    provider = Pkcs11KeyProvider(Pkcs11Settings(hsm.library, "hanging", lambda: PIN, timeout=0.5))
    kek = await provider.newest()
    wrapped = await provider.wrap(kek, KEY, CONTEXT)
    holder = await lock(hsm, folder)
    calls = asyncio.gather(*(provider.unwrap(kek, wrapped, CONTEXT) for _ in range(3)), return_exceptions=True)
    turns = 0
    while not calls.done():  # the event loop goes on
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 5
    for outcome in calls.result():
        assert type(outcome) is KeyProviderUnavailable
        assert "no answer within 0.5 seconds" in str(outcome)
    await provider.close()
    holder.stdin.close()
    await holder.wait()
    assert await provider.unwrap(kek, wrapped, CONTEXT) == KEY
    await provider.close()


STUCK = """
import asyncio, sys
from pathlib import Path
from vault.errors import KeyProviderUnavailable
from vault.key_settings import Pkcs11Settings
from vault.keys.pkcs11 import Pkcs11KeyProvider
async def main():
    provider = Pkcs11KeyProvider(Pkcs11Settings(Path(sys.argv[1]), "stuck", lambda: sys.argv[2], timeout=5))
    kek = await provider.newest()
    print(kek, flush=True)
    sys.stdin.readline()
    try:
        await asyncio.wait_for(provider.wrap(kek, bytes(32), b""), 0.5)
    except TimeoutError:
        print("gave up", flush=True)
asyncio.run(main())
"""


async def test_a_process_ends_though_its_library_hangs(hsm):
    folder = await hsm.new_token("stuck", PIN)
    process = await hsm.program(STUCK, hsm.library, PIN)
    assert (await process.stdout.readline()).startswith(b"pkcs11:stuck/")
    holder = await lock(hsm, folder)
    process.stdin.write(b"\n")
    try:
        assert await process.stdout.readline() == b"gave up\n"
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
        holder.stdin.close()
        await holder.wait()


async def test_one_thread_calls_the_library_whatever_the_number_of_providers_and_tokens(hsm, settings, tmp_path):
    await hsm.new_token("second", PIN)
    (tmp_path / "link.so").symlink_to(hsm.library)
    linked = replace(settings, module=tmp_path / "link.so")
    providers = [Pkcs11KeyProvider(each) for each in (settings, linked, replace(settings, token="second"))]
    keks = [await provider.newest() for provider in providers]
    assert keks[0] == keks[1] != keks[2]
    pairs = [pair for pair in zip(providers, keks, strict=True) for _ in range(20)]
    wrapped = await asyncio.gather(*(provider.wrap(kek, KEY, CONTEXT) for provider, kek in pairs))
    opened = [provider.unwrap(kek, box, CONTEXT) for (provider, kek), box in zip(pairs, wrapped, strict=True)]
    assert set(await asyncio.gather(*opened)) == {KEY}
    assert CallThread.of(hsm.library) is CallThread.of(tmp_path / "link.so")
    for provider in providers:
        await provider.close()


async def test_providers_of_one_library_never_use_each_others_tokens(hsm, settings):
    """Setting the library up anew gives the numbers of sessions again, to whoever comes first."""
    other = replace(settings, token=next(_labels))
    await hsm.new_token(other.token, PIN)
    providers = [Pkcs11KeyProvider(each) for each in (settings, other)]
    keks = [await provider.newest() for provider in providers]
    with pytest.raises(KeyProviderUnavailable):
        await Pkcs11KeyProvider(replace(settings, token="nowhere")).newest()
    for provider, kek in reversed(list(zip(providers, keks, strict=True))):
        assert await provider.newest() == kek
        assert await provider.unwrap(kek, await provider.wrap(kek, KEY, CONTEXT), CONTEXT) == KEY
    with pytest.raises(KeyProviderUnavailable):
        await Pkcs11KeyProvider(replace(settings, token="nowhere")).newest()
    # The first one's number was the second one's before; closing that must not close this.
    assert await providers[0].newest() == keks[0]
    session = providers[0]._token._session
    await providers[1].close()
    assert await providers[0].newest() == keks[0]
    assert providers[0]._token._session is session
    await providers[0].close()


async def test_a_second_provider_of_a_token_does_not_end_the_session_of_the_first(settings):
    first, second = Pkcs11KeyProvider(settings), Pkcs11KeyProvider(settings)
    kek = await first.newest()
    session = first._token._session
    assert await second.newest() == kek
    await first.wrap(kek, KEY, CONTEXT)
    assert first._token._session is session
    for provider in (first, second):
        await provider.close()


async def test_a_token_or_a_library_that_is_not_there(hsm, tmp_path):
    with pytest.raises(KeyProviderUnavailable, match="NoSuchToken"):
        await Pkcs11KeyProvider(Pkcs11Settings(hsm.library, "nowhere", lambda: PIN)).newest()
    with pytest.raises(KeyUnavailable, match="there is no library"):
        await Pkcs11KeyProvider(Pkcs11Settings(tmp_path / "nowhere.so", "nowhere", lambda: PIN)).newest()
    (tmp_path / "empty.so").write_bytes(b"")
    with pytest.raises(KeyProviderUnavailable, match="its library fails"):
        await Pkcs11KeyProvider(Pkcs11Settings(tmp_path / "empty.so", "nowhere", lambda: PIN)).newest()


async def test_ids_of_others_are_not_held(settings):
    provider = Pkcs11KeyProvider(replace(settings, token="pay ments"))
    for kek in ("pkcs11:pay%20ments/panless/01ff", "pkcs11:pay%20ments/panless-0123456789abcdef/" + "ab" * 16):
        assert provider.holds(kek)
    for kek in (
        "",
        "kek_1",
        "pkcs11:pay%20ments/panless/",
        "pkcs11:other/panless/01",
        "pkcs11:pay%20ments/x/01",
        "pkcs11:pay%20ments/panless/0",
        "pkcs11:pay%20ments/panless/01\n",
        "pkcs11:pay ments/panless/01",
    ):
        assert not provider.holds(kek)
        for call in (provider.wrap(kek, KEY, b""), provider.unwrap(kek, b"", b""), provider.destroy(kek)):
            with pytest.raises(KeyUnavailable, match="is not a key"):
                await call


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
async def test_an_old_data_key_is_unwrapped(provider, administer, settings, vector):
    await administer(
        "session.create_object({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES,"
        f" Attribute.VALUE: bytes.fromhex({vector['kek']!r}), Attribute.ID: bytes.fromhex({vector['id']!r}),"
        " Attribute.LABEL: 'panless', Attribute.TOKEN: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False,"
        " Attribute.ENCRYPT: True, Attribute.DECRYPT: True})"
    )
    kek = await provider.newest()
    assert kek == f"pkcs11:{settings.token.replace(' ', '%20')}/panless/{vector['id']}"
    wrapped, context = bytes.fromhex(vector["wrapped"]), bytes.fromhex(vector["context"])
    assert (await provider.unwrap(kek, wrapped, context)).hex() == vector["data_key"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_a_vector_is_what_aes_gcm_gives_for_the_documented_format(vector):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    kek, key, iv, context = (bytes.fromhex(vector[name]) for name in ("kek", "data_key", "iv", "context"))
    assert (b"\x01" + iv + AESGCM(kek).encrypt(iv, key, context)).hex() == vector["wrapped"]


def test_without_the_extra_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['pkcs11'] = None\n"
        "from pathlib import Path\n"
        "from vault.keys.providers import build\n"
        "from vault.key_settings import Pkcs11Settings\n"
        "try:\n    build(Pkcs11Settings(Path('x.so'), 'token', lambda: ''))\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "KeyUnavailable" in done.stdout
    assert "pip install 'panless[pkcs11]'" in done.stdout


def test_the_factory_builds_it_and_nothing_that_can_be_shown_is_the_pin(settings):
    provider = build(settings)
    assert isinstance(provider, Pkcs11KeyProvider)
    assert provider.describe().provider == "pkcs11"
    assert PIN not in f"{provider!r}{vars(provider)!r}{provider.describe()!r}"
