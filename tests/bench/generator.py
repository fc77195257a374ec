"""The load generator: a process of its own, so that what it uses can be told from everything else."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from tests.bench import load
from tests.bench.load import Job, Measured


class Generator:
    """`ready` opens the connections of a job, `go` sends its requests: what is measured begins in between."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        words = [sys.executable, "-m", "tests.bench.generator", str(theirs.fileno())]
        self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()])
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self, job: Job) -> None:
        """Hand a job over; raises ConnectionError if the server does not take the connections."""
        await asyncio.to_thread(self._pipe.send, job)
        problem = await asyncio.to_thread(self._pipe.recv)
        if problem:
            raise ConnectionError(problem)

    async def go(self) -> Measured:
        await asyncio.to_thread(self._pipe.send, "go")
        return await asyncio.to_thread(self._pipe.recv)

    async def run(self, job: Job) -> Measured:
        """Do a job at once."""
        await self.ready(job)
        return await self.go()

    def close(self) -> None:
        self._pipe.close()
        self._process.wait()


async def _one(pipe: Connection, job: Job) -> None:
    measured = Measured()
    try:
        connections = await load.connect(job, measured)
    except OSError as error:
        pipe.send(f"{type(error).__name__}: {job.url} takes no connection")
        return
    pipe.send("")
    pipe.recv()
    await load.send_all(connections, measured)
    pipe.send(measured)


def main(descriptor: int) -> None:
    pipe = Connection(descriptor)
    import uvloop

    gc.disable()  # nothing here makes cycles that grow
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            try:
                job = pipe.recv()
            except EOFError:
                return
            runner.run(_one(pipe, job))
            del job
            gc.collect()


if __name__ == "__main__":
    main(int(sys.argv[1]))
