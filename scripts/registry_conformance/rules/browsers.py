"""What a web page on another site needs."""

from .. import expect
from ..rule import rule
from ..sources import BROWSERS, OFFICIAL

ORIGIN = "https://client.example"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def preflight(registry, method):
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = registry.client.ask("OPTIONS", "/servers", headers=asked, token=None)
    return expect.status(answer, 200, 204)


def allows_origin(answer):
    allowed = answer.header("Access-Control-Allow-Origin")
    expect.that(allowed in ("*", ORIGIN), "Access-Control-Allow-Origin: *", allowed or "none", answer)


def listed(answer, name):
    return {word.strip().lower() for word in answer.header(name).split(",")}


@rule("cors-get", "A page of any origin may read the catalog.", f"{BROWSERS}; {OFFICIAL}")
def cors_get(registry):
    allows_origin(expect.status(registry.client.ask("GET", "/servers?limit=1", headers={"Origin": ORIGIN}), 200))


@rule("cors-refusal", "A page of any origin may read a refusal too, or it sees a network error instead.", BROWSERS)
def cors_refusal(registry):
    path = "/servers/com.example.nobody%2Fno-such-server/versions"
    allows_origin(expect.status(registry.client.ask("GET", path, headers={"Origin": ORIGIN}), 404))


@rule("cors-preflight", "A preflight is answered, without a token, for any origin.", BROWSERS)
def cors_preflight(registry):
    allows_origin(preflight(registry, "GET"))


def allows_method(registry, method):
    allowed = listed(preflight(registry, method), "Access-Control-Allow-Methods")
    expect.that(
        method.lower() in allowed or "*" in allowed, f"{method} among the allowed methods", ", ".join(sorted(allowed))
    )


@rule("cors-methods", "A preflight allows GET, POST, PUT and DELETE.", OFFICIAL)
def cors_methods(registry):
    for method in ("GET", "POST", "PUT", "DELETE"):
        allows_method(registry, method)


@rule("cors-patch", "A preflight allows PATCH, which changes the status: forgotten in many lists.", OFFICIAL)
def cors_patch(registry):
    allows_method(registry, "PATCH")


@rule(
    "cors-headers",
    "A preflight allows Authorization and Content-Type by name: `*` does not stand for Authorization.",
    BROWSERS,
)
def cors_headers(registry):
    answer = preflight(registry, "POST")
    allowed = listed(answer, "Access-Control-Allow-Headers")
    for name in ("authorization", "content-type"):
        expect.that(name in allowed, f"{name} among the allowed headers", ", ".join(sorted(allowed)), answer)


@rule("cors-cached", "A preflight may be kept: `Access-Control-Max-Age` is a number of seconds.", OFFICIAL)
def cors_cached(registry):
    answer = preflight(registry, "GET")
    age = answer.header("Access-Control-Max-Age")
    expect.that(age.isdecimal() and int(age) > 0, "a number of seconds", age or "none", answer)
