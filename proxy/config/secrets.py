"""The models of [secrets]: which secrets managers there are, and how often all secrets are read again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from proxy.config.base import Model
from proxy.config.keys import Address, Label
from proxy.config.values import LocalReference, Seconds
from proxy.secrets import REFERENCE

_is_reference = re.compile(REFERENCE).match


class TransitKvConfig(Model):
    """KV version 2 of OpenBao or HashiCorp Vault: a `token`, or `role_id` and `secret_id` of an AppRole.

    What it is opened with can only be on this machine: `env:` or `file:`.
    """

    address: Address
    mount: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,126}$")] = "secret"
    namespace: str | None = None
    ca: Path | None = None
    token: LocalReference | None = None
    role_id: LocalReference | None = None
    secret_id: LocalReference | None = None
    approle_mount: Label = "approle"
    timeout_seconds: Seconds = 5

    @model_validator(mode="after")
    def _check_login(self) -> TransitKvConfig:
        if (self.token is None) == (self.role_id is None) or (self.role_id is None) != (self.secret_id is None):
            raise ValueError("give either token, or role_id and secret_id")
        return self


class AwsSecretsConfig(Model):
    """AWS Secrets Manager. Credentials come from where the AWS SDK looks for them."""

    region: Label
    endpoint: Address | None = None
    timeout_seconds: Seconds = 5


class SecretsConfig(Model):
    """`refresh_seconds`: how often the configuration and all secrets are read again."""

    refresh_seconds: Seconds = 300
    transit_kv: TransitKvConfig | None = Field(default=None, alias="transit-kv")
    aws_secrets: AwsSecretsConfig | None = Field(default=None, alias="aws-secrets")

    def check(self, references: Iterable[str]) -> None:
        """Raise ValueError if one of them is kept by a manager that is not configured."""
        configured = {"transit-kv": self.transit_kv, "aws-secrets": self.aws_secrets}
        for each in references:
            scheme = each.partition(":")[0]
            if configured.get(scheme, self) is None:
                raise ValueError(f"secrets: {scheme} is not configured: add [secrets.{scheme}]")


def references_in(value: Any) -> Iterator[str]:
    """Yield every reference among the values of a model. Paths of files are no text there, so none is taken for one."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references_in(getattr(value, name))
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from references_in(each)
    elif isinstance(value, dict):
        yield from references_in(tuple(value.values()))
    elif isinstance(value, str) and _is_reference(value):
        yield value
