"""What benchmarks make of their measurements: figures, notes, targets, the document. Nothing is measured here."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from tests.bench import figures, load
from tests.bench.bodies import SIZES, Numbers, template, with_number
from tests.bench.catalog import NAIVE, catalog, selection
from tests.bench.figures import FSYNC, GENERATOR, POSTGRES, PROXY, UPSTREAM, Round, Target
from tests.bench.report import documents
from tests.bench.stage import Result
from tests.bench.targets import targets
from tests.bench.upstream import ANSWER, Upstream
from vault.kinds import luhn_valid

SIZES_OF_TABLES = (1000, 1_000_000)
BUSY = {PROXY: 0.95, POSTGRES: 0.2, GENERATOR: 0.2, UPSTREAM: 0.2, FSYNC: 0.1}


def rounds(*cpu: float, **more) -> list[Round]:
    usual = {"shares": BUSY, "yardstick_us": 100, "rps": 1000, "p50_ms": 1.0, "p99_ms": 2.0, "memory_mb": 50}
    return [Round(cpu_us=each, postgres_us=30, generator_us=20, upstream_us=10, **usual | more) for each in cpu]


def results(**cpu: float) -> list[Result]:
    specs = {spec.name: spec for spec in catalog(SIZES_OF_TABLES)}
    named = {name.replace("_", "-"): value for name, value in cpu.items()}
    return [Result(specs[name], rounds(*[value] * 3)) for name, value in named.items()]


def test_percentiles_and_spread():
    assert figures.percentile([3, 1, 2, 4], 0.5) == 3
    assert figures.percentile(range(100), 0.99) == 99
    assert figures.percentile([], 0.5) == 0
    assert figures.spread([0.9, 1.0, 1.2]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("shares", "cores", "bound"),
    [
        (BUSY, 1, PROXY),
        (BUSY | {PROXY: 0.5, POSTGRES: 0.5}, 1, POSTGRES),
        (BUSY | {PROXY: 0.5, POSTGRES: 0.5}, 4, PROXY),
        (BUSY | {PROXY: 0.5, GENERATOR: 0.7}, 1, GENERATOR),
        (BUSY | {PROXY: 0.5, UPSTREAM: 0.9}, 4, UPSTREAM),
        (BUSY | {PROXY: 0.3, FSYNC: 0.9}, 1, FSYNC),
    ],
)
def test_a_row_is_bound_by_what_has_least_time_left(shares, cores, bound):
    assert figures.bound_by(shares, cores) == bound


@pytest.mark.parametrize(
    ("measured", "ratios", "note"),
    [
        (rounds(100, 101), [1.0, 1.01], None),
        (rounds(100, 140), [1.0, 1.4], "ratio spreads"),
        (rounds(100, problem="answers were 3 x 503"), [1.0], "3 x 503"),
        (rounds(100, shares=BUSY | {GENERATOR: 0.9}), [1.0], "load generator 90% busy"),
        (rounds(100, shares=BUSY | {POSTGRES: 0.6}), [1.0], "other cores are 100% busy"),
        (rounds(100, shares=dict.fromkeys(BUSY, 0.1)), [1.0], "nothing is busy"),
        (rounds(100, foreign=0.2), [1.0], "not alone on its core: 20%"),
    ],
)
def test_a_row_that_is_not_clean_says_so(measured, ratios, note):
    found = "; ".join(figures.notes(measured, ratios, 1))
    assert (note in found) if note else not found


def test_the_document_has_what_was_agreed_and_each_round_has_its_own_yardstick():
    naive, own = results(naive_proxy=100, pass_through=0)
    own.rounds = [*rounds(40, 50), *rounds(60, yardstick_us=200)]
    own.missing = "broke in between"
    first, row = documents([naive, own])
    assert first["cpu_ratio"] == 1
    agreed = {"name": "pass-through", "cpu_us": 50, "cpu_ratio": 0.4, "rps": 1000, "p50_ms": 1.0, "p99_ms": 2.0}
    assert row.items() >= (agreed | {"bound_by": PROXY, "ratio_min": 0.3, "ratio_max": 0.5}).items()
    assert "spreads" in row["note"] and "broke in between" in row["note"]


def test_a_row_that_could_not_be_measured_is_not_dropped():
    (row,) = documents([Result(next(spec for spec in catalog([]) if spec.name == "nginx"), missing="not there")])
    assert row == {
        **dict.fromkeys(("cpu_us", "cpu_ratio", "rps", "p50_ms", "p99_ms")),
        "name": "nginx",
        "bound_by": "",
        "note": "not there",
    }


def test_targets_are_met_or_not_or_not_measured():
    rows = documents(results(naive_proxy=100, pass_through=39, tokenize_new=86, mitmproxy=900))
    found = {each.name: each.met for each in targets(rows, 0.2, SIZES_OF_TABLES)}
    assert found == {
        "pass-through: ratio": True,
        "tokenize-new: ratio": False,
        "tokenize-known: ratio": None,
        "reveal: ratio": None,
        "mitmproxy over Panless, CPU": True,
    }
    assert Target("share", 0.5, 0.5, least=True).document() == {
        "name": "share",
        "figure": 0.5,
        "at_least": 0.5,
        "met": True,
    }


def test_what_was_asked_for_comes_with_its_yardstick():
    specs = catalog(SIZES_OF_TABLES)
    assert {each.name for each in selection(specs, ["reveal 10 KB", "webhook"])} == {
        f"{NAIVE} beside ways",
        f"{NAIVE} 10 KB",
        "reveal 10 KB",
        "webhook pass",
        "webhook store",
    }
    assert selection(specs, []) == specs
    names = [each.name for each in specs]
    assert len(names) == len(set(names))
    by_name = {each.name: each for each in specs}
    assert all(by_name[each.yardstick].group == each.group for each in specs)
    assert all(by_name[each.yardstick].connections == each.connections for each in specs)


@pytest.mark.parametrize(
    ("kind", "size"), [*product(("json", "form", "xml"), (SIZES["200 B"], SIZES["10 KB"])), ("json", SIZES["1 MB"])]
)
def test_bodies_are_as_large_as_their_name_says(kind, size):
    number = Numbers().new()
    assert luhn_valid(number)
    assert len(with_number(template(kind, size), number)) == pytest.approx(size, rel=0.05)


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_upstream_answers_when_a_body_has_come_and_not_before(step):
    request = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for each in (request, chunked, b"GET / HTTP/1.1\r\n\r\n"):
        upstream, wire = Upstream(), Wire()
        upstream.connection_made(wire)
        for at in range(0, len(each) - 1, step):
            upstream.data_received(each[at : min(at + step, len(each) - 1)])
        assert wire.written == []
        upstream.data_received(each[-1:])
        assert wire.written == [ANSWER]


@pytest.mark.parametrize("step", [1, 1000])
async def test_the_load_counts_whole_answers(step):
    chunked = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    measured, wire = load.Measured(), Wire()
    connection = load.Connection(iter([b"one", b"two"]), measured, keep_bodies=True, pace=None)
    connection.connection_made(wire)
    connection.send()
    for number, answer in enumerate((ANSWER, chunked), 1):
        for at in range(0, len(answer), step):
            assert len(measured.latencies) == number - 1
            connection.data_received(answer[at : at + step])
    await asyncio.wait_for(connection.done, 5)
    assert (wire.written, wire.closed) == ([b"one", b"two"], True)
    assert measured.statuses == {200: 1, 503: 1}
    assert len(measured.bodies) == 2
