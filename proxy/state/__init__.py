"""Tables that hold no card data: idempotency, operations, events of webhooks."""
