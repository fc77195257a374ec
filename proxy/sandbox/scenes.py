"""What everybody saw of a payment. Only a demo can show it in one place."""

from __future__ import annotations

from typing import Any

from proxy.config import Config
from proxy.sandbox.gateway import SandboxGateway
from proxy.sandbox.shop import DemoShop
from proxy.settings import vault_settings
from vault.upkeep.history import Filter, history
from vault.upkeep.startup import open_database


async def seen(config: Config, shop: DemoShop, gateway: SandboxGateway, token: str) -> dict[str, Any]:
    """Return what everybody saw of the last payment: the shop, the gateway (masked), and the audit log of a token."""
    order = shop.received[-1] if shop.received else {}
    charge = gateway.received[-1] if gateway.received else {"card": {}}
    card = charge["card"] | {"number": masked(charge["card"].get("number", "")), "cvc": "•••"}
    database = await open_database(vault_settings(config), holder="command")
    try:
        events = await history(database, Filter(token=token, limit=10))
    finally:
        await database.close()
    audit = [
        {
            "at": event["at"],
            "action": event["action"],
            "who": event.get("app") or "customer's browser",
            "where": event.get("destination") or "",
            "outcome": event["outcome"],
        }
        for event in events
    ]
    return {"shop": order, "gateway": charge | {"card": card}, "audit": audit}


def masked(number: str) -> str:
    """First six and last four digits are what PCI DSS 3.4.1 lets anybody see."""
    return f"{number[:6]}{'•' * (len(number) - 10)}{number[-4:]}"
