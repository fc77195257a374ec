"""The targets hold for their seeds, and see what they are there to see. No fuzzer is needed."""

import random

import pytest

from tests.fuzz import targets


@pytest.mark.parametrize("target", targets.TARGETS)
def test_seeds(target):
    found = list(targets.seeds(target))
    assert found
    for data in found:
        targets.TARGETS[target](data)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_seeds_with_a_few_other_bytes(target):
    source = random.Random(target)  # noqa: S311
    for data in targets.seeds(target):
        for _ in range(10):
            changed = bytearray(data[:2000])
            for _ in range(source.randint(1, 4)):
                at = source.randrange(len(changed) + 1)
                changed[at : at + source.randrange(3)] = source.choice(
                    [b"", b"<", b'"', b"\0", b"[", b"\r\n", b"%", b"&"]
                )
            targets.TARGETS[target](bytes(changed))


def test_a_scanner_that_raises_is_found():
    def broken(body, start):
        raise KeyError(body)

    with pytest.raises(KeyError):
        targets.fills(broken, b"x")


def test_a_place_that_is_gone_is_found():
    with pytest.raises(AssertionError):
        targets.fills(
            lambda body, start: targets.json.scan(body, start) if b"tok_" not in body else [], b'{"number":"1"}'
        )
