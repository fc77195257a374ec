"""From the configuration to sinks: secrets and authorities are read here."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from proxy.config import Config
from proxy.config.audit import AnySink, FileSink, HttpSink, S3Sink, SyslogSink
from proxy.errors import ConfigInvalid
from proxy.secrets import Lookup, SecretUnavailable
from proxy.sinks.file import Files
from proxy.sinks.http import Http
from proxy.sinks.payload import Sink
from proxy.sinks.s3 import S3
from proxy.sinks.syslog import Syslog

Latest = Callable[[], Lookup]


def build(sink: AnySink, config: Config, latest: Latest) -> Sink:
    """`latest` returns the secrets as they were last fetched. Raises ConfigInvalid if something is not to be had."""
    match sink:
        case FileSink():
            return Files(sink, config.resolve(sink.path))
        case HttpSink():
            return Http(sink, lambda: _headers(sink, config, latest()), _tls(sink, config, sink.ca))
        case SyslogSink():
            return Syslog(sink, _tls(sink, config, sink.ca) if sink.tls else None)
        case S3Sink():
            return S3(sink)


def check(config: Config, secrets: Lookup) -> None:
    """Raise ConfigInvalid if a secret or an authority of a sink is not to be had."""
    for sink in config.audit.sink:
        if isinstance(sink, HttpSink):
            _headers(sink, config, secrets)
        if isinstance(sink, HttpSink | SyslogSink):
            _tls(sink, config, sink.ca)


def _headers(sink: HttpSink, config: Config, secrets: Lookup) -> dict[str, str]:
    try:
        return {name: secrets.get(reference) for name, reference in sink.headers.items()}
    except SecretUnavailable as error:
        key = f"audit.sink {sink.name}.headers"
        raise ConfigInvalid(file=str(config.file), key=key, problem=str(error)) from None


def _tls(sink: AnySink, config: Config, ca: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.resolve(ca) if ca else None)
    except (OSError, ssl.SSLError):
        key = f"audit.sink {sink.name}.ca"
        raise ConfigInvalid(file=str(config.file), key=key, problem="it cannot be used") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.keylog_filename = None  # type: ignore[assignment]  # whatever SSLKEYLOGFILE says
    return context
