"""Each scheme: what is right passes and is signed anew, and each thing that is wrong is refused for what it is."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import (
    DigestMismatch,
    RequestError,
    SignatureExpired,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
    SignatureUncovered,
    SignatureUnsupported,
)
from proxy.signing.cavage import Cavage
from proxy.signing.jwt import JsonWebSignature
from proxy.signing.macs import Secrets
from proxy.signing.parts import HmacOfParts
from proxy.signing.rfc9421 import MessageSignature
from proxy.signing.scheme import HoldsKey, SignedRequest
from tests.harness import signers
from tests.harness.signers import APP, BODY, GATEWAY, NOW, PARTS, cavage, jwt, parts, request, rfc9421

SECRETS = Secrets(APP, GATEWAY, "gateway-key")
SCHEMES = {
    "cavage": (Cavage(SECRETS), cavage),
    "rfc9421": (MessageSignature(SECRETS), rfc9421),
    "jwt": (JsonWebSignature(SECRETS, claim="digest"), jwt),
    "hmac": (
        HmacOfParts(SECRETS, "X-Signature", PARTS, prefix="v1=", timestamp="X-Time", key_header="X-Key"),
        parts,
    ),
}
scheme_of = {name: scheme for name, (scheme, _) in SCHEMES.items()}


def refusal(scheme: str, headers, body: bytes = BODY, now: float = NOW, cover_body: bool = True, **options):
    with pytest.raises(RequestError) as caught:
        scheme_of[scheme].verify(request(headers, body, **options), now, cover_body=cover_body)
    return type(caught.value)


@pytest.mark.parametrize("name", SCHEMES)
def test_right_signature_passes_and_names_its_key(name):
    scheme, signed = SCHEMES[name]
    scheme.verify(request(signed()), NOW, cover_body=True)
    assert scheme.key_id(request(signed())) == "app-key"


@pytest.mark.parametrize("name", SCHEMES)
def test_wrong_secret_is_refused(name):
    _, signed = SCHEMES[name]
    assert refusal(name, signed(GATEWAY)) is SignatureInvalid


@pytest.mark.parametrize("name", SCHEMES)
def test_missing_signature_is_refused(name):
    assert refusal(name, ()) is SignatureMissing


@pytest.mark.parametrize("name", SCHEMES)
def test_other_body_is_refused(name):
    _, signed = SCHEMES[name]
    expected = SignatureInvalid if name == "hmac" else DigestMismatch
    assert refusal(name, signed(), BODY + b" ") is expected


@pytest.mark.parametrize("name", ["cavage", "rfc9421", "hmac"])
def test_other_path_and_query_are_refused(name):
    _, signed = SCHEMES[name]
    assert refusal(name, signed(), target="/gateway/refunds?a=1") is SignatureInvalid
    assert refusal(name, signed(), target="/gateway/charges?a=2") is SignatureInvalid
    assert refusal(name, signed(), method="PUT") is SignatureInvalid


@pytest.mark.parametrize("name", SCHEMES)
def test_old_and_future_signatures_are_refused_and_zero_takes_them(name):
    scheme, signed = SCHEMES[name]
    assert refusal(name, signed(), now=NOW + 301) is SignatureExpired
    assert refusal(name, signed(), now=NOW - 31) is SignatureExpired
    scheme.verify(request(signed()), NOW + 300, cover_body=True)
    scheme.verify(request(signed()), NOW - 30, cover_body=True)
    ageless = {
        "cavage": Cavage(SECRETS, 0),
        "rfc9421": MessageSignature(SECRETS, 0),
        "jwt": JsonWebSignature(SECRETS, 0, claim="digest"),
        "hmac": HmacOfParts(SECRETS, "X-Signature", PARTS, 0, prefix="v1=", timestamp="X-Time"),
    }[name]
    ageless.verify(request(signed()), NOW + 10**6, cover_body=True)


@pytest.mark.parametrize("name", SCHEMES)
def test_signature_header_twice_is_refused(name):
    _, signed = SCHEMES[name]
    headers = signed()
    assert refusal(name, (*headers, headers[-1])) is SignatureMalformed


@pytest.mark.parametrize(("name", "header"), [("cavage", "Digest"), ("rfc9421", "Content-Digest"), ("hmac", "X-Time")])
def test_covered_header_twice_is_refused(name, header):
    _, signed = SCHEMES[name]
    headers = signed()
    twice = next(each for each in headers if each[0] == header)
    assert refusal(name, (*headers, twice)) is SignatureMalformed


@pytest.mark.parametrize("name", SCHEMES)
def test_what_is_signed_anew_is_what_the_gateway_gets(name):
    scheme, signed = SCHEMES[name]
    body = b'{"card": {"number": "4242424242424242"}}'
    goes = SignedRequest("POST", "http", "/v1/charges?a=1", (("Host", "api.example"), *signed(body=body)), body)
    got = dict(scheme.sign(request(signed()), goes))
    expected = {
        "cavage": lambda: cavage(
            GATEWAY, body=body, target="/v1/charges?a=1", host="api.example", key_id="gateway-key"
        ),
        "rfc9421": lambda: rfc9421(
            GATEWAY,
            body=body,
            target="/v1/charges?a=1",
            host="api.example",
            parameters=f';created={NOW};keyid="gateway-key";alg="hmac-sha256";nonce="n";tag="t"',
        ),
        "jwt": lambda: jwt(GATEWAY, body=body, header='{"typ":"JWT", "kid":"gateway-key","alg":"HS256"}'),
        "hmac": lambda: parts(GATEWAY, body=body, target="/v1/charges?a=1"),
    }[name]()
    expected = dict(expected) | ({"X-Key": "gateway-key"} if name == "hmac" else {})
    assert got == {"Host": "api.example"} | expected


@pytest.mark.parametrize("name", SCHEMES)
def test_key_id_stays_without_one_for_the_gateway(name):
    _, signed = SCHEMES[name]
    kept = {
        "cavage": Cavage(Secrets(APP, APP)),
        "rfc9421": MessageSignature(Secrets(APP, APP)),
        "jwt": JsonWebSignature(Secrets(APP, APP), claim="digest"),
        "hmac": HmacOfParts(Secrets(APP, APP), "X-Signature", PARTS, prefix="v1=", key_header="X-Key"),
    }[name]
    came = request(signed())
    assert kept.sign(came, came) == came.headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (cavage(names="(request-target) (created) host"), SignatureUncovered),
        (cavage(names="host digest", algorithm="rsa-sha256"), SignatureUnsupported),
        (cavage(names="(created) digest", algorithm="hmac-sha256"), SignatureUnsupported),
        (cavage(names="host digest digest"), SignatureMalformed),
        (cavage(names="host digest", extra=f",expires={NOW}"), SignatureExpired),
        (cavage(names="host digest", extra=',keyId="again"'), SignatureMalformed),
        (cavage(names="host digest", extra=',created="5"'), SignatureMalformed),
        (cavage(names="(created) digest", extra=",expires=x"), SignatureMalformed),
        ((*cavage(), *cavage(carrier="Authorization")[1:]), SignatureMalformed),
        ((("Signature", 'keyId="a",signature="b",headers="x-not-there"'),), SignatureInvalid),
        ((("Signature", 'keyId="a",signature="b",headers="(other)"'),), SignatureUnsupported),
        ((("Signature", 'keyId="a",signature="b",headers=""'),), SignatureInvalid),
        ((("Signature", 'keyId="a",signature="b"'),), SignatureMalformed),
        ((("Signature", 'signature="b"'),), SignatureMalformed),
        ((("Signature", ""),), SignatureMalformed),
        ((("Authorization", "Bearer x"),), SignatureMissing),
    ],
)
def test_cavage_refusals(headers, expected):
    assert refusal("cavage", headers) is expected


def test_cavage_checks_a_covered_date():
    date = (("Date", "Fri, 15 Jan 2027 08:00:00 GMT"),)
    headers = cavage(names="date digest", more=date, algorithm="hmac-sha256", carrier="Authorization")
    scheme_of["cavage"].verify(request(headers), NOW, cover_body=True)
    assert refusal("cavage", headers, now=NOW + 301) is SignatureExpired
    assert refusal("cavage", cavage(names="date digest", more=(("Date", "soon"),))) is SignatureMalformed


def test_cavage_weak_digest_does_not_stand_for_the_body():
    weak = (("Digest", f"MD5={signers.md5(BODY)}"),)
    signed = cavage(names="host digest", more=weak)[1:]
    assert refusal("cavage", signed) is SignatureUncovered
    scheme_of["cavage"].verify(request(signed), NOW, cover_body=False)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (rfc9421(names=("@method", "@path")), SignatureUncovered),
        (rfc9421(names=()), SignatureUncovered),
        (rfc9421(parameters=';alg="rsa-pss-sha512"'), SignatureUnsupported),
        (rfc9421(names=("@query-param", "content-digest")), SignatureUnsupported),
        (rfc9421(names=("Content-Digest",)), SignatureUnsupported),
        (rfc9421(names=("content-digest", "content-digest")), SignatureMalformed),
        (rfc9421(names=("x-not-there",)), SignatureInvalid),
        (rfc9421(names=("signature-input",)), SignatureUnsupported),
        (rfc9421(parameters=f";expires={NOW}"), SignatureExpired),
        (rfc9421(parameters=";created=1;created=2"), SignatureMalformed),
        (rfc9421(parameters=';created="1"'), SignatureMalformed),
        (rfc9421(parameters=";keyid=1.5"), SignatureMalformed),
        ((("Signature-Input", 'a=("@path";req)'), ("Signature", "a=:AAAA:")), SignatureUnsupported),
        ((("Signature-Input", "a=(), b=()"), ("Signature", "a=:AAAA:, b=:AAAA:")), SignatureMalformed),
        ((("Signature-Input", "a=(), a=()"), ("Signature", "a=:AAAA:")), SignatureMalformed),
        ((("Signature-Input", "a=()"), ("Signature", "a=:AAAA:, a=:AAAA:")), SignatureMalformed),
        ((("Signature-Input", "a=()"), ("Signature", "b=:AAAA:")), SignatureMalformed),
        ((("Signature-Input", "a=()"),), SignatureMissing),
        ((("Signature", "a=:AAAA:"),), SignatureMissing),
    ],
)
def test_rfc9421_refusals(headers, expected):
    assert refusal("rfc9421", headers) is expected


def test_rfc9421_label_chooses_one_signature_and_leaves_the_others():
    scheme = MessageSignature(SECRETS, label="mine")
    (digest, ours, value), (_, theirs, other) = rfc9421(label="mine"), rfc9421(GATEWAY, label="theirs")
    headers = (
        digest,
        ("Signature-Input", f"{theirs[1]}, {ours[1]}"),
        ("Signature", f"{other[1]},{value[1]}"),
    )
    scheme.verify(request(headers), NOW, cover_body=True)
    signed = dict(scheme.sign(request(headers), request(headers)))
    assert signed["Signature"].startswith(f"{other[1]},mine=:")
    assert signed["Signature-Input"].startswith(f"{theirs[1]}, mine=(")
    assert refusal("rfc9421", headers) is SignatureMalformed
    with pytest.raises(SignatureMissing):
        scheme.verify(request(rfc9421(label="theirs")), NOW, cover_body=True)


def test_rfc9421_authority_is_without_the_default_port_and_in_lower_case():
    headers = rfc9421(host="panless.example")
    came = SignedRequest("POST", "http", "/gateway/charges?a=1", (("Host", "Panless.Example:80"), *headers), BODY)
    scheme_of["rfc9421"].verify(came, NOW, cover_body=True)


_DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (jwt(claims='{"iss":"shop"}'), SignatureUncovered),
        (jwt(claims=f'{{"digest":"{"0" * 64}"}}'), DigestMismatch),
        (jwt(claims='{"digest":1}'), DigestMismatch),
        (jwt(claims=f'{{"digest":"{_DIGEST}","digest":"{_DIGEST}"}}'), SignatureMalformed),
        (jwt(claims=f'{{"digest":"{_DIGEST}","exp":{NOW}}}'), SignatureExpired),
        (jwt(claims=f'{{"digest":"{_DIGEST}","nbf":{NOW + 31}}}'), SignatureExpired),
        (jwt(claims=f'{{"digest":"{_DIGEST}","exp":"x"}}'), SignatureMalformed),
        (jwt(claims=f'{{"digest":"{_DIGEST}","exp":true}}'), SignatureMalformed),
        (jwt(claims=f'{{"digest":"{_DIGEST}","exp":1e999}}'), SignatureMalformed),
        (jwt(claims=f'{{"digest":"{_DIGEST}","exp":1{"0" * 400}}}'), SignatureMalformed),
        (jwt(claims=f'{{"digest":"{_DIGEST}","exp":NaN}}'), SignatureMalformed),
        (jwt(claims="[" * 100_000), SignatureMalformed),
        (jwt(claims="[]"), SignatureMalformed),
        (jwt(header='{"alg":"none"}'), SignatureUnsupported),
        (jwt(header='{"alg":"HS512"}'), SignatureUnsupported),
        (jwt(header='{"alg":"HS256","crit":["exp"]}'), SignatureUnsupported),
        (jwt(header='{"alg":"HS256","alg":"HS256"}'), SignatureMalformed),
        (jwt(header="{}"), SignatureUnsupported),
        ((("Authorization", "Bearer a.b"),), SignatureMalformed),
        ((("Authorization", "Bearer \u00e9.b.c"),), SignatureMalformed),
        ((("Authorization", "Basic a.b.c"),), SignatureMissing),
    ],
)
def test_jwt_refusals(headers, expected):
    assert refusal("jwt", headers) is expected


@pytest.mark.parametrize(("algorithm", "name"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_jwt_in_a_header_of_its_own_with_every_algorithm_and_encoding(algorithm, name):
    digest = signers.b64url(hashlib.sha512(BODY).digest())
    token = signers.jws(APP, f'{{"alg":"{algorithm}"}}', f'{{"p":{{"b":2}},"body hash":"{digest}"}}', name)
    scheme = JsonWebSignature(SECRETS, 300, algorithm, "X-JWS-Signature", "body hash", "sha512", "base64url")
    scheme.verify(request((("X-JWS-Signature", token),)), NOW, cover_body=True)
    goes = request((("X-JWS-Signature", token),), b"new")
    (_, (_, signed)) = scheme.sign(request((("X-JWS-Signature", token),)), goes)
    expected = signers.b64url(hashlib.sha512(b"new").digest())
    assert signers.decoded(signed)[1] == f'{{"p":{{"b":2}},"body hash":"{expected}"}}'.encode()
    assert signed == signers.jws(
        GATEWAY, f'{{"alg":"{algorithm}"}}', f'{{"p":{{"b":2}},"body hash":"{expected}"}}', name
    )


@pytest.mark.parametrize("payload", ["e31", "e30=", "e3 0", "e3+0"])
def test_jws_in_another_spelling_of_base64url_is_refused(payload):
    signed = signers.b64url(b'{"alg":"HS256"}') + f".{payload}"
    value = f"{signed}.{signers.b64url(signers.mac(APP, signed))}"
    assert refusal("jwt", (("Authorization", f"Bearer {value}"),), cover_body=False) is SignatureMalformed


@pytest.mark.parametrize("header", ['{"alg":"HS256","kid":"plk_x"}', '{"alg":"HS256"}'])
def test_jwt_takes_no_panless_key_to_the_gateway(header):
    scheme = JsonWebSignature(Secrets(APP, GATEWAY), claim="digest")
    came = request(jwt(header=header, claims='{"iss":"plk_x"}' if "kid" not in header else None))
    with pytest.raises(HoldsKey):
        scheme.sign(came, came)


@pytest.mark.parametrize("encoding", ["hex", "hex-upper", "base64", "base64url"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_hmac_encodings_and_digest_parts(encoding, algorithm):
    scheme = HmacOfParts(SECRETS, "X-S", ("path", "text:|", "query", "text:|", "body-sha512"), 300, algorithm, encoding)
    raw = signers.mac(APP, f"/gateway/charges|a=1|{hashlib.sha512(BODY).hexdigest()}", algorithm)
    value = {
        "hex": raw.hex(),
        "hex-upper": raw.hex().upper(),
        "base64": signers.b64(raw),
        "base64url": signers.b64url(raw),
    }[encoding]
    scheme.verify(request((("X-S", value),)), NOW, cover_body=True)
    with pytest.raises(SignatureInvalid):
        scheme.verify(request((("X-S", value.swapcase()),)), NOW, cover_body=True)


def test_hmac_that_covers_no_body_is_refused():
    scheme = HmacOfParts(SECRETS, "X-S", ("path",))
    value = signers.mac(APP, "/gateway/charges").hex()
    scheme.verify(request((("X-S", value),)), NOW, cover_body=False)
    with pytest.raises(SignatureUncovered):
        scheme.verify(request((("X-S", value),)), NOW, cover_body=True)


def test_hmac_time_in_milliseconds_or_none():
    assert refusal("hmac", parts(time=NOW * 1000 - 301_000)) is SignatureExpired
    scheme_of["hmac"].verify(request(parts(time=NOW * 1000)), NOW, cover_body=True)
    assert refusal("hmac", parts(time="soon")) is SignatureMalformed  # type: ignore[arg-type]


def test_secrets_are_shown_nowhere():
    for scheme in scheme_of.values():
        assert "secret" not in repr(scheme).replace("secrets=Secrets(", "")


HEADER_NAMES = ("Signature", "Signature-Input", "Authorization", "X-Signature", "X-Time", "X-Key", "Digest", "Host")
_fragments = st.sampled_from(
    """keyId="a"~signature="b"~headers="host"~created=1~sig=()~sig=:AA==:~;~,~"~Signature ~Bearer ~e30~.~
    eyJhbGciOiJIUzI1NiJ9~(~)~SHA-256=~\\""".replace("\n    ", "").split("~")
)
_values = st.lists(_fragments | st.text(max_size=8), max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HEADER_NAMES), _values), max_size=6), st.sampled_from(sorted(SCHEMES)))
def test_any_headers_are_refused_with_an_error_of_ours(headers, name):
    came = SignedRequest("POST", "http", "/x", tuple(headers), BODY)
    with pytest.raises(RequestError):
        scheme_of[name].verify(came, NOW, cover_body=True)


@pytest.mark.parametrize("name", SCHEMES)
def test_one_flipped_bit_anywhere_is_refused(name):
    scheme, signed = SCHEMES[name]
    # The key id of a scheme that does not sign it is no part of what is protected; nor is an Authorization's scheme.
    headers = [each for each in signed() if each[0] != "X-Key"]
    for n, (header, value) in enumerate(headers):
        for bit in range(len(value) * 8):
            raw = bytearray(value.encode())
            raw[bit // 8] ^= 1 << bit % 8
            changed = [*headers[:n], (header, raw.decode("utf-8", "surrogateescape")), *headers[n + 1 :]]
            if _says_the_same(name, changed, headers):
                continue
            with pytest.raises(RequestError):
                scheme.verify(request(changed), NOW, cover_body=True)


def _says_the_same(name: str, changed, headers) -> bool:
    """Tell whether only what is not signed differs: a cavage key id, the name of `algorithm`, the case of names."""
    if name == "jwt":
        return changed[0][1][:7].lower() == "bearer " and changed[0][1][7:] == headers[0][1][7:]
    if name != "cavage" or changed[0] != headers[0]:
        return False
    texts = (re.sub(r'^keyId="[^"]*",[^=]*="hs2019"', "", every[1][1]) for every in (changed, headers))
    (names, _, value), (right_names, _, right_value) = (each.partition("signature=") for each in texts)
    return (names.lower(), value) == (right_names.lower(), right_value)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(BODY) * 8 - 1), st.sampled_from(sorted(SCHEMES)))
def test_one_flipped_bit_of_the_body_is_refused(bit, name):
    scheme, signed = SCHEMES[name]
    body = bytearray(BODY)
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RequestError):
        scheme.verify(request(signed(), bytes(body)), NOW, cover_body=True)
