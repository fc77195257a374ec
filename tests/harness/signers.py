"""Requests signed by hand, scheme by scheme: nothing of the code under test makes these signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac

from proxy.signing.scheme import SignedRequest

APP, GATEWAY = b"the application's secret", b"the gateway's secret"
NOW = 1_800_000_000
BODY = b'{"card": {"number": "tok_x"}}'


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def mac(key: bytes, data: bytes | str, algorithm: str = "sha256") -> bytes:
    return hmac.new(key, data.encode() if isinstance(data, str) else data, algorithm).digest()


def md5(body: bytes) -> str:
    return b64(hashlib.md5(body, usedforsecurity=False).digest())


def rfc3230(body: bytes, algorithm: str = "SHA-256") -> str:
    return f"{algorithm}={b64(hashlib.new(algorithm.replace('-', '').lower(), body).digest())}"


def rfc9530(body: bytes, algorithm: str = "sha-256") -> str:
    return f"{algorithm}=:{b64(hashlib.new(algorithm.replace('-', ''), body).digest())}:"


def request(
    headers=(), body: bytes = BODY, target: str = "/gateway/charges?a=1", method: str = "POST"
) -> SignedRequest:
    return SignedRequest(method, "http", target, (("Host", "panless.example:8081"), *headers), body)


def cavage(
    key: bytes = APP,
    names: str = "(request-target) (created) host digest",
    *,
    created: int = NOW,
    body: bytes = BODY,
    more: tuple[tuple[str, str], ...] = (),
    algorithm: str = "hs2019",
    extra: str = "",
    carrier: str = "Signature",
    target: str = "/gateway/charges?a=1",
    host: str = "panless.example:8081",
    key_id: str = "app-key",
) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request of section 2 of the draft."""
    headers = (("Digest", rfc3230(body)), *more)
    have = {name.lower(): value for name, value in headers} | {"host": host, "(created)": str(created)}
    have["(request-target)"] = f"post {target}"
    have["(expires)"] = extra.partition("expires=")[2].partition(",")[0]
    signature = b64(mac(key, "\n".join(f"{name}: {have[name]}" for name in names.split(" "))))
    times = f",created={created}" if "(created)" in names else ""
    value = f'keyId="{key_id}",algorithm="{algorithm}"{times}{extra},headers="{names}",signature="{signature}"'
    return (*headers, (carrier, f"Signature {value}" if carrier == "Authorization" else value))


def rfc9421(
    key: bytes = APP,
    names: tuple[str, ...] = ("@method", "@authority", "@target-uri", "@path", "@query", "content-digest"),
    *,
    parameters: str = f';created={NOW};keyid="app-key";alg="hmac-sha256";nonce="n";tag="t"',
    body: bytes = BODY,
    more: tuple[tuple[str, str], ...] = (),
    label: str = "sig1",
    host: str = "panless.example:8081",
    target: str = "/gateway/charges?a=1",
    scheme: str = "http",
) -> tuple[tuple[str, str], ...]:
    headers = (("Content-Digest", rfc9530(body)), *more)
    path, _, query = target.partition("?")
    have = {name.lower(): value for name, value in headers} | {
        "host": host,
        "@method": "POST",
        "@authority": host,
        "@scheme": scheme,
        "@target-uri": f"{scheme}://{host}{target}",
        "@request-target": target,
        "@path": path,
        "@query": f"?{query}",
    }
    written = "(" + " ".join(f'"{name}"' for name in names) + ")" + parameters
    lines = [f'"{name}": {have.get(name, "")}' for name in names]
    signature = b64(mac(key, "\n".join([*lines, f'"@signature-params": {written}'])))
    return (*headers, ("Signature-Input", f"{label}={written}"), ("Signature", f"{label}=:{signature}:"))


def jws(key: bytes, header: str, payload: str, algorithm: str = "sha256") -> str:
    signed = f"{b64url(header.encode())}.{b64url(payload.encode())}"
    return f"{signed}.{b64url(mac(key, signed, algorithm))}"


def jwt(
    key: bytes = APP,
    *,
    claims: str | None = None,
    header: str = '{"typ":"JWT", "kid":"app-key","alg":"HS256"}',
    body: bytes = BODY,
) -> tuple[tuple[str, str], ...]:
    digest = hashlib.sha256(body).hexdigest()
    payload = claims if claims is not None else f'{{"iss":"shop",\n "amount": 1.10, "digest":"{digest}","iat":{NOW}}}'
    return (("Authorization", f"Bearer {jws(key, header, payload)}"),)


def decoded(token: str) -> tuple[bytes, bytes]:
    header, payload, _ = token.removeprefix("Bearer ").split(".")
    return tuple(base64.urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in (header, payload))


def parts(key: bytes = APP, *, body: bytes = BODY, time: int = NOW, target: str = "/gateway/charges?a=1"):
    """The scheme PARTS."""
    data = f"POST\n{target}\n{time}\n".encode() + body
    return (("X-Key", "app-key"), ("X-Time", str(time)), ("X-Signature", f"v1={mac(key, data).hex()}"))


PARTS = ("method", "text:\n", "target", "text:\n", "header:x-time", "text:\n", "body")
