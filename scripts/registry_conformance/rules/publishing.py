"""`POST /publish`."""

from .. import expect
from ..client import Unreachable
from ..rule import rule
from ..sources import OFFICIAL, PUBLISH, SOUND, openapi, schema
from .filters import shifted

BELONGS_TO_OTHERS = "com.example.somebody-else"


@rule(
    "publish-answers",
    "Publishing answers 200 (not 201) with the ServerResponse: active, and the latest.",
    PUBLISH,
    writes=True,
)
def publish_answers(registry):
    document = registry.document()
    answer = registry.post(document)
    entry = expect.one(answer)
    expect.same(entry["server"], document, "the document", answer)
    meta = expect.official(entry, answer)
    expect.same((meta.get("status"), meta.get("isLatest")), ("active", True), "status and isLatest", answer)


@rule("publish-read-back", "What was published can be read at once, and is the same JSON value.", PUBLISH, writes=True)
def publish_read_back(registry):
    document = registry.publish(title="A title", websiteUrl="https://conformance.example/")
    for version in (document["version"], "latest"):
        answer = registry.version(document["name"], version)
        expect.same(expect.one(answer)["server"], document, "the document", answer)


@rule(
    "publish-unknown-fields",
    "Fields that the registry does not know are kept, at the top and further inside.",
    f"{schema('additionalProperties')}; mirrors",
    writes=True,
)
def publish_unknown_fields(registry):
    name = registry.fresh_name()
    odd = {"text": "ü漢💥\u2028", "numbers": [0, -1, 1.5, 1e100, 9007199254740991], "nothing": None, "empty": {}}
    document = registry.document(name, **{"x-unknown": odd})
    document["remotes"][0]["x-inside"] = odd
    registry.publish(name, **{"x-unknown": odd, "remotes": document["remotes"]})
    answer = registry.version(name, "1.0.0")
    expect.same(expect.one(answer)["server"], document, "the document", answer)


@rule(
    "publish-metadata",
    "What the publisher says under `_meta…publisher-provided` is kept.",
    openapi("ServerDetail"),
    writes=True,
)
def publish_metadata(registry):
    meta = {"io.modelcontextprotocol.registry/publisher-provided": {"tool": "conformance", "build": {"commit": "abc"}}}
    document = registry.publish(_meta=meta)
    answer = registry.version(document["name"], "1.0.0")
    expect.same(expect.one(answer)["server"].get("_meta"), meta, "`_meta` of the document", answer)


@rule(
    "publish-found",
    "What was published is found by `search`, and by `updated_since` the second before.",
    PUBLISH,
    writes=True,
)
def publish_found(registry):
    document = registry.publish()
    key = (document["name"], "1.0.0")
    found = registry.list(search=document["name"])
    expect.same(expect.keys(expect.page(found)), [key], "the entries", found)
    since = shifted(expect.official(found.json["servers"][0], found)["publishedAt"], seconds=-1)
    answer = registry.list(search=document["name"], updated_since=since)
    expect.same(expect.keys(expect.page(answer)), [key], "the entries", answer)


@rule(
    "publish-again",
    "The same version again is refused with 400, or 409: a published version never changes by publishing.",
    OFFICIAL,
    writes=True,
)
def publish_again(registry):
    document = registry.publish()
    expect.error_body(expect.status(registry.post(document), 400, 409))
    changed = document | {"description": "Something else"}
    expect.status(registry.post(changed), 400, 409)
    answer = registry.version(document["name"], "1.0.0")
    expect.same(expect.one(answer)["server"], document, "the document", answer)


@rule("publish-no-token", "Publishing without a token is 401.", PUBLISH, writes=True)
def publish_no_token(registry):
    expect.error_body(expect.status(registry.post(registry.document(), token=None), 401))


@rule("publish-bad-token", "Publishing with a token that nobody was given is 401.", PUBLISH, writes=True)
def publish_bad_token(registry):
    for token in ("nobody-was-given-this", "eyJhbGciOiJub25lIn0.e30."):
        expect.status(registry.post(registry.document(), token=token), 401)


@rule("publish-foreign", "Publishing in a namespace that is not the caller's is 403.", PUBLISH, writes=True)
def publish_foreign(registry):
    name = registry.fresh_name(BELONGS_TO_OTHERS)
    expect.error_body(expect.status(registry.post(registry.document(name)), 403))


@rule(
    "publish-foreign-alike",
    "A namespace that only begins like the caller's is not the caller's: 403.",
    SOUND,
    writes=True,
)
def publish_foreign_alike(registry):
    name = registry.fresh_name(f"{registry.namespace}evil")
    expect.status(registry.post(registry.document(name)), 403)


@rule("publish-broken-json", "Text that is no JSON object is refused with 400 or 422.", OFFICIAL, writes=True)
def publish_broken_json(registry):
    for text in (b"{", b"", b"[]", b"null", b'"text"', b"\xff"):
        expect.status(registry.post(text), 400, 422)


def refused(registry, **fields):
    """422 by the official registry's schema, 400 by its own rules: either will do."""
    name = fields.pop("name", None) or registry.fresh_name()
    document = registry.document(name) | fields
    expect.status(registry.post(document), 400, 422)


