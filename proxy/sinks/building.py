"""From the configuration to sinks: secrets and authorities are read here."""

from __future__ import annotations

import ssl
from pathlib import Path

from proxy.config import Config
from proxy.config.audit import AnySink, FileSink, HttpSink, S3Sink, SyslogSink
from proxy.errors import ConfigInvalid
from proxy.secrets import SecretUnavailable, resolve
from proxy.sinks.file import Files
from proxy.sinks.http import Http
from proxy.sinks.payload import Sink
from proxy.sinks.s3 import S3
from proxy.sinks.syslog import Syslog


def build(sink: AnySink, config: Config) -> Sink:
    """Raises ConfigInvalid if a secret or an authority is not to be had."""
    match sink:
        case FileSink():
            return Files(sink, config.resolve(sink.path))
        case HttpSink():
            headers = {name: _secret(reference, sink, config) for name, reference in sink.headers.items()}
            return Http(sink, headers, _tls(sink, config, sink.ca))
        case SyslogSink():
            return Syslog(sink, _tls(sink, config, sink.ca) if sink.tls else None)
        case S3Sink():
            return S3(sink)


def check(config: Config) -> None:
    """Raise ConfigInvalid if a secret or an authority of a sink is not to be had."""
    for sink in config.audit.sink:
        if isinstance(sink, HttpSink):
            for reference in sink.headers.values():
                _secret(reference, sink, config)
        if isinstance(sink, HttpSink | SyslogSink):
            _tls(sink, config, sink.ca)


def _secret(reference: str, sink: AnySink, config: Config) -> str:
    try:
        return resolve(reference, config.folder)
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
