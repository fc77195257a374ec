"""An HTTP collector: POST requests. It has what it answered with 2xx."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import aiohttp

from proxy.config.audit import HttpSink
from proxy.sinks.payload import Payload, failed

_TYPES = {"jsonl": "application/x-ndjson", "ocsf": "application/x-ndjson", "cef": "text/plain; charset=utf-8"}
_OK = range(200, 300)


class Http:
    """One collector. `headers` are the resolved ones."""

    def __init__(self, config: HttpSink, headers: Mapping[str, str], tls: ssl.SSLContext) -> None:
        self._config = config
        self._session = aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=config.timeout_seconds),
            connector=aiohttp.TCPConnector(ssl=tls, limit=1),
        )

    async def send(self, payload: Payload) -> None:
        if payload.lines:
            await self._post("".join(f"{line}\n" for line in payload.lines), _TYPES[self._config.format])
        for note in payload.notes:
            await self._post(note.note, "text/plain; charset=utf-8")

    async def close(self) -> None:
        await self._session.close()

    async def _post(self, text: str, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        try:
            async with self._session.post(
                self._config.url, data=text.encode(), headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise failed(self._config, "it does not answer") from None
        if status not in _OK:
            raise failed(self._config, f"it answered {status}")
