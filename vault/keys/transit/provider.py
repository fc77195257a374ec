"""Key provider `transit`: wraps with versions of keys in OpenBao or HashiCorp Vault, which never leave it.

A KEK is one version of one key, `transit:MOUNT/KEY:v3`. The keys are of type aes256-gcm96 and made with derived=true:
each call encrypts under a key derived (HKDF-SHA-256) from the version and the SHA-256 of the wrapped key's context, and
authenticates the context itself as associated data. What is stored is the engine's ciphertext, `vault:v3:BASE64`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from vault.errors import KekNotDestroyed, KeyUnavailable
from vault.key_settings import TransitSettings
from vault.keys.provider import ProviderDescription
from vault.openbao.client import Answer, OpenBaoClient

_CIPHERTEXT = re.compile(r"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/]+={0,2}", re.ASCII)
_KEY_TYPE = "aes256-gcm96"
_PROBE = b"panless health"


class TransitKeyProvider:
    """Connects when it is first used."""

    def __init__(self, settings: TransitSettings) -> None:
        self._settings = settings
        self._client = OpenBaoClient(settings)
        self._mount = settings.mount.strip("/")
        self._prefix = "/".join(part for part in ((settings.namespace or "").strip("/"), self._mount) if part)
        self._kek = re.compile(
            rf"transit:{re.escape(self._prefix)}/({re.escape(settings.key)}(?:-[0-9a-f]{{16}})?):v([1-9][0-9]{{0,8}})"
        )

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        name, version = self._parsed(kek)
        return (await self._encrypt(name, key, context, version)).encode()

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        name, version = self._parsed(kek)
        text = wrapped.decode("ascii", "replace")
        if _version(text) != version:
            raise KeyUnavailable(key=kek, reason="the data key was not wrapped by this KEK")
        answer = await self._client.call(
            "PUT", f"{self._mount}/decrypt/{name}", {"ciphertext": text, **_bound_to(context)}
        )
        if not answer.done:
            raise _refused(kek, "unwrap", answer)
        try:
            return base64.b64decode(str(answer.data.get("plaintext", "!")), validate=True)
        except (binascii.Error, ValueError):
            raise KeyUnavailable(key=kek, reason="the answer holds no key") from None

    async def health(self) -> None:
        await self._encrypt(self._settings.key, bytes(32), _PROBE)

    def describe(self) -> ProviderDescription:
        return ProviderDescription("transit", f"{self._settings.address} {self._prefix}/{self._settings.key}")

    def holds(self, kek: str) -> bool:
        return self._kek.fullmatch(kek) is not None

    async def newest(self) -> str:
        name = self._settings.key
        answer = await self._read(name)
        if answer.status == 403:
            return self._id(name, _version(await self._encrypt(name, bytes(32), _PROBE)))
        if not answer.done:
            raise _refused(self._id(name), "read", answer)
        return self._newest(name, answer)

    async def make(self, tenant: str | None) -> str:
        """Rotate the key; make it where there is none. A tenant's key is named after the SHA-256 of the tenant."""
        name = self._settings.key
        if tenant is not None:
            name = f"{name}-{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"
        if (await self._read(name)).status == 404:
            await self._change(name, "", {"type": _KEY_TYPE, "derived": True})
        else:
            await self._change(name, "/rotate", {})
        return self._newest(name, await self._read(name))

    async def destroy(self, kek: str) -> None:
        """Trim a version. It has to be the oldest; the newest is rotated first, so that no id is given twice."""
        name, version = self._parsed(kek)
        answer = await self._read(name)
        if answer.status == 404:
            return
        oldest = max(1, _number(answer.data, "min_available_version"))
        if version < oldest:
            return
        if version > oldest:
            raise KekNotDestroyed(provider="transit", how=self._how(name, oldest, version))
        if not answer.done:
            raise _refused(kek, "read", answer)
        if version == _number(answer.data, "latest_version"):
            await self._change(name, "/rotate", {})
        kept = version + 1
        least = {each: max(kept, _number(answer.data, each)) for each in _LEAST}
        await self._change(name, "/config", least)
        await self._change(name, "/trim", {"min_available_version": kept})

    async def close(self) -> None:
        await self._client.close()

    async def _encrypt(self, name: str, key: bytes, context: bytes, version: int | None = None) -> str:
        """Return the ciphertext of a call that cannot be answered by another version than the one asked for."""
        body = {"plaintext": base64.b64encode(key).decode(), **_bound_to(context)}
        if version is not None:
            body["key_version"] = version
        answer = await self._client.call("PUT", f"{self._mount}/encrypt/{name}", body)
        if not answer.done:
            raise _refused(self._id(name, version), "wrap", answer)
        ciphertext = str(answer.data.get("ciphertext"))
        if (found := _version(ciphertext)) == 0 or found != (version or found):
            raise KeyUnavailable(key=self._id(name, version), reason="the answer is not of this version")
        return ciphertext

    async def _read(self, name: str) -> Answer:
        return await self._client.call("GET", f"{self._mount}/keys/{name}")

    async def _change(self, name: str, action: str, body: Mapping[str, Any]) -> None:
        answer = await self._client.call("POST", f"{self._mount}/keys/{name}{action}", body)
        if not answer.done:
            raise _refused(self._id(name), f"{action.strip('/') or 'make'}", answer)

    def _newest(self, name: str, answer: Answer) -> str:
        """Return the id of the newest version; raises KeyUnavailable if the key is not fit to be a KEK."""
        version = _number(answer.data, "latest_version")
        if not answer.done or version == 0:
            raise _refused(self._id(name), "read", answer)
        if answer.data.get("type") != _KEY_TYPE or answer.data.get("derived") is not True:
            raise KeyUnavailable(key=self._id(name), reason=f"it was not made with type={_KEY_TYPE} derived=true")
        if answer.data.get("exportable") is not False or answer.data.get("allow_plaintext_backup") is not False:
            raise KeyUnavailable(key=self._id(name), reason="it can be exported")
        return self._id(name, version)

    def _how(self, name: str, oldest: int, version: int) -> str:
        key = f"{self._mount}/keys/{name}"
        return (
            f"The oldest version of a key goes first: destroy {self._id(name, oldest)} before. If that is no KEK of "
            f"Panless: bao write {key}/config min_decryption_version={version} min_encryption_version={version}, then "
            f"bao write {key}/trim min_available_version={version}, then destroy this one"
        )

    def _id(self, name: str, version: int | None = None) -> str:
        return f"transit:{self._prefix}/{name}" + (f":v{version}" if version else "")

    def _parsed(self, kek: str) -> tuple[str, int]:
        if (found := self._kek.fullmatch(kek)) is None:
            raise KeyUnavailable(key=kek, reason=f"it is not a version of {self._prefix}/{self._settings.key}")
        return found[1], int(found[2])


_LEAST = ("min_decryption_version", "min_encryption_version")
_WHY = {
    "wrap": "it is not there, or encrypting with it is not allowed any more",
    "unwrap": "it did not wrap this data key for this purpose, or is not there any more",
}


def _bound_to(context: bytes) -> dict[str, Any]:
    derived = hashlib.sha256(context).digest()
    return {
        "context": base64.b64encode(derived).decode(),
        "associated_data": base64.b64encode(context).decode(),
    }


def _version(ciphertext: str) -> int:
    """Return the version that a ciphertext names, 0 if it is none."""
    found = _CIPHERTEXT.fullmatch(ciphertext)
    return int(found[1]) if found else 0


def _number(data: Mapping[str, Any], name: str) -> int:
    found = data.get(name)
    return found if isinstance(found, int) else 0


def _refused(kek: str, action: str, answer: Answer) -> KeyUnavailable:
    why = "permission denied" if answer.status == 403 else _WHY.get(action, f"{action} was refused")
    if answer.status == 404:
        why = "there is no such key"
    return KeyUnavailable(key=kek, reason=f"{why} (status {answer.status})")
