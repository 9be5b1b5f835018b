"""Whether the registry is well. All three are optional, and of the official registry."""

from .. import expect
from ..rule import Skip, rule
from ..sources import OFFICIAL


def offered(registry, path):
    """Needs no token: what asks is a load balancer."""
    answer = registry.get(path, token=None)
    if answer.status in (404, 501):
        raise Skip(f"the registry has no {path}: status {answer.status}")
    expect.status(answer, 200)
    return answer


@rule("health", "GET /health says `status`: `ok`, without a token.", OFFICIAL)
def health(registry):
    answer = offered(registry, "/health")
    expect.same(expect.member(expect.json_body(answer), "status", str, answer), "ok", "`status`", answer)


@rule("ping", "GET /ping says `pong`: true, without a token.", OFFICIAL)
def ping(registry):
    answer = offered(registry, "/ping")
    expect.same(expect.member(expect.json_body(answer), "pong", bool, answer), True, "`pong`", answer)


@rule("version", "GET /version says `version`, `git_commit` and `build_time`, without a token.", OFFICIAL)
def version(registry):
    answer = offered(registry, "/version")
    for name in ("version", "git_commit", "build_time"):
        expect.member(expect.json_body(answer), name, str, answer)
