"""What a registry says when it says no."""

from .. import expect
from ..rule import Skip, rule
from ..sources import OFFICIAL, VERSION, VERSIONS, openapi, rfc

NOBODY = "com.example.nobody/no-such-server"


def refusals(registry):
    """Refusals of different kinds."""
    name = expect.key(registry.some)[0]
    yield registry.versions(NOBODY)
    yield registry.version(NOBODY, "latest")
    yield registry.version(name, "0.0.0-no-such-version")
    yield registry.list(limit=0)
    yield registry.list(updated_since="yesterday")


@rule("unknown-server", "The versions of an unknown server are 404.", VERSIONS)
def unknown_server(registry):
    expect.status(registry.versions(NOBODY), 404)


@rule("unknown-server-version", "A version of an unknown server is 404.", VERSION)
def unknown_server_version(registry):
    expect.status(registry.version(NOBODY, "1.0.0"), 404)


@rule("unknown-version", "An unknown version of a known server is 404.", VERSION)
def unknown_version(registry):
    expect.status(registry.version(expect.key(registry.some)[0], "0.0.0-no-such-version"), 404)


@rule(
    "error-body",
    "Every refusal has a JSON body with a text: `error` by the description, `detail` by RFC 9457; either will do.",
    f"{openapi('404')}; {OFFICIAL}",
)
def error_body(registry):
    for answer in refusals(registry):
        expect.client_error(answer)
        expect.error_body(answer)


@rule(
    "error-media-type",
    "Every refusal is `application/json` or `application/problem+json`.",
    f"{openapi('404')}; {rfc(9457, '3')}",
)
def error_media_type(registry):
    for answer in refusals(registry):
        right = answer.media_type in ("application/json", "application/problem+json")
        expect.that(right, "application/json or application/problem+json", answer.media_type or "none", answer)


@rule(
    "error-problem",
    "A problem's `status` is the status of the answer, and `title` and `detail` are texts.",
    rfc(9457, "3.1"),
)
def error_problem(registry):
    problems = [answer for answer in refusals(registry) if answer.media_type == "application/problem+json"]
    if not problems:
        raise Skip("refusals are no problem details")
    for answer in problems:
        body = expect.json_body(answer)
        if "status" in body:
            expect.same(body["status"], answer.status, "`status`", answer)
        for name in {"type", "title", "detail"} & body.keys():
            expect.member(body, name, str, answer, "the problem")


@rule("error-quiet", "No refusal tells of the inside: no trace, no query, no path of a source file.", OFFICIAL)
def error_quiet(registry):
    for answer in refusals(registry):
        text = answer.body.decode(errors="replace").lower()
        for sign in (
            "traceback",
            "stack trace",
            "panicked",
            "select ",
            "goroutine",
            ".go:",
            ".rs:",
            '.py"',
            "sqlstate",
        ):
            expect.that(sign not in text, "a sentence for the caller", answer.summary(), answer)


@rule("unknown-path", "A path that does not exist is 404.", rfc(9110, "15.5.5"))
def unknown_path(registry):
    expect.status(registry.get("/no-such-path"), 404)
