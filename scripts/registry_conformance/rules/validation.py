"""`POST /validate`, which changes nothing and needs no token. Optional, and of the official registry."""

from .. import expect
from ..rule import Skip, rule
from ..sources import OFFICIAL

NAMESPACE = "com.example"
SEVERITIES = ("error", "warning", "info")


def judged(registry, document):
    answer = registry.client.ask("POST", "/validate", document, token=None)
    if answer.status in (404, 405, 501):
        raise Skip(f"the registry has no /validate: status {answer.status}")
    return answer


def issues(answer):
    expect.status(answer, 200)
    return expect.member(expect.json_body(answer), "issues", list, answer)


def good(registry, **fields):
    return registry.document(f"{NAMESPACE}/conformance", **fields)


@rule("validate-good", "A good document is valid, and has no issue that is an error.", OFFICIAL)
def validate_good(registry):
    answer = judged(registry, good(registry))
    errors = [issue for issue in issues(answer) if issue.get("severity") == "error"]
    expect.same(errors, [], "the errors", answer)
    expect.same(expect.member(answer.json, "valid", bool, answer), True, "`valid`", answer)


@rule("validate-bad", "A bad document answers 200 with `valid`: false and an error.", OFFICIAL)
def validate_bad(registry):
    answer = judged(registry, good(registry, description="x" * 101))
    found = issues(answer)
    expect.same(expect.member(answer.json, "valid", bool, answer), False, "`valid`", answer)
    expect.that(any(issue.get("severity") == "error" for issue in found), "an error", answer.summary(), answer)


@rule("validate-issue", "An issue has type, path, message, severity and reference, all of them texts.", OFFICIAL)
def validate_issue(registry):
    answer = judged(registry, good(registry, description="", version="latest"))
    for issue in issues(answer):
        for name in ("type", "path", "message", "severity", "reference"):
            expect.member(issue, name, str, answer, "an issue")
        expect.that(issue["severity"] in SEVERITIES, "one of " + ", ".join(SEVERITIES), issue["severity"], answer)


@rule("validate-every", "All that is wrong is said at once, not the first breach alone.", OFFICIAL)
def validate_every(registry):
    answer = judged(registry, good(registry, description="", version="^1.0.0", websiteUrl="nowhere"))
    paths = {issue.get("path") for issue in issues(answer)}
    for path in ("description", "version", "websiteUrl"):
        expect.that(path in paths, f"an issue at `{path}`", expect.shown(sorted(map(str, paths))), answer)


@rule("validate-broken", "Text that is no JSON is invalid, or refused with 400 or 422.", OFFICIAL)
def validate_broken(registry):
    for text in (b"{", b"", b"[1, 2", b"\xff\xfe", b"null"):
        answer = expect.status(judged(registry, text), 200, 400, 422)
        if answer.status == 200:
            expect.same(expect.member(expect.json_body(answer), "valid", bool, answer), False, "`valid`", answer)
