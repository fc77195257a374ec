"""What one request can cost is limited, whatever it is made of."""

from __future__ import annotations

import asyncio
import contextlib
import zlib

import pytest

from proxy.guard import numbers
from proxy.guard.leaks import leaks
from proxy.rewrite.errors import BodyRejected
from proxy.rewrite.fields import Field, Fields
from proxy.rewrite.media import BodyType, Media
from proxy.rewrite.message import Message
from proxy.rewrite.plan import find
from proxy.rewrite.selectors import Selector

FIELDS = Fields([Field(Selector.parse("$.card.number"), "pan")])


def searched(body: bytes, media: Media) -> None:
    leaks(find(Message(body, media), FIELDS))


@pytest.mark.parametrize(
    "unit", [b"+4222222222222,", b"AB12 4222222222222 ", b"XY12 4242424242424242 1 2 3 4 5 ", b"4.24242424242424e15,"]
)
def test_numbers_that_are_nearly_cards_are_looked_at_so_many_times_and_no_more(unit, monkeypatch):
    looks = 0

    def counted(text, span):
        nonlocal looks
        looks += 1
        return part_of_another(text, span)

    part_of_another = numbers.part_of_another
    monkeypatch.setattr(numbers, "part_of_another", counted)
    body = b'{"a": "' + unit * (2**20 // len(unit)) + b'"}'
    with contextlib.suppress(BodyRejected):
        searched(body, Media(BodyType.JSON))
    assert looks <= 13_000


def test_parts_whose_names_can_be_read_in_many_ways():
    names = "".join(f"name={number:x};" for number in range(800))
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="a{number}"; filename="{names}"\r\n\r\nx\r\n'
        for number in range(300)
    ]
    body = "".join([*parts, "--B--\r\n"]).encode()
    with pytest.raises(BodyRejected):
        searched(body, Media(BodyType.MULTIPART, None, b"B"))


async def test_a_small_stream_that_inflates_to_much_lets_others_have_their_turn(world):
    """18 KB that inflate to 12 MB of escapes: two seconds of searching."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packer.compress(b"%41%42" * (12 * 2**20 // 6)) + packer.flush()

    async def answers(done: asyncio.Event) -> int:
        count = 0
        while not done.is_set():
            async with world.client.get(world.admin + "/healthz") as answer:
                assert answer.status == 200
            count += 1
        return count

    done = asyncio.Event()
    waiting = asyncio.create_task(answers(done))
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    async with world.client.put(world.inbound + "/upload/a", data=body, headers=headers) as answer:
        assert answer.status == 200
    done.set()
    assert await waiting > 10  # two, when the whole was searched in one go
