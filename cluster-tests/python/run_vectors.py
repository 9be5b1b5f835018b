"""Runs the test vectors with PyJWT, as the README uses it and as `docs/verification.md` recommends.

Where PyJWT and the strict verifier differ stands in that page's tables, vector by vector. They are what this script
compares with, so that the page can say neither too much nor too little: a difference that is not listed fails, and so
does one that is listed and gone, a listed vector that is missing, and a page that shows other code or other claims.
"""

import argparse
import base64
import json
import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import jwt

import descriptor_with_pyjwt
from revocations_with_pyjwt import Floors, subject_hash, verify_message

HEADING = "## What stock libraries let pass"
LISTED = re.compile(r"\| (`[^|]+`) \| (open|closed) \| ")
ANSWERED = re.compile(r"\| (`[^|]+`) \| (\d{3}) `(\w+)` \| ")


# What the descriptor `honest` concerns.
SUBJECTS = {
    "server": "ai.acme/payments",
    "version": "ai.acme/payments@2.1.0",
    "namespace": "ai.acme",
    "client": "agent-7",
    "tenant": "acme",
}


class Published(jwt.PyJWKClient):
    """The key set of a vector, as if a node had published it."""

    def __init__(self, jwks):
        super().__init__("https://registry.acme.example/.well-known/jwks.json")
        self.jwks = jwks

    def fetch_data(self):
        return self.jwks


def as_in_the_readme(vector, keys):
    descriptor, expect = vector["descriptor"], vector["expect"]
    key = keys.get_signing_key_from_jwt(descriptor)
    return jwt.decode(descriptor, key, algorithms=["EdDSA"], issuer=expect["iss"], audience=expect["aud"])


def as_recommended(vector, keys):
    expect = vector["expect"]
    return descriptor_with_pyjwt.verify(
        vector["descriptor"], keys, expect["iss"], expect["aud"], expect.get("server")
    )


def as_message(vector, keys, floors=Floors()):
    return verify_message(vector["message"], keys, vector["expect"]["iss"], floors)


@contextmanager
def clock_of(vector):
    """PyJWT takes no instant; this is where it reads the clock."""
    with mock.patch.object(jwt.api_jwt, "datetime") as clock:
        clock.now.return_value.timestamp.return_value = vector["now"]
        yield


def verified(verify, vector):
    with clock_of(vector):
        return verify(vector, Published(vector["jwks"]))


def refusal(verify, vector):
    """The error with which a vector is refused, or `None`."""
    try:
        verified(verify, vector)
    except jwt.PyJWTError as error:
        return error
    except Exception as error:
        raise SystemExit(f"{vector['what']}: no error of PyJWT's: {error!r}") from error
    return None


class Vectors:
    """The vectors of a folder: what is to be accepted, and what is to be refused."""

    def __init__(self, folder):
        self.accept, self.reject = (read(folder / verdict) for verdict in ("accept", "reject"))
        if both := self.accept.keys() & self.reject.keys():
            raise SystemExit(f"{folder}: in both folders: {named(both)}")

    def differences(self, verify):
        refused = {name for name, vector in self.accept.items() if refusal(verify, vector)}
        return refused | {name for name, vector in self.reject.items() if not refusal(verify, vector)}

    def answers(self):
        """The answers of the recommended code that are not the strict verifier's, by vector."""
        errors = {name: refusal(as_recommended, vector) for name, vector in self.reject.items() if "code" in vector}
        answers = {name: descriptor_with_pyjwt.answer(error) for name, error in errors.items() if error}
        expected = {name: (vector["status"], vector["code"]) for name, vector in self.reject.items() if name in answers}
        return {name: answer for name, answer in answers.items() if answer != expected[name]}

    def count(self):
        return f"{len(self.accept)} to accept and {len(self.reject)} to refuse"


def read(folder):
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def names(cell):
    """The names in the cell of a table; `a_{1,2}` stands for `a_1` and `a_2`."""
    for name in re.findall(r"`([^`]+)`", cell):
        start, brace, rest = name.partition("{")
        inner, _, end = rest.partition("}")
        yield from (start + middle + end for middle in (inner.split(",") if brace else [""]))


def listed(tables):
    """What the page lists as a difference: of PyJWT as in the README, and what remains as recommended."""
    rows = [(name, state) for cell, state in LISTED.findall(tables) for name in names(cell)]
    if twice := [name for name, times in Counter(name for name, _ in rows).items() if times > 1]:
        raise SystemExit(f"listed twice: {named(twice)}")
    return {name for name, _ in rows}, {name for name, state in rows if state == "open"}


def answered(tables):
    rows = ANSWERED.findall(tables)
    return {name: (int(status), code) for cell, status, code in rows for name in names(cell)}


