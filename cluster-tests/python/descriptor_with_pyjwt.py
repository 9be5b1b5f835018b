"""Verifies a Connect Descriptor with PyJWT, and by hand what PyJWT leaves to its caller."""

import re

import jwt  # PyJWT 2.15.1 with its "crypto" extra

MAX_BYTES = 8192
MAX_LIFETIME_SECONDS = 120
LEEWAY_SECONDS = 5
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
CLAIMS = {
    int: ["iat", "nbf", "exp", "seq"],
    str: ["jti", "scope", "sub", "client_id", "client.id", "mcp.transport", "mcp.endpoint"]
    + ["mcp.server.id", "mcp.server.version"],
    bool: ["mcp.server.verified"],
}
ANSWERS = [
    (jwt.PyJWKClientConnectionError, 503, "keys_unavailable"),
    (jwt.InvalidAudienceError, 403, "descriptor_wrong_audience"),
    (jwt.ExpiredSignatureError, 401, "descriptor_expired"),
    (jwt.PyJWTError, 401, "descriptor_invalid"),
]


def verify(descriptor, keys, issuer, audience, server):
    """The claims of a descriptor for `server` at `audience`; anything else raises a `jwt.PyJWTError`.

    `keys` is one `jwt.PyJWKClient(url, lifespan=30, timeout=5)` for all calls.
    """
    claims = authentic(descriptor, "at+jwt", MAX_BYTES, keys, issuer=issuer, audience=audience)
    check_types(claims, CLAIMS)
    check_agreement(claims)
    if not 1 <= claims["exp"] - claims["iat"] <= MAX_LIFETIME_SECONDS:
        raise jwt.InvalidTokenError("its lifetime is out of range")
    if not 0 <= claims["seq"] < 2**53:
        raise jwt.InvalidTokenError("`seq` is out of range")
    if server is not None and claims["mcp"]["server"]["id"] != server:
        raise jwt.InvalidAudienceError("for another server behind the same endpoint")
    return claims


def authentic(statement, typ, max_bytes, keys, **expected):
    """The claims of a statement of one kind, once its signature, issuer, audience and times are right."""
    # Before anything is decoded, since it bounds the work of a stranger's text; and no padding, which anyone could add.
    if len(statement) > max_bytes or not COMPACT.fullmatch(statement):
        raise jwt.DecodeError("too long, or not three parts of base64url")
    header = jwt.get_unverified_header(statement)
    # The same keys sign other statements too. Of other members, none may change what the rest means.
    if header.keys() != {"alg", "typ", "kid"} or header["typ"] != typ:
        raise jwt.InvalidTokenError("the header is another one")
    key = keys.get_signing_key(header["kid"])
    options = {"strict_aud": True}
    return jwt.decode(statement, key, algorithms=["EdDSA"], leeway=LEEWAY_SECONDS, options=options, **expected)


def check_types(claims, paths_by_kind):
    for kind, paths in paths_by_kind.items():
        for path in paths:
            value = claim(claims, path)
            # Not `isinstance`, for which `True` is an integer.
            if type(value) is not kind or value == "":
                raise jwt.InvalidTokenError(f"claim `{path}` is malformed")


def claim(claims, path):
    for name in path.split("."):
        if not isinstance(claims, dict) or name not in claims:
            raise jwt.MissingRequiredClaimError(path)
        claims = claims[name]
    return claims


def check_agreement(claims):
    """Some facts stand twice, since OAuth looks for one name and MCP for another."""
    client, mcp = claims["client"]["id"], claims["mcp"]
    said = [claims["sub"], claims["client_id"], mcp["endpoint"], mcp["transport"]]
    if said != [f"client:{client}", client, claims["aud"], "streamable_http"]:
        raise jwt.InvalidTokenError("a claim contradicts another one")
    if "mcp:connect" not in claims["scope"].split(" "):
        raise jwt.InvalidTokenError("the scope lacks `mcp:connect`")


def answer(error):
    """The HTTP status and the machine code to answer with; the error's own text is for the log."""
    return next((status, code) for kind, status, code in ANSWERS if isinstance(error, kind))
