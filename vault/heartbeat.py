"""What a process does once a second: show that it is alive, see what was changed of keys and who was stopped, hand keys
of codes on.

And, more rarely, find out whether the key providers answer, so that metrics can tell before a request does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from vault.braking import Brakes
from vault.crypto.sharing import Peer
from vault.errors import KeyUnavailable, PanlessError
from vault.keys.keks import Keks
from vault.keys.keyring import Keyring
from vault.keys.lease_keys import LeaseKeys
from vault.store.last_use import LastUse
from vault.store.processes import ProcessRows

BEAT_SECONDS = 1.0
HEALTH_EVERY = 10
USES_EVERY = 60


class Heartbeat:
    """The heartbeat of one process. `providers_up` tells whether the key providers answered when last asked."""

    def __init__(
        self,
        keks: Keks,
        keyring: Keyring,
        lease_keys: LeaseKeys,
        rows: ProcessRows,
        *,
        brakes: Brakes,
        uses: Sequence[LastUse] = (),
    ) -> None:
        self._keks = keks
        self._keyring = keyring
        self._lease_keys = lease_keys
        self._rows = rows
        self._brakes = brakes
        self._uses = uses
        self._beating: asyncio.Task[None] | None = None
        self.providers_up = True

    async def start(self) -> None:
        """Beat once, then go on aside; raises StoreError."""
        await self._beat()
        self._beating = asyncio.create_task(self._go_on())

    async def now(self) -> None:
        """Show what has changed without waiting for the next beat. If that fails, the next one does it."""
        with contextlib.suppress(PanlessError):
            await self._beat()

    async def stop(self) -> None:
        """Say that this process ends."""
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        self._lease_keys.forget()
        await self._write_uses()
        with contextlib.suppress(PanlessError):  # others see it by its silence
            await self._rows.leave(self._lease_keys.id)

    async def _go_on(self) -> None:
        number = 0
        while True:
            number += 1
            await asyncio.sleep(BEAT_SECONDS)
            # Whatever goes wrong goes on failing requests by itself. A process that lives has to go on showing that.
            with contextlib.suppress(Exception):
                await self._beat()
                if number % HEALTH_EVERY == 0:
                    await self._rows.clean()
            if number % HEALTH_EVERY == 0:
                await self._ask_providers()
            if number % USES_EVERY == 0:
                await self._write_uses()

    async def _write_uses(self) -> None:
        for each in self._uses:
            with contextlib.suppress(PanlessError):
                await each.write()

    async def _beat(self) -> None:
        changes = await self._keyring.refresh()
        await self._brakes.beat()
        try:
            mac = await self._lease_keys.mac()
        except KeyUnavailable:
            mac = None  # sealed, or the provider is away: no keys of codes from others until it is back
        own = Peer(self._lease_keys.id, self._lease_keys.public_key, mac)
        await self._rows.beat(own, self._keks.reach, changes)
        if mac is not None:
            await self._lease_keys.beat()

    async def _ask_providers(self) -> None:
        try:
            await self._keyring.health()
        except Exception:  # noqa: BLE001  # it answers, but with something that nobody understands
            self.providers_up = False
        else:
            self.providers_up = True
