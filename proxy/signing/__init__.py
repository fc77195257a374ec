"""Signed requests: the application's signature is verified, and the changed request is signed for the gateway. Pure.

One module per scheme, each with a `Scheme` of proxy.signing.scheme. Structured fields (RFC 8941) and JWS are read by
code of this package: libraries take the last of two equal labels or claims, and write JSON anew, where this one
refuses duplicates and keeps the bytes.
"""
