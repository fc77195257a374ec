"""What Panless is compared with: nginx where it is installed, and mitmproxy with an add-on that swaps one field."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import processes
from tests.bench.site import Missing
from tests.harness.commands import ROOT

MITMPROXY = "mitmproxy>=11,<13"
VENV = ROOT / "build" / "mitmproxy"
ADD_ON = Path(__file__).with_name("mitmproxy_swap.py")
INSTALL_SECONDS = 300
READY_SECONDS = 30

_NGINX = """
{user}
worker_processes 1;
daemon off;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log" crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 20m;
  client_body_buffer_size 2m;
  client_body_temp_path "{folder}/body";
  proxy_temp_path "{folder}/proxy";
  fastcgi_temp_path "{folder}/fastcgi";
  uwsgi_temp_path "{folder}/uwsgi";
  scgi_temp_path "{folder}/scgi";
  upstream app {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, upstream: str) -> AsyncIterator[tuple[int, str]]:
    """Pid and URL of a bare nginx with one worker; raises Missing."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing("nginx is not installed")
    folder.mkdir()
    port = processes.free_port()
    user = "" if os.geteuid() else "user root;"
    text = _NGINX.format(user=user, folder=folder, port=port, upstream=urlsplit(upstream).netloc)
    (folder / "nginx.conf").write_text(text)
    words = [found, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    async with _peer(words, port, folder / "nginx.log") as pid:
        yield pid, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def mitmproxy(folder: Path, upstream: str) -> AsyncIterator[tuple[int, str]]:
    """Pid and URL of a mitmdump that swaps one field; raises Missing."""
    program = await asyncio.to_thread(_installed)
    folder.mkdir()
    port = processes.free_port()
    words = [str(program), "--quiet", "--mode", f"reverse:{upstream}", "--listen-host", "127.0.0.1"]
    words += ["--listen-port", str(port), "--scripts", str(ADD_ON), "--set", "flow_detail=0"]
    words += ["--set", f"confdir={folder}"]
    async with _peer(words, port, folder / "mitmdump.log") as pid:
        yield pid, f"http://127.0.0.1:{port}"


def _installed() -> Path:
    """Make its virtual environment once: what it pins would clash with what Panless needs."""
    program = VENV / "bin" / "mitmdump"
    if program.exists():
        return program
    print(f"installing mitmproxy into {VENV.relative_to(ROOT)} ...", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MITMPROXY]
    for words in ([sys.executable, "-m", "venv", str(VENV)], pip):
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(VENV, ignore_errors=True)
            raise Missing("mitmproxy could not be installed") from error
    return program


@asynccontextmanager
async def _peer(words: list[str], port: int, log: Path) -> AsyncIterator[int]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*words, stdout=output, stderr=output)
    try:
        await _accepting(process, port)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _accepting(process: asyncio.subprocess.Process, port: int) -> None:
    for _ in range(READY_SECONDS * 20):
        if process.returncode is not None:
            raise Missing("it ended when it was started")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise Missing("it does not accept connections")
