"""Calls to OpenBao or HashiCorp Vault: verified TLS, no redirects, no cookies, no proxies of the environment.

What an answer says in its body goes no further than `Answer.data`: messages of errors are not read.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from vault.errors import KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import AppRole, OpenBaoSettings
from vault.openbao.login import AppRoleLogin, Login, TokenLogin

_MAX_ANSWER_BYTES = 64 * 1024
_DONE = (200, 204)
_REFUSED = (400, 403, 404, 405)


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 200 (or 204) or a refusal: 400, 403, 404, 405. `data` is empty unless it is 200."""

    status: int
    data: Mapping[str, Any]

    @property
    def done(self) -> bool:
        return self.status in _DONE


class OpenBaoClient:
    """Signs in, sends, and signs in again once where that may help. Raises KeyUnavailable.

    `name` is what it is called in errors.
    """

    def __init__(self, settings: OpenBaoSettings, name: str = "transit") -> None:
        self._settings = settings
        self._name = name
        self._session: aiohttp.ClientSession | None = None
        self._login: Login = (
            AppRoleLogin(settings.login, self._send)
            if isinstance(settings.login, AppRole)
            else TokenLogin(settings.login)
        )

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send one call below /v1/; raises KeyProviderUnavailable if nothing certain comes back in time."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._call(method, path, body)
        except TimeoutError:
            raise self._unavailable(f"no answer within {self._settings.timeout:g} seconds") from None

    async def close(self) -> None:
        """Disconnect. The next call connects again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        token = await self._login.token()
        answer = await self._send(method, path, body, token)
        if answer.status == 403 and await self._login.renewed(token):
            answer = await self._send(method, path, body, await self._login.token())
        return Answer(answer.status, _object(answer.data.get("data")))

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> Answer:
        """Return the whole JSON object of an answer."""
        headers = {"X-Vault-Request": "true", "Accept-Encoding": "identity"}
        if token is not None:
            headers["X-Vault-Token"] = token
        if self._settings.namespace is not None:
            headers["X-Vault-Namespace"] = self._settings.namespace
        url = f"{self._settings.address.rstrip('/')}/v1/{path}"
        try:
            async with self._connected().request(
                method, url, json=body, headers=headers, allow_redirects=False
            ) as answer:
                return await self._read(answer)
        except aiohttp.ClientConnectorCertificateError:
            raise self._unavailable("its certificate cannot be verified; see `ca`") from None
        except aiohttp.ClientError as error:
            raise self._unavailable(f"the connection failed ({type(error).__name__})") from None

    async def _read(self, answer: aiohttp.ClientResponse) -> Answer:
        if answer.status in _REFUSED:
            return Answer(answer.status, {})
        if answer.status not in _DONE:
            raise self._unavailable(_REASONS.get(answer.status, f"it answers with status {answer.status}"))
        try:
            content = await answer.content.read(_MAX_ANSWER_BYTES) if answer.status == 200 else b"{}"
            while not answer.content.at_eof() and len(content) < _MAX_ANSWER_BYTES:
                content += await answer.content.read(_MAX_ANSWER_BYTES)
            return Answer(answer.status, _object(json.loads(content)))
        except (ValueError, RecursionError):
            raise self._unavailable("its answer is not JSON") from None

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls()),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # `call` ends what takes too long
                trust_env=False,
                auto_decompress=False,  # the limit is one of what comes, so nothing may grow after it
            )
        return self._session

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._settings.ca)
        except OSError:
            raise KeyUnavailable(
                key=self._name, reason=f"file {self._settings.ca} does not hold certificates"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _unavailable(self, reason: str) -> KeyProviderUnavailable:
        return KeyProviderUnavailable(provider=f"{self._name} at {self._settings.address}", reason=reason)


_REASONS = {
    307: "it redirects to another node (status 307); give the address of the active one",
    429: "it asks for fewer calls (status 429)",
    503: "it is sealed or being kept up (status 503)",
}


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
