"""Signing in to OpenBao or HashiCorp Vault: with a token that an operator replaces, or as an AppRole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from vault.errors import KeyUnavailable
from vault.key_settings import AppRole, Secret

# Signing in anew before the token ends, so that no call is sent with one that ends on its way.
_USED_SHARE = 0.8


class Login(Protocol):
    """Where the token of a call comes from. Both methods raise KeyUnavailable."""

    async def token(self) -> str:
        """Return a token that is good as far as is known."""

    async def renewed(self, refused: str) -> bool:
        """Tell whether there is another token to try, now that this one was refused."""


class _Sent(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def data(self) -> Mapping[str, Any]: ...


class _Send(Protocol):
    async def __call__(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> _Sent: ...


class TokenLogin:
    """A token that is read anew once it is refused."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._token: str | None = None

    async def token(self) -> str:
        if self._token is None:
            self._token = _read(self._secret, "token")
        return self._token

    async def renewed(self, refused: str) -> bool:
        self._token = None
        return await self.token() != refused


class AppRoleLogin:
    """Signs in when there is no token, when it is about to end, and when it has become worthless."""

    def __init__(self, role: AppRole, send: _Send) -> None:
        self._role = role
        self._send = send
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._until = 0.0

    async def token(self) -> str:
        async with self._lock:
            if self._token is None or time.monotonic() >= self._until:
                await self._sign_in()
            if self._token is None:
                raise AssertionError("signing in gives a token or raises")
            return self._token

    async def renewed(self, refused: str) -> bool:
        # A token that is still good lacks a permission, and a new one would, too: no use of the secret is wasted.
        if self._token == refused:
            looked_up = await self._send("GET", "auth/token/lookup-self", None, refused)
            if looked_up.status == 200:
                return False
        if self._token == refused:
            self._token = None
        return True

    async def _sign_in(self) -> None:
        self._token = None
        given_id = self._role.role_id
        role_id = given_id if isinstance(given_id, str) else _read(given_id, "role_id")
        body = {"role_id": role_id, "secret_id": _read(self._role.secret_id, "secret_id")}
        sent = await self._send("POST", f"auth/{self._role.mount}/login", body)
        given = sent.data.get("auth")
        auth = given if isinstance(given, dict) else {}
        token, seconds = auth.get("client_token"), auth.get("lease_duration")
        if sent.status != 200 or not isinstance(token, str) or not isinstance(seconds, int):
            raise KeyUnavailable(key="transit", reason=f"signing in as AppRole was refused (status {sent.status})")
        self._token = token
        self._until = time.monotonic() + _USED_SHARE * seconds if seconds else float("inf")


def _read(secret: Secret, name: str) -> str:
    try:
        text = secret()
    except ValueError:
        text = ""
    # It goes into a header: nothing but what a token is made of.
    if not text.isascii() or not text.isprintable() or not text or " " in text:
        raise KeyUnavailable(key="transit", reason=f"the {name} cannot be read from where the configuration says")
    return text
