"""HTTP itself."""

from .. import expect
from ..rule import rule
from ..sources import OFFICIAL, SOUND, rfc


@rule("method-unknown", "A method that a path does not take is 405.", rfc(9110, "15.5.6"))
def method_unknown(registry):
    for method in ("DELETE", "PUT", "PATCH"):
        expect.status(registry.client.ask(method, "/servers"), 405)


@rule("method-allow", "A 405 says in `Allow` which methods the path takes.", rfc(9110, "15.5.6"))
def method_allow(registry):
    answer = expect.status(registry.client.ask("DELETE", "/servers"), 405)
    allowed = {method.strip() for method in answer.header("Allow").split(",")}
    expect.that("GET" in allowed, "`Allow` with GET", answer.header("Allow") or "no `Allow`", answer)


@rule("head", "HEAD is GET without the body.", rfc(9110, "9.3.2"))
def head(registry):
    answer = expect.status(registry.client.ask("HEAD", "/servers?limit=1"), 200)
    expect.same(answer.body, b"", "the body", answer)
    expect.same(answer.media_type, "application/json", "the media type", answer)


@rule("gzip", "A client that takes gzip gets the same list, compressed or not.", rfc(9110, "12.5.3"))
def gzip(registry):
    def compare():
        plain = registry.list(limit=50)
        packed = registry.client.ask("GET", "/servers?limit=50", headers={"Accept-Encoding": "gzip"})
        expect.same(expect.keys(expect.page(packed)), expect.keys(expect.page(plain)), "the entries", packed)

    registry.unchanged(compare)


@rule("encoding-identity", "A client that takes no encoding gets none.", rfc(9110, "12.5.3"))
def encoding_identity(registry):
    answer = registry.client.ask("GET", "/servers?limit=1", headers={"Accept-Encoding": "identity"})
    expect.status(answer, 200)
    coding = answer.header("Content-Encoding")
    expect.that(coding in ("", "identity"), "no Content-Encoding", coding, answer)


@rule("accept", "`Accept` of a browser, of curl and of a library all get JSON.", OFFICIAL)
def accept(registry):
    for text in (
        "*/*",
        "application/json",
        "application/json;q=0.9, text/html",
        "text/html,application/xhtml+xml,*/*;q=0.8",
    ):
        answer = registry.client.ask("GET", "/servers?limit=1", headers={"Accept": text})
        expect.page(answer)
        expect.same(answer.media_type, "application/json", "the media type", answer)


@rule("content-length", "An answer says its length, or that it comes in chunks.", rfc(9112, "6.3"))
def content_length(registry):
    answer = expect.status(registry.list(limit=1), 200)
    length, coding = answer.header("Content-Length"), answer.header("Transfer-Encoding")
    expect.that(length or coding, "Content-Length or Transfer-Encoding", "neither", answer)


@rule("header-odd", "Headers that clients and proxies add break nothing.", SOUND)
def header_odd(registry):
    headers = {
        "Traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        "X-Forwarded-For": "192.0.2.1, 198.51.100.7",
        "If-None-Match": '"never"',
        "Cookie": "a=b",
        "X-Long": "x" * 2000,
    }
    for name, value in headers.items():
        expect.page(registry.client.ask("GET", "/servers?limit=1", headers={name: value}))
