"""Another configuration for all workers, or for none: on SIGHUP, and on a timer.

Rules:
1. The supervisor reads the file, once. Every worker that serves compiles that text aside, with secrets of its own.
2. If one of them cannot, nothing changes. If all can, one records it, and all take it over.
3. A worker that is started later begins with the text that is in force, whatever is in the file by then. One that does
   not take over what it has compiled is killed, and begins again with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from proxy.config import load_text, read
from proxy.errors import WorkersFailed
from proxy.workers.channel import Message
from proxy.workers.slot import Slot
from vault.errors import PanlessError

PREPARE_SECONDS = 60.0
APPLY_SECONDS = 10.0

log = structlog.get_logger()


class Changing:
    """`text`: the configuration that is in force. `count` is told how each attempt ended."""

    def __init__(self, file: Path, text: str, slots: Sequence[Slot], count: Callable[[str], None]) -> None:
        self.text = text
        self._file = file
        self._slots = slots
        self._count = count
        self._asked = asyncio.Event()
        self._alone = asyncio.Lock()
        self._rejected = ""

    def ask(self) -> None:
        """Let it be read again now."""
        self._asked.set()

    async def run(self) -> None:
        """Read again whenever it is asked for, and when the time is up."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(load_text(self.text, self._file).secrets.refresh_seconds):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                async with self._alone:
                    await self._change(asked=asked)
            except Exception as error:  # the configuration that is in force stays
                log.error("config_reload_failed", exc_info=error)

    async def admit(self, slot: Slot) -> None:
        """Let a worker serve, under the configuration that is in force; kill it if it cannot."""
        async with self._alone:
            if slot.text != self.text:
                try:
                    answer = await slot.ask("prepare", seconds=PREPARE_SECONDS, text=self.text)
                    if "code" not in answer:
                        await slot.ask("apply", seconds=APPLY_SECONDS)
                except (ConnectionError, TimeoutError):
                    answer = {"code": WorkersFailed.code}
                if "code" in answer:
                    slot.kill()
                    raise WorkersFailed(reason=f"worker {slot.number} cannot take over the configuration")
                slot.text = self.text
            slot.serves = True

    async def _change(self, *, asked: bool) -> None:
        try:
            text = read(self._file)
            load_text(text, self._file)
        except PanlessError as error:
            await self._reject({"code": error.code, "detail": error.detail}, asked=asked)
            return
        voters = [slot for slot in self._slots if slot.serves]
        answers = await asyncio.gather(*(self._prepared(slot, text) for slot in voters))
        for answer in answers:
            if "code" in answer:
                await self._reject(answer, asked=asked)
                return
        told = [(slot, answer) for slot, answer in zip(voters, answers, strict=True) if answer.get("news")]
        if told and not await self._recorded(told[0][0]):
            return
        if told or asked:
            await self._apply(voters, text, sorted({name for _, answer in told for name in answer["changed"]}))

    async def _prepared(self, slot: Slot, text: str) -> Message:
        try:
            return await slot.ask("prepare", seconds=PREPARE_SECONDS, text=text)
        except ConnectionError:  # it has ended, and will begin with what is in force then
            return {}
        except TimeoutError:
            error = WorkersFailed(reason=f"worker {slot.number} does not answer")
            return {"code": error.code, "detail": error.detail}

    async def _recorded(self, slot: Slot) -> bool:
        try:
            answer = await slot.ask("record", seconds=PREPARE_SECONDS)
        except (ConnectionError, TimeoutError):
            answer = {"code": WorkersFailed.code}
        if "code" in answer:
            log.warning("config_event_not_recorded", code=answer["code"])
        return "code" not in answer

    async def _apply(self, voters: Sequence[Slot], text: str, changed: list[str]) -> None:
        self.text, self._rejected = text, ""
        await asyncio.gather(*(self._applied(slot, text) for slot in voters))
        self._count("applied")
        log.info("config_applied", secrets_changed=changed)

    async def _applied(self, slot: Slot, text: str) -> None:
        try:
            answer = await slot.ask("apply", seconds=APPLY_SECONDS)
        except (ConnectionError, TimeoutError):
            answer = {"code": WorkersFailed.code}
        if "code" in answer:
            slot.kill()
        slot.text = text

    async def _reject(self, why: Message, *, asked: bool) -> None:
        log.warning("config_rejected", code=why["code"], detail=why["detail"])
        if asked or why["detail"] != self._rejected:  # the timer need not say the same thing again
            for slot in self._slots:
                if slot.serves:
                    with suppress(ConnectionError, TimeoutError):
                        about = {"code": why["code"], "detail": why["detail"]}
                        await slot.ask("rejected", seconds=PREPARE_SECONDS, about=about)
                    break
        self._rejected = why["detail"]
        self._count("rejected")
