"""What every signature scheme does, and the request that it is done to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from proxy.errors import SignatureInvalid, SignatureMalformed, SignatureMissing
from proxy.rewrite.message import Headers
from proxy.signing.macs import Secrets


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it is on one side of Panless; Host is among its headers, `target` is path and query."""

    method: str
    scheme: str
    target: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def covered(self, name: str) -> str:
        """Return the value of a header that a signature covers; it has to be there once."""
        values = header_values(self.headers, name)
        if not values:
            raise SignatureInvalid
        if len(values) > 1:
            raise SignatureMalformed
        return values[0]

    def carrying(self, name: str) -> str:
        """Return the value of a header that a signature is in; it has to be there once."""
        if not header_values(self.headers, name):
            raise SignatureMissing
        return self.covered(name)


class HoldsKey(Exception):
    """Where it cannot be seen from outside, the signature would take a Panless key to the gateway."""


class Scheme(ABC):
    """One way to sign requests, with the secrets of both sides."""

    secrets: Secrets

    @abstractmethod
    def key_id(self, request: SignedRequest) -> str:
        """Return the key id of the request's signature; empty if it has none. Raises a RequestError."""

    @abstractmethod
    def verify(self, request: SignedRequest, now: float, *, cover_body: bool) -> None:
        """Raise a RequestError unless the application signed the request, with its body if `cover_body`."""

    @abstractmethod
    def sign(self, came: SignedRequest, goes: SignedRequest) -> Headers:
        """Return the headers of `goes`, signed with the gateway's secret as `came` was with the application's.

        Raises HoldsKey, or a RequestError: SignatureInvalid where `goes` has not all that `came` covers.
        """


def header_values(headers: Headers, name: str) -> list[str]:
    wanted = name.lower()
    return [value.strip(" \t") for each, value in headers if each.lower() == wanted]


def put_header(headers: Headers, name: str, value: str) -> Headers:
    """Return the headers with `value` in the place of the header's, or at the end."""
    wanted = name.lower()
    if all(each.lower() != wanted for each, _ in headers):
        return (*headers, (name, value))
    return tuple((each, value if each.lower() == wanted else old) for each, old in headers)
