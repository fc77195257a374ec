"""Answers of gateways to requests that carried revealed values: read whole, searched, cleaned."""

from __future__ import annotations

import re
import zlib

import aiohttp
from multidict import CIMultiDict

from proxy.edge.headers import end_to_end
from proxy.errors import AnswerTooLarge, AnswerUnreadable
from proxy.rewrite.scrub import Scrubber
from proxy.routes import Route
from proxy.upstream.client import read_answer

# Charsets in which a digit is not its ASCII byte.
_WIDE_CHARSET = re.compile(r"charset\s*=\s*\"?(?:utf-?(?:16|32|7)|ucs|iso-10646|cp037|ibm|ebcdic)", re.IGNORECASE)
# Numbers that belong to the protocol and are not the gateway's words.
_READABLE = {"", "identity", "gzip", "x-gzip", "deflate"}
PARTIAL = 206
_MAX_MEMBERS = 16  # of a gzip body; each costs a look at the rest
_PROTOCOL_NUMBERS = {"content-length", "age", "retry-after", "date", "expires", "last-modified"}


def ask_for_readable(headers: CIMultiDict[str]) -> None:
    """Ask the gateway for a whole answer in an encoding that can be undone; most SDKs ask for nothing else."""
    for name in ("Range", "If-Range"):
        headers.popall(name, None)
    wanted = {
        each.partition(";")[0].strip().lower() for each in ",".join(headers.getall("Accept-Encoding", [])).split(",")
    }
    if not wanted <= _READABLE:
        headers.popall("Accept-Encoding")
        headers["Accept-Encoding"] = "gzip, deflate"


async def cleaned(
    answer: aiohttp.ClientResponse, scrubber: Scrubber, route: Route, limit: int
) -> tuple[CIMultiDict[str], bytes]:
    """Return headers and body without the revealed values; both are as they came if nothing was found.

    Raises AnswerTooLarge, AnswerUnreadable, or an UpstreamError.
    """
    headers = _clean_headers(end_to_end(answer.raw_headers), scrubber)
    raw = await _read(answer, route, limit)
    content_type = answer.headers.get("Content-Type", "")
    if _WIDE_CHARSET.search(content_type) or not _in_one_piece(answer):
        raise AnswerUnreadable(route=route.name)
    plain = _decode(raw, answer.headers.get("Content-Encoding", ""), route, limit)
    clean = scrubber.clean(plain, is_json="json" in content_type.lower())
    if b"\0" in clean and scrubber.found_in(clean.replace(b"\0", b"")):
        raise AnswerUnreadable(route=route.name)
    if clean is plain:
        return headers, raw
    for name in ("Content-Encoding", "Content-Length", "Content-MD5", "Digest", "Content-Digest", "ETag"):
        headers.popall(name, None)
    headers["Content-Length"] = str(len(clean))
    return headers, clean


def _in_one_piece(answer: aiohttp.ClientResponse) -> bool:
    """Tell whether the body is a whole one, in encodings of which there is no doubt."""
    encodings = answer.headers.getall("Content-Encoding", [])
    transfer = answer.headers.getall("Transfer-Encoding", ["chunked"])
    return len(encodings) <= 1 and [each.lower() for each in transfer] == ["chunked"] and answer.status != PARTIAL


def _clean_headers(headers: CIMultiDict[str], scrubber: Scrubber) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value if name.lower() in _PROTOCOL_NUMBERS else scrubber.clean_text(value))
        for name, value in headers.items()
    )


async def _read(answer: aiohttp.ClientResponse, route: Route, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in read_answer(answer, route):
        size += len(piece)
        if size > limit:
            raise AnswerTooLarge(route=route.name, limit=limit)
        pieces.append(piece)
    return b"".join(pieces)


def _decode(raw: bytes, encoding: str, route: Route, limit: int) -> bytes:
    match encoding.strip().lower():
        case "" | "identity":
            return raw
        case "gzip" | "x-gzip":
            return _inflate(raw, 16 + zlib.MAX_WBITS, route, limit)
        case "deflate":
            # RFC 9110 means zlib; some servers send raw deflate.
            zlib_header = len(raw) > 1 and raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
            return _inflate(raw, zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS, route, limit)
        case _:
            raise AnswerUnreadable(route=route.name)


def _inflate(raw: bytes, window_bits: int, route: Route, limit: int) -> bytes:
    if not raw:
        return raw
    plain = b""
    for _ in range(_MAX_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        try:
            plain += inflater.decompress(raw, limit + 1 - len(plain))
        except zlib.error:
            raise AnswerUnreadable(route=route.name) from None
        if len(plain) > limit:
            raise AnswerTooLarge(route=route.name, limit=limit)
        if not inflater.eof:
            raise AnswerUnreadable(route=route.name)
        raw = inflater.unused_data
        if not raw:
            return plain
    raise AnswerUnreadable(route=route.name)
