"""`PUT …/versions/{version}`. Optional: the official registry does not offer it."""

from .. import expect
from ..rule import rule
from ..sources import OFFICIAL, PUT, SOUND


def ready(registry):
    registry.needs("PUT")
    return registry.publish()


def put(registry, document, **options):
    return registry.put(document["name"], document["version"], document, **options)


@rule("edit", "Another description and title are taken, and read back.", PUT, writes=True)
def edit(registry):
    document = ready(registry) | {"description": "Said better", "title": "Better"}
    answer = put(registry, document)
    expect.same(expect.one(answer)["server"], document, "the document", answer)
    answer = registry.version(document["name"], "1.0.0")
    expect.same(expect.one(answer)["server"], document, "the document read back", answer)


@rule("edit-instants", "An edit moves `updatedAt` on and leaves `publishedAt` and the status alone.", PUT, writes=True)
def edit_instants(registry):
    document = ready(registry)
    before = expect.official(expect.one(registry.version(document["name"], "1.0.0")))
    answer = put(registry, document | {"description": "Said better"})
    after = expect.official(expect.one(answer), answer)
    for field in ("publishedAt", "status"):
        expect.same(after.get(field), before.get(field), f"`{field}`", answer)
    later = expect.instant(after.get("updatedAt"), answer) > expect.instant(before.get("updatedAt"), answer)
    expect.that(later, f"`updatedAt` after {before.get('updatedAt')}", after.get("updatedAt"), answer)


@rule("edit-other-name", "A document of another name than the path's is refused with 400.", PUT, writes=True)
def edit_other_name(registry):
    document = ready(registry)
    answer = registry.put(document["name"], "1.0.0", document | {"name": registry.fresh_name()})
    expect.error_body(expect.status(answer, 400))


@rule("edit-other-version", "A document of another version than the path's is refused with 400.", PUT, writes=True)
def edit_other_version(registry):
    document = ready(registry)
    expect.status(registry.put(document["name"], "1.0.0", document | {"version": "1.0.1"}), 400)


@rule(
    "edit-endpoint",
    "What clients connect by does not change under them: another remote is refused with 409, or 400.",
    SOUND,
    writes=True,
)
def edit_endpoint(registry):
    document = ready(registry)
    elsewhere = [{"type": "streamable-http", "url": "https://elsewhere.example/mcp"}]
    expect.status(put(registry, document | {"remotes": elsewhere}), 400, 409)
    answer = registry.version(document["name"], "1.0.0")
    expect.same(expect.one(answer)["server"], document, "the document", answer)


@rule("edit-unknown", "A version that does not exist cannot be edited: 404.", PUT, writes=True)
def edit_unknown(registry):
    document = ready(registry) | {"version": "9.9.9"}
    expect.status(put(registry, document), 404)


@rule("edit-no-token", "An edit without a token is 401.", PUT, writes=True)
def edit_no_token(registry):
    document = ready(registry)
    expect.status(put(registry, document | {"description": "By a stranger"}, token=None), 401)


@rule("edit-foreign", "An edit in a foreign namespace is 403, or 404 where there is no such server.", PUT, writes=True)
def edit_foreign(registry):
    ready(registry)
    expect.status(put(registry, registry.document("com.example.somebody-else/conformance-no-such-server")), 403, 404)


@rule(
    "edit-invalid",
    "An edit is judged like a publication: a bad document is refused with 400 or 422.",
    OFFICIAL,
    writes=True,
)
def edit_invalid(registry):
    document = ready(registry)
    for fields in ({"description": ""}, {"title": "x" * 101}, {"websiteUrl": "nowhere"}):
        expect.status(put(registry, document | fields), 400, 422)
    expect.status(registry.put(document["name"], "1.0.0", b"{"), 400, 422)
