"""Examples of the documents that define the schemes."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from proxy.errors import DigestMismatch, DigestUnsupported, SignatureExpired
from proxy.signing import digests
from proxy.signing.cavage import Cavage
from proxy.signing.jwt import JsonWebSignature
from proxy.signing.macs import Secrets
from proxy.signing.rfc9421 import MessageSignature
from proxy.signing.scheme import SignedRequest
from tests.harness.signers import b64, md5

HELLO = b'{"hello": "world"}'

# RFC 9421, appendix B.1.5 and B.2.5
RFC9421_KEY = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)
RFC9421 = SignedRequest(
    "POST",
    "https",
    "/foo?param=Value&Pet=dog",
    (
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ),
        ("Content-Length", "18"),
        (
            "Signature-Input",
            'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
        ),
        ("Signature", "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"),
    ),
    HELLO,
)


def test_rfc_9421_b25():
    scheme = MessageSignature(Secrets(RFC9421_KEY, RFC9421_KEY))
    assert scheme.key_id(RFC9421) == "test-shared-secret"
    scheme.verify(RFC9421, 1618884480, cover_body=False)
    assert scheme.sign(RFC9421, RFC9421) == RFC9421.headers
    with pytest.raises(SignatureExpired):
        scheme.verify(RFC9421, 1618884473 + 301, cover_body=False)


# RFC 7515, appendix A.1
RFC7515_KEY = base64.urlsafe_b64decode(
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
)
RFC7515 = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)


def test_rfc_7515_a1():
    scheme = JsonWebSignature(Secrets(RFC7515_KEY, RFC7515_KEY))
    request = SignedRequest("POST", "https", "/", (("Host", "a"), ("Authorization", f"Bearer {RFC7515}")), b"")
    scheme.verify(request, 1300819379, cover_body=False)
    assert scheme.sign(request, request) == request.headers
    with pytest.raises(SignatureExpired):
        scheme.verify(request, 1300819380, cover_body=False)


# draft-cavage-http-signatures-12, appendix C: its request and signature strings; its keys are RSA, so the key is ours.
CAVAGE_KEY = b"a key of our own"
CAVAGE = (
    ("Host", "example.com"),
    ("Date", "Sun, 05 Jan 2014 21:31:40 GMT"),
    ("Content-Type", "application/json"),
    ("Digest", "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
    ("Content-Length", "18"),
)
CAVAGE_BASES = {
    "date": "date: Sun, 05 Jan 2014 21:31:40 GMT",
    "(request-target) host date": (
        "(request-target): post /foo?param=value&pet=dog\nhost: example.com\ndate: Sun, 05 Jan 2014 21:31:40 GMT"
    ),
    "(request-target) (created) (expires) host date content-type digest content-length": (
        "(request-target): post /foo?param=value&pet=dog\n"
        "(created): 1402170695\n"
        "(expires): 1402170699\n"
        "host: example.com\n"
        "date: Sun, 05 Jan 2014 21:31:40 GMT\n"
        "content-type: application/json\n"
        "digest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=\n"
        "content-length: 18"
    ),
}


@pytest.mark.parametrize("names", CAVAGE_BASES)
@pytest.mark.parametrize("carrier", ["Signature", "Authorization"])
def test_cavage_appendix_c(names, carrier):
    scheme = Cavage(Secrets(CAVAGE_KEY, CAVAGE_KEY), max_age=0)
    signature = b64(hmac.new(CAVAGE_KEY, CAVAGE_BASES[names].encode(), hashlib.sha256).digest())
    value = f'keyId="Test",algorithm="hs2019",created=1402170695, expires=1402170699,headers="{names}",'
    value = f'{"Signature " if carrier == "Authorization" else ""}{value}signature="{signature}"'
    request = SignedRequest("POST", "https", "/foo?param=value&pet=dog", (*CAVAGE, (carrier, value)), HELLO)
    scheme.verify(request, 1402170698, cover_body="digest" in names)
    assert scheme.sign(request, request) == request.headers
    with pytest.raises(SignatureExpired):
        scheme.verify(request, 1402170699, cover_body=False)


# RFC 9530, appendix D: the content {"hello": "world"} and a line feed
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Digest", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"),
        (
            "Repr-Digest",
            "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
        ),
        ("Digest", "sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="),
    ],
)
def test_rfc_9530_digests(name, value):
    body = HELLO + b"\n"
    digests.check(((name, value),), body)
    with pytest.raises(DigestMismatch):
        digests.check(((name, value),), HELLO)
    ((_, changed),) = digests.renewed(((name, value),), body, b"other")
    digests.check(((name, changed),), b"other")
    assert changed.split("=")[0] == value.split("=")[0]


def test_digests_of_several_algorithms_are_renewed_in_their_places():
    old, new = b"old", b"new"
    written = "MD5={}, SHA-512={} ,SHA={}"
    names = ("md5", "sha512", "sha1")
    value, expected = (
        written.format(*(b64(hashlib.new(each, body).digest()) for each in names)) for body in (old, new)
    )
    headers = (("Digest", value), ("X-Other", "Digest"), ("Content-MD5", md5(old)))
    assert digests.renewed(headers, old, new) == (
        ("Digest", expected),
        ("X-Other", "Digest"),
        ("Content-MD5", md5(new)),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Digest", "crc32c=AAAAAA=="),
        ("Digest", "id-sha-256=AAAA"),
        ("Digest", ""),
        ("Digest", "SHA-256=:AAAA:"),
        ("Digest", "SHA-256=AAAA,"),
        ("Content-Digest", "sha-256=AAAA"),
        ("Content-Digest", "unixsum=:AAAA:"),
        ("Content-Digest", "sha-256=:AAAA:;q=1"),
        ("Content-MD5", "no base64!"),
    ],
)
def test_digests_that_cannot_be_made_anew_are_refused(name, value):
    with pytest.raises(DigestUnsupported):
        digests.check(((name, value),), b"x")
