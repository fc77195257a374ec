"""From the configuration of webhook routes to what verifies, signs and fetches; secrets are looked up here."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from proxy.config import Config
from proxy.config.idempotency import NotifyConfig
from proxy.config.verifying import PayPalVerify
from proxy.config.webhooks import WebhookConfig
from proxy.errors import ConfigInvalid
from proxy.rewrite.fields import Fields
from proxy.routes import Route
from proxy.secrets import Lookup, SecretUnavailable
from proxy.upstream.certificates import fetching
from proxy.upstream.settings import UpstreamSettings
from proxy.webhook_routes import Destination, WebhookRoute
from vault.signatures import is_roots

# Where distributions keep the authorities of the system, if OpenSSL was built to look elsewhere.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True, slots=True)
class CompiledWebhook:
    route: WebhookRoute
    destination: Destination


@dataclass(frozen=True, slots=True)
class CompiledNotice:
    """Where the application of outbound route `name` is told of its operations."""

    name: str
    destination: Destination
    settings: UpstreamSettings


def compile_webhooks(config: Config, secrets: Lookup) -> list[CompiledWebhook]:
    """Compile the webhook routes with their secrets; raises ConfigInvalid if one is not to be had."""
    return [_compiled(config, number, route, secrets) for number, route in enumerate(config.webhook)]


def compile_notices(config: Config, secrets: Lookup) -> list[CompiledNotice]:
    """Compile where applications are told that operations have ended; raises ConfigInvalid."""
    return [
        _notice(config, number, route.name, route.asynchronous.notify, secrets)
        for number, route in enumerate(config.outbound)
        if route.asynchronous is not None and route.asynchronous.notify is not None
    ]


def _notice(config: Config, number: int, name: str, notify: NotifyConfig, secrets: Lookup) -> CompiledNotice:
    place = f"outbound.{number}.asynchronous.notify.sign.secret"

    def invalid(problem: str) -> ConfigInvalid:
        return ConfigInvalid(file=str(config.file), key=place, problem=problem)

    given = _looked_up(notify.sign.secret, secrets, invalid)
    try:
        signing = notify.sign.compile(given)
    except ValueError as error:
        raise invalid(str(error)) from None
    url = notify.upstream_url
    route = Route(
        name=f"{name} operations",
        path="",
        methods=None,
        scheme=url.scheme,
        authority=url.netloc,
        base_path=url.path or "/",
        fields=Fields(()),
        required=frozenset(),
        guard="report",
    )
    deliver_for, keep = timedelta(hours=notify.deliver_for_hours), timedelta(days=notify.keep_days)
    settings = UpstreamSettings.compile(notify, config, route.name)
    return CompiledNotice(name, Destination(route, signing, deliver_for, keep), settings)


def fetching_settings(config: Config) -> dict[str, UpstreamSettings]:
    """Return how the certificates of webhooks are fetched; raises ConfigInvalid if `ca` cannot be used."""
    return dict(_fetching(config))


def _fetching(config: Config) -> Iterator[tuple[str, UpstreamSettings]]:
    for route in config.webhook:
        if isinstance(route.verify, PayPalVerify):
            told = {"upstream": f"https://{route.verify.hosts[0]}", "ca": route.verify.ca}
            own = {"client_cert": None, "client_key": None}
            yield (
                fetching(route.name),
                UpstreamSettings.compile(route.model_copy(update=told | own), config, route.name),
            )


def _compiled(config: Config, number: int, route: WebhookConfig, secrets: Lookup) -> CompiledWebhook:
    key = f"webhook.{number}"

    def invalid(place: str, problem: str) -> ConfigInvalid:
        return ConfigInvalid(file=str(config.file), key=f"{key}.{place}", problem=problem)

    verify, roots = route.verify, b""
    if isinstance(verify, PayPalVerify):
        roots = _roots(config, verify.ca, invalid)
        given: tuple[str, ...] = ()
    else:
        given = _looked_up(verify.secret, secrets, lambda problem: invalid("verify.secret", problem))
    signing = _looked_up(route.sign.secret if route.sign else (), secrets, lambda each: invalid("sign.secret", each))
    place = "verify.secret"
    try:
        verifier = verify.compile(given, roots)
        place = "sign.secret"
        own = route.sign.compile(signing) if route.sign else ()
    except ValueError as error:
        raise invalid(place, str(error)) from None
    compiled = WebhookRoute.compile(route, verifier)
    keep = timedelta(days=route.keep_days)
    return CompiledWebhook(compiled, Destination(compiled, own, compiled.deliver_for, keep))


def _looked_up(
    references: tuple[str, ...], secrets: Lookup, invalid: Callable[[str], ConfigInvalid]
) -> tuple[str, ...]:
    try:
        return tuple(secrets.get(each) for each in references)
    except SecretUnavailable as error:
        raise invalid(str(error)) from None


def _roots(config: Config, ca: Path | None, invalid: Callable[[str, str], ConfigInvalid]) -> bytes:
    """Return the authorities that may have signed PayPal's certificates, in PEM."""
    paths = ssl.get_default_verify_paths()
    named = os.environ.get(paths.openssl_cafile_env), paths.cafile, *_BUNDLES
    files = [config.resolve(ca)] if ca else [Path(each) for each in named if each]
    for file in files:
        try:
            pem = file.read_bytes()
        except OSError:
            continue
        if is_roots(pem):
            return pem
    raise invalid("verify.ca", "it cannot be used" if ca else "the system has no file of authorities: name one")
