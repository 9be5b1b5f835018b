"""Verifies a descriptor with PyJWT and with joserfc, which share no code with the signer nor with each other.

Each library must accept the descriptor as it is, and refuse it with another payload and for another audience, each for
that very reason.
"""

import argparse
import base64
import json
import urllib.request
import warnings

import joserfc.errors
import joserfc.jwk
import joserfc.jwt
import jwt

# RFC 9864 renames `EdDSA`; most verifiers know only that name yet, so that it is what a node signs with.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")

CLAIMS = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "client_id", "scope", "mcp", "client", "seq"]


def with_pyjwt(descriptor, options, audience):
    key = jwt.PyJWKClient(options.jwks).get_signing_key_from_jwt(descriptor)
    required = {"require": CLAIMS}
    return jwt.decode(
        descriptor, key, algorithms=["EdDSA"], audience=audience, issuer=options.issuer, options=required
    )


def with_joserfc(descriptor, options, audience):
    with urllib.request.urlopen(options.jwks, timeout=10) as answer:
        keys = joserfc.jwk.KeySet.import_key_set(json.load(answer))
    token = joserfc.jwt.decode(descriptor, keys, algorithms=["EdDSA"])
    rules = {claim: {"essential": True} for claim in CLAIMS}
    rules["iss"]["value"] = options.issuer
    rules["aud"]["value"] = audience
    joserfc.jwt.JWTClaimsRegistry(**rules).validate(token.claims)
    return token.claims


LIBRARIES = {
    "PyJWT": (with_pyjwt, jwt.InvalidSignatureError, jwt.InvalidAudienceError),
    "joserfc": (with_joserfc, joserfc.errors.BadSignatureError, joserfc.errors.InvalidClaimError),
}


def for_another_server(descriptor):
    """The same header and signature around a payload that names another server."""
    header, payload, signature = descriptor.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["mcp"]["server"]["id"] = "com.attacker/server"
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"{header}.{payload}.{signature}"


def refused(verify, error, *arguments):
    try:
        verify(*arguments)
    except error:
        return True
    return False


def problems(name, options):
    verify, bad_signature, bad_audience = LIBRARIES[name]
    verify(options.descriptor, options, options.audience)
    if not refused(verify, bad_signature, for_another_server(options.descriptor), options, options.audience):
        yield f"{name} accepts another payload under the same signature"
    if not refused(verify, bad_audience, options.descriptor, options, options.audience + "/other"):
        yield f"{name} accepts the descriptor for another audience"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jwks", required=True, help="URL of the key set")
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--audience", required=True)
    parser.add_argument("--descriptor", required=True)
    options = parser.parse_args()
    found = [problem for name in LIBRARIES for problem in problems(name, options)]
    if found:
        raise SystemExit("; ".join(found))
    print(f"descriptor: accepted, and refused when altered or for another audience, by {' and '.join(LIBRARIES)}")


if __name__ == "__main__":
    main()
