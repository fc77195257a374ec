"""The audit log: how often it is signed, and where it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from proxy.config.base import Model
from proxy.config.values import Name, Seconds, SecretReference, Upstream, is_loopback, split_url


def _check_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("an address is HOST:PORT")
    return text


Address = Annotated[str, AfterValidator(_check_address)]
ActionPattern = Annotated[str, Field(pattern=r"^[a-z0-9_.*?]+$")]


class _Sink(Model):
    """`only`: patterns of actions, `velocity.*`; without it all events go there. `format` is that of events."""

    name: Name
    what: Literal["events", "checkpoints"]
    format: Literal["jsonl", "cef", "ocsf"] = "jsonl"
    only: tuple[ActionPattern, ...] = ()
    timeout_seconds: Seconds = 10

    @model_validator(mode="after")
    def _check_only(self) -> _Sink:
        if self.what == "checkpoints" and (self.only or self.format != "jsonl"):
            raise ValueError("format and only are for events")
        return self


class FileSink(_Sink):
    """Lines, or signed notes, appended to a file."""

    type: Literal["file"]
    path: Path


class HttpSink(_Sink):
    """POST requests: lines of events, or one signed note each. `headers` hold secrets by reference."""

    type: Literal["http"]
    url: Upstream
    ca: Path | None = None
    headers: dict[str, SecretReference] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_url(self) -> HttpSink:
        url = split_url(self.url)
        if url.scheme != "https" and not is_loopback(url):
            raise ValueError("a sink's url is https://, or on loopback")
        return self


class SyslogSink(_Sink):
    """RFC 5424 over TLS (RFC 5425), or over TCP on loopback (RFC 6587), with octet counting."""

    type: Literal["syslog"]
    address: Address
    tls: bool = True
    ca: Path | None = None

    @model_validator(mode="after")
    def _check_tls(self) -> SyslogSink:
        if not self.tls and not is_loopback(split_url(f"tcp://{self.address}")):
            raise ValueError("a syslog sink without tls is on loopback")
        return self


class S3Sink(_Sink):
    """One object for each checkpoint. Credentials are found as the AWS SDK finds them."""

    type: Literal["s3"]
    what: Literal["checkpoints"]
    bucket: Annotated[str, Field(min_length=3, max_length=63)]
    prefix: str = "panless/"
    region: str | None = None
    endpoint: Upstream | None = None


AnySink = Annotated[FileSink | HttpSink | SyslogSink | S3Sink, Field(discriminator="type")]


class AuditConfig(Model):
    """`checkpoint_seconds`: how old a signed checkpoint may get while events are written."""

    checkpoint_seconds: Seconds = 5
    sink: tuple[AnySink, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> AuditConfig:
        names = [sink.name for sink in self.sink]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two sinks are named {min(twice)}")
        return self
