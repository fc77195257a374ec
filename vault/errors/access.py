"""Who may not do what."""

from __future__ import annotations

from vault.errors.base import PanlessError


class Denied(PanlessError):
    """Policy does not allow it."""

    code = "not_permitted"
    message = "This may not be done on route {route}."
    remedy = "Use a route that you may use. Operators: the audit log names the rule; see `panless policy explain`."


class AppUnknown(Denied):
    code = "app_unknown"
    message = "The request carries no valid application key."
    remedy = "Send the key that `panless app add` printed, in the Panless-Key header or where the SDK puts its key."


class AppKeyRevoked(Denied):
    code = "app_key_revoked"
    message = "The application's key has been revoked."
    remedy = "Make a new one with `panless app add`."


class VelocityExceeded(Denied):
    code = "velocity_exceeded"
    message = "A limit was reached: on what may be revealed, or on keys and tokens that there are not."
    remedy = "Retry after {seconds} seconds. Operators: see `panless limits list` and the audit log."


class RevealsStopped(Denied):
    code = "reveals_stopped"
    message = "Reveals of this application, route or token are stopped."
    remedy = "Operators: see `panless limits list`; `panless limits resume` lets them go on."


class AppKeyExpired(Denied):
    code = "app_key_expired"
    message = "The application's key has expired."
    remedy = "Make a new one with `panless app add` or `panless app rotate`."


class OperatorUnknown(Denied):
    code = "operator_unknown"
    message = "No valid key or certificate of an operator was given."
    remedy = "Give the key that `panless operator add` printed, as Authorization: Bearer, or a client certificate."


class OperatorKeyRevoked(Denied):
    code = "operator_key_revoked"
    message = "The operator's key has been revoked."
    remedy = "Let another operator make a new one with `panless operator add`."


class OperatorKeyExpired(Denied):
    code = "operator_key_expired"
    message = "The operator's key has expired."
    remedy = "Make a new one with `panless operator rotate`."


class OperatorNotPermitted(Denied):
    code = "operator_not_permitted"
    message = "An operator of role {role} may not do this."
    remedy = "See docs/access.md for what each role may do."
