"""The head of a request as it goes over the wire (RFC 9112, sections 2 to 6). Pure."""

from __future__ import annotations

from proxy.wire.heads import HeadInvalid, Pairs, head

# Of these no body is expected: without one they say nothing of its length (RFC 9110, section 8.6).
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def request_head(method: str, target: str, authority: str, headers: Pairs, *, length: int | None) -> bytes:
    """Return the head in bytes, with a Host where there is none, and with one framing: ours.

    `length`: of the body in bytes; None for one that streams: its own Content-Length stays, or it goes in chunks.
    Raises HeadInvalid.
    """
    lines, host, given = [f"{method} {target} HTTP/1.1"], False, ""
    for name, value in headers:
        lower = name.lower()
        if lower in _FRAMING:
            given = value if lower == "content-length" else given
            continue
        host = host or lower == "host"
        lines.append(f"{name}: {value}")
    if not host:
        lines.insert(1, f"Host: {authority}")
    if length is None:
        lines.append(f"Content-Length: {given}" if given else "Transfer-Encoding: chunked")
    elif length or method not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {length}")
    if lines[0].count(" ") != 2:
        raise HeadInvalid
    return head(lines)


def is_chunked(headers: Pairs) -> bool:
    """Tell whether a body that streams goes in chunks."""
    return not any(name.lower() == "content-length" for name, _ in headers)
