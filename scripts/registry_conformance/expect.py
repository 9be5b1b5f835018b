"""How rules judge: each of these returns what it has looked at, or raises `Fail` with the difference."""

import re
from datetime import datetime, timezone

from .rule import Fail

OFFICIAL_KEY = "io.modelcontextprotocol.registry/official"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)


def that(condition, expected, got, answer=None):
    if not condition:
        raise Fail(expected, got, answer)


def status(answer, *allowed):
    expected = "status " + " or ".join(str(code) for code in allowed)
    that(answer.status in allowed, expected, answer.summary(), answer)
    return answer


def client_error(answer):
    """Any status that blames the request."""
    that(400 <= answer.status < 500, "a status of 400 to 499", answer.summary(), answer)
    return answer


def no_crash(answer):
    that(answer.status < 500, "a status below 500", answer.summary(), answer)
    return answer


def member(value, name, kind, answer, where="the answer"):
    """The member of an object, which must be there and of this type."""
    that(isinstance(value, dict), f"{where} to be an object", shown(value), answer)
    that(name in value, f"`{name}` in {where}", f"the keys {sorted(value)}", answer)
    # To Python a boolean is a number too.
    right = isinstance(value[name], kind) and (kind is bool or not isinstance(value[name], bool))
    that(right, f"`{name}` in {where} to be {NAMES[kind]}", shown(value[name]), answer)
    return value[name]


NAMES = {str: "a string", int: "a number", bool: "a boolean", dict: "an object", list: "an array"}


def shown(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def json_body(answer):
    that(answer.json is not None, "a body that is JSON", answer.summary(), answer)
    return answer.json


def page(answer):
    """The entries of a ServerList."""
    status(answer, 200)
    entries = member(json_body(answer), "servers", list, answer)
    for entry in entries:
        entry_of(entry, answer)
    return entries


def entry_of(entry, answer):
    """A ServerResponse whose document says what it is."""
    server = member(entry, "server", dict, answer, "a ServerResponse")
    for field in ("name", "version"):
        member(server, field, str, answer, "`server`")
    return entry


def one(answer):
    """A ServerResponse."""
    status(answer, 200)
    return entry_of(json_body(answer), answer)


def cursor(answer):
    """The cursor of the next page, or `None` on the last one."""
    return json_body(answer).get("metadata", {}).get("nextCursor") or None


def key(entry):
    return entry["server"]["name"], entry["server"]["version"]


def keys(entries):
    return [key(entry) for entry in entries]


def official(entry, answer=None):
    """What the registry says of a version, by the key that all registries share."""
    meta = member(entry, "_meta", dict, answer, "a ServerResponse")
    return member(meta, OFFICIAL_KEY, dict, answer, "`_meta`")


def instant(text, answer=None):
    """RFC 3339 §5.6, to the nanosecond: as a sortable pair."""
    that(isinstance(text, str) and INSTANT.fullmatch(text), "an RFC 3339 date-time", shown(text), answer)
    whole, _, fraction = re.sub(r"(Z|[+-]\d\d:\d\d)$", "", text, flags=re.IGNORECASE).partition(".")
    offset = text[len(whole) + (len(fraction) + 1 if fraction else 0) :].upper().replace("Z", "+00:00")
    try:
        seconds = datetime.fromisoformat(whole + offset).astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError):
        raise Fail("an RFC 3339 date-time", shown(text), answer) from None
    return int(seconds), int(fraction.ljust(9, "0")[:9] or 0)


def same(got, expected, what, answer=None):
    that(got == expected, f"{what} to be {shown(expected)}", shown(got), answer)


def error_body(answer):
    """JSON that says what is wrong: `error` by the OpenAPI description, `detail` by RFC 9457. Either will do."""
    body = json_body(answer)
    texts = [body.get(name) for name in ("error", "detail")] if isinstance(body, dict) else []
    expected = "a JSON object with a text `error` or `detail`"
    that(any(isinstance(text, str) and text for text in texts), expected, answer.summary(), answer)
