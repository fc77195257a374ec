"""Why a webhook is not taken. Nothing of it was forwarded, and the sender's event is not lost: gateways send again."""

from __future__ import annotations

from proxy.errors import RequestError


class WebhookRejected(RequestError):
    """The webhook does not prove that it comes from the gateway, or not as it was sent."""

    status = 401


class WebhookUnsigned(WebhookRejected):
    code = "webhook_unsigned"
    message = "The webhook carries no signature, which its route requires."
    remedy = "Sign it in the scheme of the route's `verify`; operators: find out who sends there."


class WebhookMalformed(WebhookRejected):
    code = "webhook_malformed"
    message = "The webhook's signature, or what it covers, cannot be read in one way."
    remedy = "Send each header, parameter and signed field once, as the scheme of the route's `verify` says."


class WebhookForged(WebhookRejected):
    code = "webhook_forged"
    message = "The webhook's signature is not that of what arrived, or not by a secret of the route."
    remedy = "Operators: compare the route's secrets with the gateway's; nothing in between may change a byte."


class WebhookStale(WebhookRejected):
    code = "webhook_stale"
    message = "The webhook was signed too long ago, or in the future."
    remedy = "Sign each attempt when it is sent, by a clock that is right; operators: see `window_seconds`."


class WebhookCertificateUnavailable(RequestError):
    status = 503
    code = "webhook_certificate_unavailable"
    message = "The certificate that the webhook was signed with could not be fetched."
    remedy = "Send it again later; operators: let Panless reach the hosts of `verify.hosts`."


class WebhookBusy(RequestError):
    status = 503
    code = "webhook_busy"
    message = "The same event is being passed on at this moment."
    remedy = "Send it again later; once the application has taken it, that is answered 200."
