"""An HMAC over parts of the request in the order of a list, as many gateways have made up for themselves."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.errors import SignatureInvalid, SignatureMalformed, SignatureUncovered
from proxy.rewrite.message import Headers
from proxy.signing import digests
from proxy.signing.clock import check_age, check_date
from proxy.signing.macs import Secrets, digest, mac, same, to_bytes
from proxy.signing.scheme import Scheme, SignedRequest, put_header

TEXT, HEADER = "text:", "header:"
PLAIN = ("method", "path", "query", "target", "body", "body-sha256", "body-sha512")
_MILLISECONDS = 1e11  # more than that are no seconds


@dataclass(frozen=True, slots=True)
class HmacOfParts(Scheme):
    """`parts`: those of PLAIN, `header:NAME`, `text:LITERAL`. `timestamp` and `key_header` name headers."""

    secrets: Secrets
    header: str
    parts: tuple[str, ...]
    max_age: float = 300
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    timestamp: str | None = None
    key_header: str | None = None

    def key_id(self, request: SignedRequest) -> str:
        return request.carrying(self.key_header) if self.key_header else ""

    def verify(self, request: SignedRequest, now: float, *, cover_body: bool) -> None:
        given = request.carrying(self.header)
        if not same(self._value(self.secrets.app, request), given):
            raise SignatureInvalid
        if f"{HEADER}date" in map(str.lower, self.parts):
            check_date(request.covered("date"), now, self.max_age)
        if self.timestamp:
            check_age(_moment(request.covered(self.timestamp)), now, self.max_age)
        digests.check(request.headers, request.body)
        if cover_body and not self._covers_body(request):
            raise SignatureUncovered

    def sign(self, came: SignedRequest, goes: SignedRequest) -> Headers:
        came.carrying(self.header)
        if self.key_header and self.secrets.key_id is not None:
            headers = put_header(goes.headers, self.key_header, self.secrets.key_id)
            goes = SignedRequest(goes.method, goes.scheme, goes.target, headers, goes.body)
        return put_header(goes.headers, self.header, self._value(self.secrets.gateway, goes))

    def _value(self, secret: bytes, request: SignedRequest) -> str:
        data = b"".join(_bytes(part, request) for part in self.parts)
        return self.prefix + mac(secret, data, self.algorithm, self.encoding)

    def _covers_body(self, request: SignedRequest) -> bool:
        if any(part.startswith("body") for part in self.parts):
            return True
        named = [part.removeprefix(HEADER).lower() for part in self.parts if part.startswith(HEADER)]
        return any(digests.is_strong(name, request.covered(name)) for name in digests.SIGNABLE.intersection(named))


def _bytes(part: str, request: SignedRequest) -> bytes:
    if part == "body":
        return request.body
    if part.startswith("body-"):
        return digest(request.body, part.removeprefix("body-"), "hex").encode()
    if part.startswith(TEXT):
        return part.removeprefix(TEXT).encode()
    if part.startswith(HEADER):
        return to_bytes(request.covered(part.removeprefix(HEADER)))
    plain = {"method": request.method, "path": request.path, "query": request.query, "target": request.target}
    return to_bytes(plain[part])


def _moment(text: str) -> float:
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise SignatureMalformed
    return float(text) / 1000 if float(text) > _MILLISECONDS else float(text)
