"""Hosted fields: what browsers ask of their listener. The script, the frames, sessions, and tokens for what was typed.

Rules:
1. A card comes from a frame, whose origin is this listener's own. What comes from the shop's page has no card in it.
2. An answer holds tokens, and nothing that was typed but the date.
3. Nothing here knows cookies: whoever may ask is told by the session, which a page of an allowed origin got.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from multidict import CIMultiDict

from proxy.config import Config
from proxy.edge.body import media_of, read_body
from proxy.edge.exchange import Exchange
from proxy.edge.headers import check_method
from proxy.edge.metrics import Metrics
from proxy.edge.problem import ERROR_HEADER, REQUEST_ID_HEADER, problem
from proxy.errors import ContentTypeUnsupported, FieldsFileNotFound, FieldsRequestInvalid, MethodNotAllowed
from proxy.fields.assets import Asset, assets
from proxy.fields.client import client_of
from proxy.fields.page import Frame, page, page_headers
from proxy.fields.submission import Submission, read, read_texts
from proxy.rewrite.media import BodyType
from proxy.serving.answer import Answer, answer_of, json_answer
from proxy.serving.request import Request
from vault.collecting import FieldRules
from vault.errors import FieldSessionEnded, OriginNotAllowed, PanlessError
from vault.field_sessions import Opened
from vault.service import Vault
from vault.tokens import Token

NAME = "fields"
BODY_BYTES, BODY_SECONDS = 64 * 1024, 10
FRAME, SESSIONS, TOKENS = "/v1/frame", "/v1/sessions", "/v1/tokens"
_FOR_GOOD = "public, max-age=31536000, immutable"
_PREFLIGHT_SECONDS = 7200


class HostedFields:
    """Answers the requests of the `fields` listener."""

    def __init__(self, vault: Vault, metrics: Metrics, config: Config) -> None:
        listener, rules = config.listen.fields, config.fields
        self._sessions = vault.field_sessions
        self._collecting = vault.collecting
        self._metrics = metrics
        self._url = listener.url if listener else None
        self._trusted = listener.trusted_proxies if listener else ()
        self._lifetime = timedelta(minutes=rules.session_minutes)
        self._rules = FieldRules(rules.address_limit.windows, rules.reuse_tokens)

    async def handle(self, request: Request, exchange: Exchange) -> Answer:
        """Answer a request; raises a PanlessError for what is no browser's."""
        check_method(request)
        exchange.origin = client_of(request.client.remote, request.headers.getall("X-Forwarded-For", []), self._trusted)
        path, _, query = request.target.partition("?")
        if path in (SESSIONS, TOKENS):
            return await self._answered(request, exchange, path)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(route=NAME)
        if path == FRAME:
            exchange.route = f"{NAME}:frame"
            return await self._frame(query)
        exchange.route = f"{NAME}:script"
        return _asset(path, exchange.request_id)

    async def _frame(self, query: str) -> Answer:
        frame = Frame.read(query)
        key = await self._sessions.key(frame.key, frame.origin)
        nonce = secrets.token_urlsafe(18)
        return answer_of(page(frame, assets(), nonce), "text/html", page_headers(nonce, key.origins))

    async def _answered(self, request: Request, exchange: Exchange, path: str) -> Answer:
        """Answer a call of the script, which may read the answer on any page: there are no secrets in it.

        What a page gets is up to its origin, which the browser vouches for, and not to who may read a refusal.
        """
        origin = request.headers.get("Origin", "")
        exchange.route = NAME + path.replace("/v1/", ":")
        try:
            if request.method == "OPTIONS":
                answer = Answer(204, None, CIMultiDict(_PREFLIGHT), b"")
            elif request.method != "POST":
                raise MethodNotAllowed(route=NAME)
            elif path == SESSIONS:
                answer = await self._session(await _body(request), origin)
            else:
                answer = await self._tokens(request, read(await _body(request)), origin, exchange)
        except PanlessError as error:
            answer = problem(error, exchange.request_id)
        answer.headers.update(_answer_headers(origin, exchange))
        return answer

    async def _session(self, body: bytes, origin: str) -> Answer:
        key = read_texts(body).get("key", "")
        session, ends = await self._sessions.begin(key, origin, self._lifetime)
        return json_answer({"session": session, "expires_at": ends.isoformat().replace("+00:00", "Z")})

    async def _tokens(self, request: Request, given: Submission, origin: str, exchange: Exchange) -> Answer:
        opened = await self._sessions.open(given.session)
        if not self._is_own(request, origin):
            if origin != opened.session.origin or given.wallet is None:
                raise OriginNotAllowed
        elif (given.key, given.origin) != (opened.text, opened.session.origin):
            raise FieldSessionEnded  # its page gave it a session of another key, whose tenant would get the card
        exchange.route, exchange.destination = f"{NAME}:{opened.key.name}", opened.session.origin
        tokens = await self._tokenized(given, opened, exchange)
        return json_answer(given.answer(tokens))

    async def _tokenized(self, given: Submission, opened: Opened, exchange: Exchange) -> list[Token]:
        values = given.values
        tokens = await self._collecting.tokenize(opened, values, exchange.context, self._rules, card=given.card)
        exchange.values = len(values)
        for each in values:
            self._metrics.values.count("tokenize", each.kind.name)
        return tokens

    def _is_own(self, request: Request, origin: str) -> bool:
        """Tell whether a request comes from a page of this listener. Browsers say so; no page can make them lie."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site == "same-origin"
        host = request.headers.get("Host", "")
        return origin in (self._url, f"http://{host}", f"https://{host}")


def _asset(path: str, request_id: str) -> Answer:
    """Return a file of this version; pages of any origin may read that there is none."""
    served = assets()
    asset = served.served.get(path.removeprefix(served.prefix + "/")) if path.startswith(served.prefix) else None
    if asset is not None:
        return answer_of(asset.body, asset.content_type, _asset_headers(asset))
    answer = problem(FieldsFileNotFound(prefix=served.prefix), request_id)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


def _asset_headers(asset: Asset) -> dict[str, str]:
    headers = {"Cache-Control": _FOR_GOOD, "X-Content-Type-Options": "nosniff"}
    if not asset.shared:
        return headers | {"Cross-Origin-Resource-Policy": "same-origin"}
    return headers | {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


def _answer_headers(origin: str, exchange: Exchange) -> dict[str, str]:
    headers = {
        "Access-Control-Expose-Headers": f"Retry-After, {ERROR_HEADER}, {REQUEST_ID_HEADER}",
        "Cache-Control": "no-store",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Origin",
        "X-Content-Type-Options": "nosniff",
        REQUEST_ID_HEADER: exchange.request_id,
    }
    return headers | ({"Access-Control-Allow-Origin": origin} if origin else {})


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
}


async def _body(request: Request) -> bytes:
    """Return the body of a call; raises a RequestError. Only pages that were asked first may send JSON."""
    if media_of(request.headers, NAME).type is not BodyType.JSON:
        raise ContentTypeUnsupported(route=NAME)
    if "Content-Encoding" in request.headers:
        raise FieldsRequestInvalid(problem="its body is compressed")
    request.ask_for_body()
    return await read_body(request, limit=BODY_BYTES, seconds=BODY_SECONDS)
