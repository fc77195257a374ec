"""Hosted fields: what a browser may not do."""

from __future__ import annotations

from vault.errors.access import Denied
from vault.errors.operating import OperatorError


class PublishableKeyUnknown(Denied):
    code = "publishable_key_unknown"
    message = "There is no such publishable key, or it was revoked."
    remedy = "Use the key that `panless key add` printed, on the page that loads panless.js; see `panless key list`."


class OriginNotAllowed(Denied):
    code = "origin_not_allowed"
    message = "The publishable key is not for pages of this origin."
    remedy = "Operators: name the page's origin with `panless key add NAME --origin`, as scheme://host[:port]."


class FieldSessionEnded(Denied):
    code = "field_session_ended"
    message = "The session of the fields was used, or its time is up, or it is none of this key and page."
    remedy = "Get another session; panless.js does so by itself."


class PublishableKeyNotFound(OperatorError):
    code = "publishable_key_not_found"
    message = "There is no publishable key {name} in use."
    remedy = "See `panless key list`."


class PublishableKeyExists(OperatorError):
    code = "publishable_key_exists"
    message = "There is a publishable key {name} already."
    remedy = "Choose another name, and revoke this one when no page has it any more."
