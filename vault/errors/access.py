"""Who may not do what."""

from __future__ import annotations

from vault.errors.base import PanlessError


class Denied(PanlessError):
    """Policy does not allow it."""

    code = "not_permitted"
    message = "This application may not use route {route}."
    remedy = "Name the application in the route's `apps`, or use another route."


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
    message = "This application has reached a limit on how much may be revealed."
    remedy = "Retry after {seconds} seconds. Operators: see `panless limits list` and the audit log."


class RevealsStopped(Denied):
    code = "reveals_stopped"
    message = "Reveals of this application, route or token are stopped."
    remedy = "Operators: see `panless limits list`; `panless limits resume` lets them go on."
