"""Verifies messages of the revocation feed with PyJWT, and keeps what they have killed."""

import base64
import hashlib
import re

import jwt

from descriptor_with_pyjwt import authentic, check_types

MAX_BYTES = 4 * 1024 * 1024
MAX_LIFETIME_SECONDS = 10
INDEX = 2**40
CLAIMS = {
    int: ["iat", "exp", "incarnation", "seq", "since"],
    bool: ["full"],
    dict: ["min_seq"],
    list: ["revoked_keys"],
}
SHA_256 = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def verify_message(message, keys, issuer, floors):
    """The claims of a message; anything else raises a `jwt.PyJWTError`."""
    claims = authentic(message, "mcp-revocations+jwt", MAX_BYTES, keys, issuer=issuer)
    # Whoever stole such a key could bring back to life what is dead, by a higher incarnation.
    if jwt.get_unverified_header(message)["kid"] in floors.revoked_keys:
        raise jwt.InvalidTokenError("its key is revoked")
    check_types(claims, CLAIMS)
    if not all(map(is_position, [claims["seq"], claims["since"], *claims["min_seq"].values()])):
        raise jwt.InvalidTokenError("a position is malformed")
    if not all(map(SHA_256.fullmatch, claims["min_seq"])):
        raise jwt.InvalidTokenError("a subject is no hash")
    if not all(type(kid) is str for kid in claims["revoked_keys"]):
        raise jwt.InvalidTokenError("a `kid` is no text")
    if claims["incarnation"] != claims["seq"] // INDEX:
        raise jwt.InvalidTokenError("`incarnation` is not that of `seq`")
    if not 1 <= claims["exp"] - claims["iat"] <= MAX_LIFETIME_SECONDS:
        raise jwt.InvalidTokenError("its lifetime is out of range")
    return claims


def is_position(value):
    return type(value) is int and 0 <= value < 2**53


def subject_hash(issuer, kind, name):
    digest = hashlib.sha256(f"{issuer}\0{kind}/{name}".encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def subjects(claims):
    """The hashes of all subjects that a descriptor concerns, with their kinds."""
    server, client = claims["mcp"]["server"], claims["client"]
    names = [
        ("server", server["id"]),
        ("version", f"{server['id']}@{server['version']}"),
        ("namespace", server["id"].split("/")[0]),
        ("client", client["id"]),
    ]
    if client.get("tenant"):
        names.append(("tenant", client["tenant"]))
    return {subject_hash(claims["iss"], kind, name): kind for kind, name in names}


class Floors:
    """What all messages so far have killed. Floors only rise, whichever node says so and in whatever order."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.min_seq = {}
        self.revoked_keys = set()
        # `seq` and `iat` of the newest message, and the index up to which nothing is missing.
        self.newest = (0, 0)
        self.cursor = 0

    def merge(self, message):
        """Takes over a verified message. Whether it fits: if so, and if it answers a question, the feed is as old as that
        question at the most."""
        incarnation = self.newest[0] // INDEX
        if message["incarnation"] < incarnation:
            return False
        # A restored cluster has another history.
        if message["incarnation"] > incarnation:
            self.clear()
        for subject, floor in message["min_seq"].items():
            self.min_seq[subject] = max(floor, self.min_seq.get(subject, 0))
        self.revoked_keys.update(message["revoked_keys"])
        place = (message["seq"], message["iat"])
        if place < self.newest:
            return False
        self.newest = place
        if not message["full"] and message["since"] > self.cursor:
            return False
        self.cursor = message["seq"] % INDEX
        return True

    def why_dead(self, claims, kid):
        """What a verified descriptor died of, or `None`."""
        if kid in self.revoked_keys:
            return "key"
        kinds = (kind for subject, kind in subjects(claims).items() if claims["seq"] < self.min_seq.get(subject, 0))
        return next(kinds, None)
