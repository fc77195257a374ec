"""What goes wrong with requests that may come again and with those that are sent later, each with its HTTP status."""

from __future__ import annotations

from proxy.errors import RequestError
from vault.errors import PanlessError


class IdempotencyKeyMissing(RequestError):
    code = "idempotency_key_missing"
    message = "Route {route} takes such a request only with an idempotency key."
    remedy = "Send {header} with a key that is new for each payment, and the same one when you repeat it."


class IdempotencyKeyReused(RequestError):
    status = 422
    code = "idempotency_key_reused"
    message = "The idempotency key came before with another request."
    remedy = "Use a new key for each payment; repeat a request exactly as it was. Nothing was sent."


class RequestRunning(RequestError):
    status = 409
    code = "request_running"
    message = "A request with this idempotency key is still being processed."
    remedy = "Ask again in a moment, with the same key: you get its answer then."


class OutcomeUnknown(RequestError):
    status = 409
    code = "outcome_unknown"
    message = "Whether the request {first} with this idempotency key took effect is not known; it is not sent again."
    remedy = "Look for it at the gateway. Operators: `panless idempotency settle` says how it was."


class OutcomeSettled(RequestError):
    status = 409
    code = "outcome_settled"
    message = "The request {first} with this idempotency key took effect; its answer was lost."
    remedy = "An operator has found it at the gateway: look for it there. It is not sent again."


class LeaseLost(RequestError):
    status = 503
    code = "lease_lost"
    message = "It took too long before the request could be sent; it was not sent."
    remedy = "Repeat it with the same idempotency key. Operators: Panless, or its database, stood still for seconds."


class OperationInDoubt(RequestError):
    status = 503
    code = "operation_in_doubt"
    message = "Whether operation {operation} was kept is not known: the database did not answer."
    remedy = "Ask for /operations/{operation}: 404 says that it was not. With an idempotency key, repeat the request."


class OperationNotFound(RequestError):
    status = 404
    code = "operation_not_found"
    message = "This application has no such operation."
    remedy = "Ask for what stands in the Location of the 202 answer, with a key of the same application."


class OperationUnanswered(RequestError):
    status = 404
    code = "operation_unanswered"
    message = "Operation {operation} is {state}, and has no answer of the gateway's."
    remedy = "Ask for /operations/{operation}, which tells what has become of it."


class OperationUnderWay(RequestError):
    status = 409
    code = "operation_under_way"
    message = "Operation {operation} is {state}; it cannot be cancelled any more."
    remedy = "Only one that waits and was never sent can be. Undo the payment at the gateway if need be."


class KeyNotSettled(PanlessError):
    code = "key_not_settled"
    message = "Application {app} has no idempotency key like that on route {route} whose outcome is unknown."
    remedy = "`panless idempotency list --state unknown` shows them."


class OperationNotSettled(PanlessError):
    code = "operation_not_settled"
    message = "The operation's state is '{state}'; this is for one that is {states}. Nothing was changed."
    remedy = (
        "`panless operations show ID` tells more. For one that is unknown, look at the gateway first: then "
        "`panless operations settle`, or `retry --did-not-take-effect`."
    )
