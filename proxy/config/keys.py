"""The models of [keys]: one for each key provider, and what all of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from proxy.config.base import Model
from proxy.config.values import Seconds, SecretReference, Upstream, is_loopback

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


def _check_address(text: str) -> str:
    # Keys go over this connection in clear text: there is no option for plain http.
    url = urlsplit(text)
    if url.scheme == "http" and not is_loopback(url):
        raise ValueError("plain http is only for loopback; use https")
    return text


Address = Annotated[Upstream, AfterValidator(_check_address)]


class FileKeys(Model):
    """KEKs in a file of 0600."""

    provider: Literal["file"] = "file"
    path: Path | None = None


class TransitKeys(Model):
    """The transit engine of OpenBao or HashiCorp Vault: a `token`, or `role_id` and `secret_id` of an AppRole."""

    provider: Literal["transit"]
    address: Address
    key: Label = "panless"
    mount: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,126}$")] = "transit"
    namespace: str | None = None
    ca: Path | None = None
    token: SecretReference | None = None
    role_id: str | None = None
    secret_id: SecretReference | None = None
    approle_mount: Label = "approle"
    timeout_seconds: Seconds = 5

    @model_validator(mode="after")
    def _check_login(self) -> TransitKeys:
        if (self.token is None) == (self.role_id is None) or (self.role_id is None) != (self.secret_id is None):
            raise ValueError("give either token, or role_id and secret_id")
        return self


class AwsKmsKeys(Model):
    """A symmetric key of AWS KMS. Credentials come from where the AWS SDK looks for them."""

    provider: Literal["aws-kms"]
    key: Annotated[str, Field(min_length=1)]
    region: Label
    endpoint: Address | None = None
    timeout_seconds: Seconds = 5


class Pkcs11Keys(Model):
    """An HSM behind PKCS #11: `module` is its library, `token` and `key` are labels."""

    provider: Literal["pkcs11"]
    module: Path
    token: Annotated[str, Field(min_length=1, max_length=32)]
    pin: SecretReference
    key: Label = "panless"
    timeout_seconds: Seconds = 5


class CustodianKeys(Model):
    """A KEK in shares: `record` is what `panless keys ceremony` wrote for Panless."""

    provider: Literal["custodians"]
    record: Path


PROVIDERS = ("file", "transit", "aws-kms", "pkcs11", "custodians")


def _provider(document: Any) -> str:
    found = document.get("provider", "file") if isinstance(document, dict) else getattr(document, "provider", "file")
    return str(found)


AnyProvider = Annotated[
    Annotated[FileKeys, Tag("file")]
    | Annotated[TransitKeys, Tag("transit")]
    | Annotated[AwsKmsKeys, Tag("aws-kms")]
    | Annotated[Pkcs11Keys, Tag("pkcs11")]
    | Annotated[CustodianKeys, Tag("custodians")],
    Discriminator(_provider),
]


class _Common(Model):
    """`also`: providers whose KEKs are still, or will be, in use. `tenant_keks`: a KEK for each tenant."""

    cache_seconds: Seconds = 600
    tenant_keks: bool = False
    also: tuple[AnyProvider, ...] = ()


class MainFileKeys(FileKeys, _Common):
    pass


class MainTransitKeys(TransitKeys, _Common):
    pass


class MainAwsKmsKeys(AwsKmsKeys, _Common):
    pass


class MainPkcs11Keys(Pkcs11Keys, _Common):
    pass


class MainCustodianKeys(CustodianKeys, _Common):
    @model_validator(mode="after")
    def _check_tenants(self) -> MainCustodianKeys:
        if self.tenant_keks:
            raise ValueError("tenant_keks needs a provider that makes KEKs by itself; custodians hold a ceremony")
        return self


KeysConfig = Annotated[
    Annotated[MainFileKeys, Tag("file")]
    | Annotated[MainTransitKeys, Tag("transit")]
    | Annotated[MainAwsKmsKeys, Tag("aws-kms")]
    | Annotated[MainPkcs11Keys, Tag("pkcs11")]
    | Annotated[MainCustodianKeys, Tag("custodians")],
    Discriminator(_provider),
]