def set_problems(what, got, expected):
    if extra := got - expected:
        yield f"{what}: differs and is not listed: {named(extra)}"
    if missing := expected - got:
        yield f"{what}: listed and does not differ, or is no vector: {named(missing)}"


def named(some):
    return ", ".join(sorted(map(str, some)))


def decoded(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def page_problems(page, descriptors, messages):
    """What the page shows must be what the vectors hold, and the code that was run."""
    code = Path(descriptor_with_pyjwt.__file__).read_text()
    if f"```python\n{code}```" not in page:
        yield f"the page does not quote {Path(descriptor_with_pyjwt.__file__).name}"
    for what, vectors in [("descriptors", descriptors), ("messages", messages)]:
        if vectors.count() not in page:
            yield f"the page does not say that there are {what}: {vectors.count()}"
    shown = [json.loads(text) for text in re.findall(r"```json\n(.+?)```", page, re.DOTALL)]
    header, payload, _ = descriptors.accept["honest"]["descriptor"].split(".")
    for part in [header, payload, messages.accept["honest"]["message"].split(".")[1]]:
        if decoded(part) not in shown:
            yield f"the page does not show {decoded(part)}"


def floor_problems(descriptors, messages):
    """The page's worked example, a descriptor at its floor and one below it; and a floor of each kind alone."""
    claims = verified(as_recommended, descriptors.accept["honest"])
    message = verified(as_message, messages.accept["honest"])
    hashes = {kind: subject_hash(claims["iss"], kind, name) for kind, name in SUBJECTS.items()}
    if message["min_seq"].keys() != {hashes["server"], hashes["client"]}:
        yield "the hashes of server and client are not those of the message"
    floors, below = Floors(), claims | {"seq": claims["seq"] - 1}
    floors.merge(message)
    causes = [floors.why_dead(claims, ""), floors.why_dead(below, ""), floors.why_dead(claims, *floors.revoked_keys)]
    if causes != [None, "client", "key"]:
        yield f"at its floor, below it, and of a revoked key a descriptor is dead of {causes}"
    for kind, subject in hashes.items():
        floors.min_seq = {subject: claims["seq"]}
        if floors.why_dead(below, "") != kind:
            yield f"below the floor of its {kind} a descriptor is alive"


def feed_problems(messages):
    """What no single message shows: the order of messages, keys that are revoked, and another history."""
    vector, floors = messages.accept["full"], Floors()
    message = verified(as_message, vector)
    delta = message | {"full": False, "since": message["seq"] % (1 << 40)}
    if [floors.merge(some) for some in (delta, message, delta)] != [False, True, True]:
        yield "a message is a sign of life although others before it are missing, or is none although none is"
    own_key = {"revoked_keys": [key["kid"] for key in vector["jwks"]["keys"]]}
    floors.merge(message | own_key)
    if not refusal(lambda vector, keys: as_message(vector, keys, floors), vector):
        yield "a revoked key speaks for the feed"
    subject = "a" * 43
    earlier = message | {"seq": message["seq"] - 1, "min_seq": {subject: 7}}
    if floors.merge(earlier) or floors.min_seq.keys() != {subject, *message["min_seq"]}:
        yield "an earlier message is a sign of life, or what it revokes does not count"
    floors.merge(message | {"min_seq": {subject: 6}})
    if floors.min_seq[subject] != 7:
        yield "a floor fell"
    restored = message | {"incarnation": 2, "seq": 2 << 40, "min_seq": {}, "revoked_keys": []}
    if not floors.merge(restored) or floors.merge(message | own_key) or floors.min_seq or floors.revoked_keys:
        yield "a restored cluster does not begin anew, or its former history comes back"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", required=True, type=Path, help="folder of the vectors")
    parser.add_argument("--page", required=True, type=Path, help="the page that lists the differences")
    options = parser.parse_args()
    page = options.page.read_text()
    descriptors, messages = Vectors(options.vectors), Vectors(options.vectors / "feed")
    tables = page.partition(HEADING)[2]
    every, remaining = listed(tables)
    found = [
        *set_problems("as in the README", descriptors.differences(as_in_the_readme), every),
        *set_problems("as recommended", descriptors.differences(as_recommended), remaining),
        *set_problems("answers", set(descriptors.answers().items()), set(answered(tables).items())),
        *set_problems("feed", messages.differences(as_message), set()),
        *page_problems(page, descriptors, messages),
        *floor_problems(descriptors, messages),
        *feed_problems(messages),
    ]
    if found:
        raise SystemExit("\n".join(found))
    print(
        f"vectors: {descriptors.count()}; PyJWT differs in {len(every)}, and in {len(remaining)} as recommended; "
        f"of the feed {messages.count()}, without a difference"
    )


if __name__ == "__main__":
    main()
