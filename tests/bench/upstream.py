"""The upstream of all rows: answers every request with the same 60 bytes as soon as its body is there.

`python -m tests.bench.upstream [CERT KEY]` speaks TLS as well, on a second port.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys

BODY = b'{"id": "ch_0123456789", "status": "succeeded", "amount": 1999}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = b""
        self.missing = 0  # bytes of a body on its way; -1: up to its last chunk

    def data_received(self, data: bytes) -> None:
        if self.missing:
            data = self._rest(data)
        while data:
            self.buffer = self.buffer + data if self.buffer else data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data, self.buffer = self.buffer[:end], self.buffer[end + 4 :], b""
            length = _LENGTH.search(head)
            self.missing = int(length[1]) if length else -1 if _CHUNKED.search(head) else 0
            if self.missing:
                data = self._rest(data)
            else:
                self.transport.write(ANSWER)

    def _rest(self, data: bytes) -> bytes:
        """Take what belongs to the body; return what follows it."""
        if self.missing < 0:
            self.buffer = (self.buffer + data)[-len(_LAST_CHUNK) :]
            if self.buffer != _LAST_CHUNK:
                return b""
            self.buffer, self.missing, more = b"", 0, b""
        elif len(data) < self.missing:
            self.missing -= len(data)
            return b""
        else:
            more, self.missing = data[self.missing :], 0
        self.transport.write(ANSWER)
        return more


async def main(*certificate: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    said = f"ready inbound=http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        secure = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024, ssl=context)
        said += f" tls=https://127.0.0.1:{secure.sockets[0].getsockname()[1]}"
    print(said, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:]))
