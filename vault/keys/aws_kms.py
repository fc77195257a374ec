"""Key provider `aws-kms`: symmetric keys of AWS KMS, which never leave it. A KEK's id is the key's ARN.

What is stored is KMS's ciphertext. The encryption context is {"panless": base64 of the wrapped key's context}: KMS
authenticates it, and writes it into CloudTrail. Credentials, proxies and authorities come from where the AWS SDK looks.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore import exceptions
from botocore.parsers import ResponseParserError

from vault.errors import KekNotMade, KeyProviderUnavailable, KeyUnavailable
from vault.key_settings import AwsKmsSettings
from vault.keys.provider import ProviderDescription

_PROBE = b"panless health"
_WINDOW_DAYS = 7  # the shortest that KMS offers
# Errors that may go away by themselves; so may whatever comes with a status of 5xx or 429.
_PASSING = {
    "DependencyTimeoutException",
    "KeyUnavailableException",
    "KMSInternalException",
    "LimitExceededException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_NO_CREDENTIALS = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound)
_NO_CONNECTION = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.CredentialRetrievalError)
# What the SDK's parser makes of an answer that is not one of KMS.
_ODD_ANSWER = (ResponseParserError, AttributeError, LookupError, TypeError, ValueError)
# The SDK would log requests and answers in full, plaintext included, at level DEBUG.
_LOGGERS = ("botocore", "aiobotocore")


class AwsKmsProvider:
    """Connects when it is first used."""

    def __init__(self, settings: AwsKmsSettings) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._settings = settings
        account = re.match(r"arn:[a-z-]+:kms:[a-z0-9-]+:([0-9]{12}):", settings.key)
        whose = account[1] if account else "[0-9]{12}"
        self._kek = re.compile(rf"arn:aws[a-z-]*:kms:{re.escape(settings.region)}:{whose}:key/[A-Za-z0-9-]+")
        self._lock = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def wrap(self, kek: str, key: bytes, context: bytes) -> bytes:
        self._check(kek)
        answer = await self._call("encrypt", kek, KeyId=kek, Plaintext=key, EncryptionContext=_bound_to(context))
        return _bytes(kek, answer.get("CiphertextBlob"))

    async def unwrap(self, kek: str, wrapped: bytes, context: bytes) -> bytes:
        self._check(kek)
        bound = _bound_to(context)
        answer = await self._call("decrypt", kek, KeyId=kek, CiphertextBlob=wrapped, EncryptionContext=bound)
        return _bytes(kek, answer.get("Plaintext"))

    async def health(self) -> None:
        bound = _bound_to(_PROBE)
        key = self._settings.key
        await self._call("encrypt", key, KeyId=key, Plaintext=bytes(32), EncryptionContext=bound)

    def describe(self) -> ProviderDescription:
        return ProviderDescription("aws-kms", f"{self._settings.key} in {self._settings.region}")

    def holds(self, kek: str) -> bool:
        return self._kek.fullmatch(kek) is not None

    async def newest(self) -> str:
        """Return the ARN of the key that is configured, or that the configured alias points to."""
        key = self._settings.key
        return self._fit(await self._call("describe_key", key, KeyId=key))

    async def make(self, tenant: str | None) -> str:
        """Make a tenant's key. It is tagged with the SHA-256 of the tenant, which the policy for using it can name."""
        if tenant is None:
            how = (
                "Make a new symmetric key in KMS and point the alias of [keys] key to it (aws kms update-alias), or "
                "set key to its ARN"
            )
            raise KekNotMade(provider="aws-kms", how=how)
        name = hashlib.sha256(tenant.encode()).hexdigest()[:16]
        made = await self._call(
            "create_key",
            "aws-kms",
            KeySpec="SYMMETRIC_DEFAULT",
            KeyUsage="ENCRYPT_DECRYPT",
            Description=f"Panless: KEK of tenant {name}",
            Tags=[{"TagKey": "panless-tenant", "TagValue": name}],
        )
        return self._fit(made)

    async def destroy(self, kek: str) -> None:
        """Let KMS delete a key after seven days; from now on it does nothing with it."""
        self._check(kek)
        described = await self._call("describe_key", kek, KeyId=kek)
        if described.get("KeyMetadata", {}).get("KeyState") == "PendingDeletion":
            return
        key_id = kek.partition(":key/")[2]  # KMS deletes keys of the caller's own account only
        await self._call("schedule_key_deletion", kek, KeyId=key_id, PendingWindowInDays=_WINDOW_DAYS)

    async def close(self) -> None:
        self._client = None
        await self._stack.aclose()

    async def _call(self, operation: str, kek: str, **arguments: Any) -> Mapping[str, Any]:
        """Make one call, with the SDK's own second try, in the time there is; raises KeyUnavailable."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer: Mapping[str, Any] = await getattr(await self._connected(), operation)(**arguments)
                return answer
        except TimeoutError:
            raise self._unavailable(f"no answer within {self._settings.timeout:g} seconds") from None
        except exceptions.ClientError as error:
            raise self._refused(kek, operation, error.response) from None
        except _NO_CREDENTIALS:
            raise KeyUnavailable(key=kek, reason="the AWS SDK finds no credentials") from None
        except (*_NO_CONNECTION, OSError) as error:
            raise self._unavailable(f"the connection failed ({type(error).__name__})") from None
        except _ODD_ANSWER:
            raise self._unavailable("its answer is not one of KMS") from None
        except exceptions.BotoCoreError as error:
            raise KeyUnavailable(key=kek, reason=f"the AWS SDK refuses to call ({type(error).__name__})") from None

    async def _connected(self) -> Any:
        async with self._lock:
            if self._client is None:
                timeout = self._settings.timeout
                config = AioConfig(
                    connect_timeout=timeout,
                    read_timeout=timeout,
                    retries={"total_max_attempts": 2, "mode": "standard"},
                )
                made = get_session().create_client(
                    "kms", region_name=self._settings.region, endpoint_url=self._settings.endpoint, config=config
                )
                self._client = await self._stack.enter_async_context(made)
            return self._client

    def _fit(self, answer: Mapping[str, Any]) -> str:
        metadata = answer.get("KeyMetadata", {})
        arn = str(metadata.get("Arn"))
        self._check(arn)
        if metadata.get("KeySpec") != "SYMMETRIC_DEFAULT":  # such keys have no other use than ENCRYPT_DECRYPT
            raise KeyUnavailable(key=arn, reason="it is not a symmetric key to encrypt and decrypt with")
        if metadata.get("KeyState") != "Enabled":
            raise KeyUnavailable(key=arn, reason="it is not enabled")
        return arn

    def _check(self, kek: str) -> None:
        if not self.holds(kek):
            raise KeyUnavailable(key=kek, reason=f"it is not the ARN of a key of {self._settings.region} and [keys]")

    def _refused(self, kek: str, operation: str, answer: Mapping[str, Any]) -> KeyUnavailable:
        """Tell by the code of an error, which is a word of the AWS documentation; its message is not read."""
        code = str(answer.get("Error", {}).get("Code", ""))
        code = code if re.fullmatch(r"[A-Za-z]{1,60}", code) else "unknown"
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _PASSING or status >= 500 or status == 429:
            return self._unavailable(code)
        if code in ("InvalidCiphertextException", "IncorrectKeyException"):
            return KeyUnavailable(key=kek, reason="it did not wrap this data key for this purpose")
        return KeyUnavailable(key=kek, reason=f"{operation} was refused ({code})")

    def _unavailable(self, reason: str) -> KeyProviderUnavailable:
        return KeyProviderUnavailable(provider=f"aws-kms in {self._settings.region}", reason=reason)


def _bound_to(context: bytes) -> dict[str, str]:
    return {"panless": base64.b64encode(context).decode()}


def _bytes(kek: str, found: object) -> bytes:
    if not isinstance(found, bytes) or not found:
        raise KeyUnavailable(key=kek, reason="the answer holds no key")
    return found
