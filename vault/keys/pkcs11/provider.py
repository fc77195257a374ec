"""Key provider `pkcs11`: AES-256 keys that were made in a token and cannot leave it.

A KEK is one object, `pkcs11:TOKEN/LABEL/ID`, with its CKA_ID in hexadecimal digits. Keys that Panless makes have a
UUIDv7 there, so that later ones sort after earlier ones. Wrapping is CKM_AES_GCM with the context as associated data;
what is stored is `version(1) | iv(12) | ciphertext | tag(16)`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import pkcs11
from pkcs11 import Attribute

from vault.errors import KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import Pkcs11Settings
from vault.keys.pkcs11 import objects
from vault.keys.pkcs11.thread import CallThread
from vault.keys.pkcs11.token import NotThere, Token
from vault.keys.provider import ProviderDescription

Result = TypeVar("Result")


class Pkcs11KeyProvider:
    """Loads the library and opens the token when it is first used."""

    def __init__(self, settings: Pkcs11Settings) -> None:
        self._settings = settings
        self._token = Token(settings)
        self._prefix = f"pkcs11:{quote(settings.token, safe='')}"
        self._kek = re.compile(
            rf"{re.escape(self._prefix)}/({re.escape(settings.key)}(?:-[0-9a-f]{{16}})?)/((?:[0-9a-f]{{2}}){{1,32}})"
        )

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        label, key_id = self._parsed(kek)
        return await self._use(kek, lambda session: objects.wrap(objects.find(session, label, key_id), key, context))

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        label, key_id = self._parsed(kek)
        return await self._use(
            kek, lambda session: objects.unwrap(kek, objects.find(session, label, key_id), wrapped, context)
        )

    async def health(self) -> None:
        def probe(session: pkcs11.Session) -> None:
            if not (keys := objects.keys(session, self._settings.key)):
                raise NotThere  # a token that was taken away looks empty to a session that was open before
            objects.wrap(keys[-1], bytes(32), b"panless health")

        await self._use(self._prefix, probe)

    def describe(self) -> ProviderDescription:
        return ProviderDescription("pkcs11", f"token {self._settings.token} of {self._settings.module}")

    def holds(self, kek: str) -> bool:
        return self._kek.fullmatch(kek) is not None

    async def newest(self) -> str:
        """Return the key with the highest CKA_ID; makes the first one."""
        label = self._settings.key

        def find(session: pkcs11.Session) -> str | None:
            keys = objects.keys(session, label)
            return self._fit(label, keys[-1]) if keys else None

        def find_or_make(session: pkcs11.Session) -> str:
            return find(session) or self._made(session, label)

        if (found := await self._use(self._id(label, b""), find)) is not None:
            return found
        return await self._run(lambda: self._token.change(self._id(label, b""), find_or_make))

    async def make(self, tenant: str | None) -> str:
        """Make a key in the token. A tenant's key is named after the SHA-256 of the tenant."""
        label = self._settings.key
        if tenant is not None:
            label = f"{label}-{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"
        kek = self._id(label, b"")
        return await self._run(lambda: self._token.change(kek, lambda session: self._made(session, label)))

    async def destroy(self, kek: str) -> None:
        label, key_id = self._parsed(kek)

        def destroy(session: pkcs11.Session) -> None:
            for key in objects.keys(session, label, key_id):
                key.destroy()

        await self._run(lambda: self._token.change(kek, destroy))

    async def close(self) -> None:
        with suppress(KeyProviderUnavailable):  # a library that hangs does not keep Panless from ending
            await self._run(self._token.close)

    async def _use(self, kek: str, action: Callable[[pkcs11.Session], Result]) -> Result:
        return await self._run(lambda: self._token.use(kek, action))

    async def _run(self, call: Callable[[], Result]) -> Result:
        seconds = self._settings.timeout
        try:
            return await CallThread.of(self._settings.module).run(call, seconds)
        except TimeoutError:
            provider = f"pkcs11, token {self._settings.token}"
            raise KeyProviderUnavailable(provider=provider, reason=f"no answer within {seconds:g} seconds") from None

    def _made(self, session: pkcs11.Session, label: str) -> str:
        return self._fit(label, objects.generate(session, label))

    def _fit(self, label: str, key: Any) -> str:
        kek = self._id(label, key[Attribute.ID])
        if reason := objects.unfit(key):
            raise KeyUnavailable(key=kek, reason=reason)
        return kek

    def _id(self, label: str, key_id: bytes) -> str:
        return f"{self._prefix}/{label}/{key_id.hex()}"

    def _parsed(self, kek: str) -> tuple[str, bytes]:
        if (found := self._kek.fullmatch(kek)) is None:
            raise KeyUnavailable(key=kek, reason=f"it is not a key {self._settings.key} of {self._settings.token}")
        return found[1], bytes.fromhex(found[2])
