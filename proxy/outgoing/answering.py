"""The way back: a gateway's answer on its way to the application, without revealed values and card numbers."""

from __future__ import annotations

from collections.abc import Sequence

from multidict import CIMultiDict

from proxy.edge.aside import find_in
from proxy.edge.body import SMALL_BODY
from proxy.edge.encodings import coding
from proxy.edge.exchange import Exchange
from proxy.edge.headers import end_to_end
from proxy.edge.leaks import LeakGuard, Mode
from proxy.edge.metrics import Metrics
from proxy.errors import AnswerHoldsCardNumber, AnswerUnreadable, CharsetUnsupported
from proxy.guard.masking import mask
from proxy.rewrite.errors import BodyRejected, TooManyNumbers
from proxy.rewrite.fields import Fields
from proxy.rewrite.message import Message
from proxy.rewrite.plan import Plan, find
from proxy.rewrite.reference import new_values
from proxy.routes import OutboundRoute
from proxy.scrub.scrubber import Scrubber, Secret, may_hold
from proxy.serving.answer import PHRASES, Answer
from proxy.upstream.answer import check_searchable, read_whole, scrubbed
from proxy.upstream.flight import GatewayAnswer, read_answer
from vault.service import Vault

_NO_FIELDS = Fields(())


class Answering:
    """Passes answers on. Raises an UpstreamError for one that cannot be; the gateway has then done its work."""

    def __init__(self, vault: Vault, metrics: Metrics, answer_bytes: int) -> None:
        self._vault = vault
        self._answer_bytes = answer_bytes
        self._guard = LeakGuard(vault, metrics, AnswerHoldsCardNumber, AnswerUnreadable)

    async def answer(
        self,
        exchange: Exchange,
        route: OutboundRoute,
        answer: GatewayAnswer,
        *,
        secrets: Sequence[Secret],
        tenant: str,
        whole: bool = False,
    ) -> Answer:
        """Return what the application gets, without the secrets; `tenant` gets the tokens of card numbers in it.

        `whole`: the body has to be all there, because it is kept.
        """
        if whole or secrets or _is_small(answer) or (mode := Mode(route.guard)) is Mode.TOKENIZE:
            return await self._whole(exchange, route, answer, secrets, tenant)
        return await self._streaming(exchange, route, answer, mode)

    async def _whole(
        self, exchange: Exchange, route: OutboundRoute, answer: GatewayAnswer, secrets: Sequence[Secret], tenant: str
    ) -> Answer:
        whole = await read_whole(answer, route, self._answer_bytes)
        if secrets:
            check_searchable(answer, route)
        if len(whole.message.body) <= SMALL_BODY and not may_hold(whole.words(), secrets):  # nearly always
            headers, body = whole.sent(whole.message)  # the guard would find nothing, either
            return Answer(answer.status, _clean_reason(answer, secrets), headers, body)
        mode = Mode(route.guard)
        message = scrubbed(answer, whole, Scrubber(secrets), route) if secrets else whole.message
        try:
            known = {each.token for each in secrets}
            plan = await self._guard.judge(await _searched(message, route), mode, exchange, known)
        except TooManyNumbers:
            raise AnswerUnreadable(route=route.name) from None
        if plan.matches:
            tokens = await self._vault.tokenize(new_values(plan), tenant, exchange.context)
            message = plan.fill([token.shown for token in tokens])
        headers, body = whole.sent(message)
        return Answer(answer.status, _clean_reason(answer, secrets), headers, body)

    async def _streaming(self, exchange: Exchange, route: OutboundRoute, answer: GatewayAnswer, mode: Mode) -> Answer:
        headers: CIMultiDict[str] = end_to_end(answer.lines)
        await self._guard.judge(find(Message(headers=tuple(headers.items())), route.answers), mode, exchange)
        body = read_answer(answer, route)
        name = coding(answer.headers.getall("Content-Encoding", []))
        if self._guard.can_search(name, mode, exchange):
            body = self._guard.stream(body, name, mode, exchange)
        return Answer(answer.status, mask(answer.reason or ""), headers, body)


def _clean_reason(answer: GatewayAnswer, secrets: Sequence[Secret]) -> str:
    reason = answer.reason
    return reason if reason == PHRASES.get(answer.status) else mask(Scrubber(secrets).clean_text(reason))


def _is_small(answer: GatewayAnswer) -> bool:
    return answer.content_length is not None and answer.content_length <= SMALL_BODY


async def _searched(message: Message, route: OutboundRoute) -> Plan:
    """Return the plan that knows the guard's exceptions; of a body that cannot be read there are none."""
    if route.answers.body or route.answers.headers:
        try:
            return await find_in(message, route.answers)
        except (BodyRejected, CharsetUnsupported):
            pass
    return find(Message(message.body, headers=message.headers), _NO_FIELDS)
