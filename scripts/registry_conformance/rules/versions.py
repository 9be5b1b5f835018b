"""One server: all its versions, one of them, the latest."""

from .. import expect
from ..rule import rule
from ..sources import OFFICIAL, VERSION, VERSIONS, VS_CODE


@rule("versions-answer", "GET …/versions answers 200 with a list of entries of that server alone.", VERSIONS)
def versions_answer(registry):
    name = expect.key(registry.some)[0]
    answer = registry.versions(name)
    entries = expect.page(answer)
    expect.that(
        expect.key(registry.some) in expect.keys(entries),
        f"{expect.key(registry.some)}",
        expect.shown(expect.keys(entries)),
        answer,
    )
    expect.same({entry["server"]["name"] for entry in entries}, {name}, "the names", answer)


@rule("versions-count", "`metadata.count` of the versions is their number.", VERSIONS)
def versions_count(registry):
    answer = registry.versions(registry.with_versions)
    entries = expect.page(answer)
    metadata = expect.member(answer.json, "metadata", dict, answer)
    expect.same(expect.member(metadata, "count", int, answer, "`metadata`"), len(entries), "`metadata.count`", answer)


@rule("versions-newest-first", "Versions are ordered by publication, the newest first.", VERSIONS)
def versions_newest_first(registry):
    answer = registry.versions(registry.with_versions)
    instants = [expect.instant(expect.official(entry, answer)["publishedAt"], answer) for entry in expect.page(answer)]
    expect.same(instants, sorted(instants, reverse=True), "the instants of publication", answer)


@rule("versions-as-listed", "The versions of a server are those that the list shows.", VERSIONS)
def versions_as_listed(registry):
    name = registry.with_versions

    def compare():
        listed = [key for key in expect.keys(registry.entries(100, most=10_000, search=name)) if key[0] == name]
        answer = registry.versions(name)
        expect.same(sorted(expect.keys(expect.page(answer))), sorted(listed), "the versions", answer)

    registry.unchanged(compare)


@rule("versions-one-latest", "Exactly one version of a server is the latest, unless that one is deleted.", VERSIONS)
def versions_one_latest(registry):
    answer = registry.versions(registry.latest_entry["server"]["name"])
    latest = [
        expect.key(entry) for entry in expect.page(answer) if expect.official(entry, answer).get("isLatest") is True
    ]
    expect.same(len(latest), 1, "the number of latest versions", answer)


@rule("versions-deleted-hidden", "Deleted versions are not among the versions unless asked for.", VERSIONS)
def versions_deleted_hidden(registry):
    name, version = expect.key(registry.deleted_entry)
    answer = registry.versions(name, include_deleted="true")
    expect.that((name, version) in expect.keys(expect.page(answer)), f"{version} among all", answer.summary(), answer)
    # If it was the only one, the server is as good as unknown.
    answer = expect.status(registry.versions(name), 200, 404)
    if answer.status == 200:
        expect.that((name, version) not in expect.keys(expect.page(answer)), f"no {version}", answer.summary(), answer)


@rule("version-answer", "GET …/versions/{version} answers 200 with that version.", VERSION)
def version_answer(registry):
    answer = registry.version(*expect.key(registry.some))
    expect.same(expect.key(expect.one(answer)), expect.key(registry.some), "name and version", answer)


@rule("version-as-listed", "One version is the same JSON value alone and in the list, document and `_meta`.", VERSION)
def version_as_listed(registry):
    def compare():
        for listed in registry.entries(20, most=20):
            answer = registry.version(*expect.key(listed))
            alone = expect.one(answer)
            expect.same(alone["server"], listed["server"], f"the document of {expect.key(listed)}", answer)
            expect.same(
                expect.official(alone, answer), expect.official(listed), f"`_meta` of {expect.key(listed)}", answer
            )

    registry.unchanged(compare)


@rule("version-media-type", "One version is `application/json`.", VERSION)
def version_media_type(registry):
    answer = expect.status(registry.version(*expect.key(registry.some)), 200)
    expect.same(answer.media_type, "application/json", "the media type", answer)


@rule(
    "version-deleted",
    "A deleted version is 404, and with `include_deleted=true` it is there.",
    f"{VERSION}; {OFFICIAL}",
)
def version_deleted(registry):
    key = expect.key(registry.deleted_entry)
    expect.status(registry.version(*key), 404)
    answer = registry.version(*key, include_deleted="true")
    expect.same(expect.official(expect.one(answer), answer).get("status"), "deleted", "the status", answer)


@rule("latest-answers", "GET …/versions/latest is the entry that is marked `isLatest`.", VERSION)
def latest_answers(registry):
    listed = registry.latest_entry
    answer = registry.version(listed["server"]["name"], "latest")
    latest = expect.one(answer)
    expect.same(expect.key(latest), expect.key(listed), "the latest version", answer)
    expect.that(expect.official(latest, answer).get("isLatest") is True, "isLatest true", answer.summary(), answer)


@rule("latest-of-several", "Where a server has several versions, `latest` is the one marked among them.", VERSION)
def latest_of_several(registry):
    name = registry.with_versions
    listed = registry.versions(name)
    marked = [
        expect.key(entry) for entry in expect.page(listed) if expect.official(entry, listed).get("isLatest") is True
    ]
    answer = registry.version(name, "latest")
    if marked:
        expect.same(expect.key(expect.one(answer)), marked[0], "the latest version", answer)


@rule(
    "latest-unknown",
    "`latest` of an unknown server is a 4xx: to VS Code that means that it is not in the registry.",
    VS_CODE,
)
def latest_unknown(registry):
    expect.client_error(registry.version("com.example.nobody/no-such-server", "latest"))
