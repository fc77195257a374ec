"""The yardstick (= 1.0): a plain pass-through proxy of aiohttp server and aiohttp client, as one would write it."""

from __future__ import annotations

import sys

import aiohttp
from aiohttp import web


def main(upstream: str) -> None:
    async def session(application: web.Application):
        application["client"] = aiohttp.ClientSession(auto_decompress=False)
        yield
        await application["client"].close()

    async def handle(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        body = await request.read()
        client = request.app["client"]
        async with client.request(request.method, upstream + request.path_qs, headers=headers, data=body) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    async def announce(application: web.Application) -> None:
        print(f"ready inbound=http://127.0.0.1:{application['port']}", flush=True)

    import socket

    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    application = web.Application()
    application["port"] = listening.getsockname()[1]
    application.cleanup_ctx.append(session)
    application.on_startup.append(announce)
    application.router.add_route("*", "/{tail:.*}", handle)
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    web.run_app(application, sock=listening, access_log=None, print=None)


if __name__ == "__main__":
    main(sys.argv[1])
