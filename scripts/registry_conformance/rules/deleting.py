"""`DELETE …/versions/{version}`. Optional: the official registry does not offer it."""

from .. import expect
from ..rule import rule
from ..sources import DELETE, SOUND


def ready(registry):
    registry.needs("DELETE")
    return registry.publish()["name"]


@rule("delete", "DELETE answers 200 with the ServerResponse; the version is 404 then.", DELETE, writes=True)
def delete(registry):
    name = ready(registry)
    answer = registry.delete(name, "1.0.0")
    expect.same(expect.key(expect.one(answer)), (name, "1.0.0"), "name and version", answer)
    expect.status(registry.version(name, "1.0.0"), 404)


@rule(
    "delete-kept",
    "A deleted version number stays taken: it cannot be published anew with other content.",
    SOUND,
    writes=True,
)
def delete_kept(registry):
    name = ready(registry)
    expect.status(registry.delete(name, "1.0.0"), 200)
    expect.status(registry.post(registry.document(name)), 400, 409)


@rule("delete-no-token", "DELETE without a token is 401.", DELETE, writes=True)
def delete_no_token(registry):
    name = ready(registry)
    expect.status(registry.delete(name, "1.0.0", token=None), 401)
    expect.status(registry.version(name, "1.0.0"), 200)


@rule("delete-unknown", "DELETE of a version that does not exist is 404.", DELETE, writes=True)
def delete_unknown(registry):
    name = ready(registry)
    expect.status(registry.delete(name, "9.9.9"), 404)


@rule("delete-again", "DELETE of what is deleted is a success or a 4xx, never a crash.", SOUND, writes=True)
def delete_again(registry):
    name = ready(registry)
    expect.status(registry.delete(name, "1.0.0"), 200)
    expect.no_crash(registry.delete(name, "1.0.0"))