@rule(
    "publish-required",
    "A document without name, description or version is refused with 400 or 422.",
    schema("required"),
    writes=True,
)
def publish_required(registry):
    for field in ("name", "description", "version"):
        document = registry.document()
        del document[field]
        expect.status(registry.post(document_or_bytes(document)), 400, 422)


def document_or_bytes(document):
    """As bytes, since a document without a name cannot be withdrawn by it."""
    import json

    return json.dumps(document).encode()


@rule(
    "publish-name",
    "A name with no slash, two of them, or letters that are not allowed is refused with 400 or 422.",
    schema("name"),
    writes=True,
)
def publish_name(registry):
    for end in ("/a/b", "/a b", "/ä", "/", "/-a"):
        refused(registry, name=registry.namespace + end)
    refused(registry, name=registry.namespace)


@rule(
    "publish-description",
    "A description of 0 or 101 characters is refused with 400 or 422, one of 100 is taken.",
    schema("description"),
    writes=True,
)
def publish_description(registry):
    registry.publish(description="é" * 100)
    for description in ("", "x" * 101, None, 7):
        refused(registry, description=description)


@rule("publish-version", "`latest` and ranges are no versions: 400 or 422.", schema("version"), writes=True)
def publish_version(registry):
    for version in ("latest", "^1.2.3", "~1.2.3", ">=1.2.3", "1.x", "1.*", "", "v" * 256):
        refused(registry, version=version)


@rule(
    "publish-remote",
    "A remote that is no URL, or is the publisher's own machine, is refused with 400 or 422.",
    OFFICIAL,
    writes=True,
)
def publish_remote(registry):
    for url in (
        "nowhere",
        "http://localhost:8080/mcp",
        "https://127.0.0.1/mcp",
        "ftp://files.example/mcp",
        "https://a b/",
    ):
        refused(registry, remotes=[{"type": "streamable-http", "url": url}])
    refused(registry, remotes=[{"type": "carrier-pigeon", "url": "https://pigeons.example/mcp"}])
    refused(registry, remotes=[{"type": "streamable-http"}])


@rule("publish-website", "`websiteUrl` that is no https URL is refused with 400 or 422.", OFFICIAL, writes=True)
def publish_website(registry):
    for url in ("nowhere", "http://site.example/", "javascript:alert(1)"):
        refused(registry, websiteUrl=url)


@rule(
    "publish-undeclared",
    "A placeholder in a remote's URL that `variables` do not declare is refused with 400 or 422.",
    OFFICIAL,
    writes=True,
)
def publish_undeclared(registry):
    refused(registry, remotes=[{"type": "streamable-http", "url": "https://tenants.example/{tenant}/mcp"}])


@rule(
    "publish-foreign-metadata",
    "`_meta` with another key than `publisher-provided` is refused with 400 or 422.",
    OFFICIAL,
    writes=True,
)
def publish_foreign_metadata(registry):
    refused(registry, _meta={"io.modelcontextprotocol.registry/official": {"status": "active"}})


@rule(
    "publish-remote-taken", "A remote's URL that another server has is refused with 400, or 409.", OFFICIAL, writes=True
)
def publish_remote_taken(registry):
    taken = registry.publish()["remotes"]
    expect.status(registry.post(registry.document() | {"remotes": taken}), 400, 409)


@rule(
    "publish-build", "A version with build metadata is read by `%2B`.", openapi("GET …/versions/{version}"), writes=True
)
def publish_build(registry):
    document = registry.publish(version="1.0.0+build.7")
    answer = registry.version(document["name"], "1.0.0+build.7")
    expect.same(expect.one(answer)["server"], document, "the document", answer)


@rule("publish-large", "A document of five megabytes is refused with a 4xx, and breaks nothing.", SOUND, writes=True)
def publish_large(registry):
    document = registry.document() | {"x-large": "x" * 5_000_000}
    try:
        expect.client_error(registry.post(document))
    except Unreachable:
        # Hanging up in the middle of the body is a refusal too, whose answer may be lost on the way.
        expect.status(registry.version(document["name"], "1.0.0"), 404)


@rule("publish-refused-unseen", "What was refused is not in the catalog.", SOUND, writes=True)
def publish_refused_unseen(registry):
    document = registry.document() | {"description": "x" * 101}
    expect.status(registry.post(document), 400, 422)
    expect.status(registry.version(document["name"], "1.0.0"), 404)


@rule(
    "publish-validate-agrees",
    "What `validate` calls valid is taken, and what it calls invalid is not.",
    OFFICIAL,
    writes=True,
)
def publish_validate_agrees(registry):
    from .validation import judged

    for fields in ({}, {"title": "x" * 101}, {"icons": [{"src": "http://icons.example/a.png"}]}):
        document = registry.document() | fields
        answer = expect.status(judged(registry, document), 200)
        valid = expect.member(expect.json_body(answer), "valid", bool, answer)
        published = registry.post(document)
        expect.same(published.status == 200, valid, "whether it was published", published)
