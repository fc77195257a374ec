"""Seeing a value: the steps of breaking the glass that were refused."""

from __future__ import annotations

from vault.errors.operating import OperatorError


class BreakGlassRefused(OperatorError):
    """Nothing was shown."""


class BreakGlassDisabled(BreakGlassRefused):
    code = "break_glass_disabled"
    message = "Seeing values is switched off."
    remedy = "It is switched on by [break_glass] enabled = true; see docs/access.md."


class BreakGlassUnknown(BreakGlassRefused):
    code = "break_glass_unknown"
    message = "There is no request {request}."
    remedy = "Give the id that `panless reveal TOKEN --reason TEXT` printed."


class BreakGlassExpired(BreakGlassRefused):
    code = "break_glass_expired"
    message = "Request {request} is past its time."
    remedy = "Ask anew; [break_glass] minutes says how long there is."


class BreakGlassOwnRequest(BreakGlassRefused):
    code = "break_glass_own_request"
    message = "Request {request} is your own."
    remedy = "Let another person approve it."


class BreakGlassApproved(BreakGlassRefused):
    code = "break_glass_approved"
    message = "Request {request} was approved before."
    remedy = "Who asked shows it with `panless reveal --show`."


class BreakGlassNotApproved(BreakGlassRefused):
    code = "break_glass_not_approved"
    message = "Request {request} was not approved."
    remedy = "Let an approver give `panless reveal --approve`."


class BreakGlassNotYours(BreakGlassRefused):
    code = "break_glass_not_yours"
    message = "Request {request} is not your own."
    remedy = "Only who asked is shown the value."


class BreakGlassSpent(BreakGlassRefused):
    code = "break_glass_spent"
    message = "What request {request} is for was shown before."
    remedy = "A value is shown once. Ask anew."


class BreakGlassNoTerminal(BreakGlassRefused):
    code = "break_glass_no_terminal"
    message = "A value is shown on a terminal only."
    remedy = "Give the command at a terminal, without a pipe or a file behind it."
