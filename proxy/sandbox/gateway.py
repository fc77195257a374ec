"""A stand-in for a payment gateway: takes charges, declines some, and echoes more than it should."""

from __future__ import annotations

import json
import secrets
from typing import Any

from aiohttp import web

DECLINED = "4000000000000002"


class SandboxGateway:
    """`POST /v1/charges` with a bearer key. `received` holds what arrived, for the demo to check."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key
        self.received: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/charges", self._charge)
        return application

    async def _charge(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return web.json_response({"error": "invalid api key"}, status=401)
        charge = json.loads(await request.read())
        self.received.append(charge)
        number = charge["card"]["number"]
        declined = number == DECLINED
        answer = {
            "id": f"ch_{secrets.token_hex(8)}",
            "status": "declined" if declined else "succeeded",
            "amount": charge["amount"],
            "currency": charge["currency"],
            # Some gateways do echo the card. Panless takes it out of the answer.
            "card": {"number": number, "last4": number[-4:]},
        }
        return web.json_response(answer, status=402 if declined else 200)
