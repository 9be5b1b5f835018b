"""`PATCH …/status`: of one version, and of all."""

from .. import expect
from ..registry import escaped
from ..rule import rule
from ..sources import OFFICIAL, PATCH, PATCH_ALL, SOUND, VERSION
from .filters import shifted

NOBODY = "conformance-no-such-server"


def ready(registry, *versions):
    """The name of a server of this rule's own, once it is known that there is a PATCH."""
    name = registry.fresh_name()
    for version in versions or ("1.0.0",):
        registry.publish(name, version)
    needs_patch(registry, name)
    return name


def needs_patch(registry, name):
    """Asked with a status that does not exist, so that nothing changes."""
    if "PATCH" not in registry.supported:
        registry.supported["PATCH"] = registry.patch(name, "1.0.0", "no-such-status", token=None).status
    registry.needs("PATCH")


def changed(registry, *arguments):
    answer = registry.patch(*arguments)
    entry = expect.one(answer)
    return expect.official(entry, answer), answer


@rule("status-deprecate", "A version is set deprecated with a message, and shows both.", PATCH, writes=True)
def status_deprecate(registry):
    name = ready(registry)
    meta, answer = changed(registry, name, "1.0.0", "deprecated", "Use another one")
    shown = ("deprecated", "Use another one")
    expect.same((meta.get("status"), meta.get("statusMessage")), shown, "status and message", answer)
    answer = registry.version(name, "1.0.0")
    meta = expect.official(expect.one(answer), answer)
    expect.same((meta.get("status"), meta.get("statusMessage")), shown, "status and message read back", answer)


@rule(
    "status-instants",
    "A change of status moves `updatedAt` and `statusChangedAt` on, and never `publishedAt`.",
    PATCH,
    writes=True,
)
def status_instants(registry):
    name = ready(registry)
    answer = registry.version(name, "1.0.0")
    before = expect.official(expect.one(answer), answer)
    after, answer = changed(registry, name, "1.0.0", "deprecated")
    expect.same(after.get("publishedAt"), before.get("publishedAt"), "publishedAt", answer)
    for field in ("updatedAt", "statusChangedAt"):
        earlier, later = expect.instant(before.get(field), answer), expect.instant(after.get(field), answer)
        expect.that(later > earlier, f"`{field}` after {before.get(field)}", after.get(field), answer)


@rule("status-document", "A change of status leaves the document as it was.", PATCH, writes=True)
def status_document(registry):
    name = ready(registry)
    before = expect.one(registry.version(name, "1.0.0"))["server"]
    answer = registry.patch(name, "1.0.0", "deprecated")
    expect.same(expect.one(answer)["server"], before, "the document", answer)


@rule("status-message-changed", "A new message for the same status is a change.", PATCH, writes=True)
def status_message_changed(registry):
    name = ready(registry)
    changed(registry, name, "1.0.0", "deprecated", "First")
    meta, answer = changed(registry, name, "1.0.0", "deprecated", "Second")
    expect.same(meta.get("statusMessage"), "Second", "the message", answer)


@rule("status-back", "Setting it active again takes the message away.", PATCH, writes=True)
def status_back(registry):
    name = ready(registry)
    changed(registry, name, "1.0.0", "deprecated", "For now")
    meta, answer = changed(registry, name, "1.0.0", "active")
    expect.same(
        (meta.get("status"), "statusMessage" in meta),
        ("active", False),
        "status, and whether there is a message",
        answer,
    )


@rule("status-no-change", "What changes nothing is refused with 400.", PATCH, writes=True)
def status_no_change(registry):
    name = ready(registry)
    expect.error_body(expect.status(registry.patch(name, "1.0.0", "active"), 400))
    changed(registry, name, "1.0.0", "deprecated", "Once")
    expect.status(registry.patch(name, "1.0.0", "deprecated", "Once"), 400)


@rule("status-message-active", "A message with `active` is refused with 400, or 422.", OFFICIAL, writes=True)
def status_message_active(registry):
    name = ready(registry)
    changed(registry, name, "1.0.0", "deprecated")
    expect.status(registry.patch(name, "1.0.0", "active", "All is well"), 400, 422)


@rule(
    "status-message-length",
    "A message of 500 characters is taken, one of 501 is refused with 422 or 400.",
    PATCH,
    writes=True,
)
def status_message_length(registry):
    name = ready(registry)
    expect.status(registry.patch(name, "1.0.0", "deprecated", "x" * 501), 400, 422)
    meta, answer = changed(registry, name, "1.0.0", "deprecated", "é" * 500)
    expect.same(meta.get("statusMessage"), "é" * 500, "the message", answer)


@rule("status-unknown", "A status that does not exist, or none at all, is refused with 400 or 422.", PATCH, writes=True)
def status_unknown(registry):
    name = ready(registry)
    # The last is what some parsers take for an object, its members in the order of their code.
    bodies = (
        {"status": "retired"},
        {"status": "ACTIVE"},
        {"status": None},
        {},
        [],
        {"statusMessage": "why"},
        ["deprecated", "why"],
    )
    for body in bodies:
        answer = registry.client.ask("PATCH", f"{registry.path(name, '1.0.0')}/status", body)
        expect.status(answer, 400, 422)


@rule("status-no-token", "A change of status without a token is 401.", PATCH, writes=True)
def status_no_token(registry):
    name = ready(registry)
    expect.status(registry.patch(name, "1.0.0", "deleted", token=None), 401)
    expect.status(registry.version(name, "1.0.0"), 200)


@rule("status-unknown-server", "A change of status of what does not exist is 404.", PATCH, writes=True)
def status_unknown_server(registry):
    name = ready(registry)
    expect.status(registry.patch(name, "9.9.9", "deprecated"), 404)
    expect.status(registry.patch(f"{registry.namespace}/{NOBODY}", "1.0.0", "deprecated"), 404)


@rule(
    "status-foreign",
    "A change of status in a foreign namespace is 403, or 404 where there is no such server.",
    PATCH,
    writes=True,
)
def status_foreign(registry):
    ready(registry)
    expect.status(registry.patch(f"com.example.somebody-else/{NOBODY}", "1.0.0", "deprecated"), 403, 404)


@rule(
    "status-deleted",
    "A deleted version is 404 and hidden from lists, and there with `include_deleted=true`.",
    f"{PATCH}; {VERSION}",
    writes=True,
)
def status_deleted(registry):
    name = ready(registry, "1.0.0", "1.1.0")
    meta, answer = changed(registry, name, "1.0.0", "deleted", "A mistake")
    expect.same(meta.get("status"), "deleted", "the status", answer)
    expect.status(registry.version(name, "1.0.0"), 404)
    shown, hidden = [(name, "1.0.0"), (name, "1.1.0")], [(name, "1.1.0")]
    for ask in (registry.versions, lambda _, **more: registry.list(search=name, **more)):
        for more, expected in (({}, hidden), ({"include_deleted": "true"}, shown)):
            answer = ask(name, **more)
            expect.same(sorted(expect.keys(expect.page(answer))), expected, "the versions", answer)
    answer = registry.version(name, "1.0.0", include_deleted="true")
    expect.same(expect.official(expect.one(answer), answer).get("statusMessage"), "A mistake", "the message", answer)


@rule(
    "status-deleted-all",
    "A server all of whose versions are deleted is unknown, `latest` too: 404.",
    f"{PATCH}; {VERSION}",
    writes=True,
)
def status_deleted_all(registry):
    name = ready(registry)
    changed(registry, name, "1.0.0", "deleted")
    expect.status(registry.version(name, "latest"), 404)
    expect.status(registry.versions(name), 404)
    answer = registry.list(search=name)
    expect.same(expect.page(answer), [], "the entries", answer)


@rule(
    "status-deleted-latest", "A deleted version is not the latest any more: the one before is.", OFFICIAL, writes=True
)
def status_deleted_latest(registry):
    name = ready(registry, "1.0.0", "1.1.0")
    changed(registry, name, "1.1.0", "deleted")
    answer = registry.version(name, "latest")
    expect.same(expect.one(answer)["server"]["version"], "1.0.0", "the latest version", answer)
    answer = registry.list(search=name, version="latest")
    expect.same(expect.keys(expect.page(answer)), [(name, "1.0.0")], "the latest versions", answer)


@rule(
    "status-deleted-followed", "Who follows by `updated_since` hears of a deletion.", f"{PATCH}; mirrors", writes=True
)
def status_deleted_followed(registry):
    name = ready(registry)
    meta, answer = changed(registry, name, "1.0.0", "deleted")
    since = shifted(meta["updatedAt"], seconds=-1)
    answer = registry.list(search=name, updated_since=since)
    listed = [
        (key, expect.official(entry, answer).get("status"))
        for entry in expect.page(answer)
        for key in [expect.key(entry)]
    ]
    expect.same(listed, [((name, "1.0.0"), "deleted")], "what changed", answer)


@rule("status-restored", "A deleted version can be set active again.", OFFICIAL, writes=True)
def status_restored(registry):
    name = ready(registry)
    changed(registry, name, "1.0.0", "deleted")
    changed(registry, name, "1.0.0", "active")
    answer = registry.version(name, "latest")
    expect.same(expect.key(expect.one(answer)), (name, "1.0.0"), "the latest version", answer)


@rule(
    "status-all",
    "All versions are changed in one step: `updatedCount`, and `servers` with each of them.",
    PATCH_ALL,
    writes=True,
)
def status_all(registry):
    name = ready(registry, "1.0.0", "1.1.0")
    answer = registry.patch_all(name, "deprecated", "The whole server")
    expect.status(answer, 200)
    expect.same(expect.member(expect.json_body(answer), "updatedCount", int, answer), 2, "`updatedCount`", answer)
    entries = expect.page(answer)
    expect.same(sorted(expect.keys(entries)), [(name, "1.0.0"), (name, "1.1.0")], "the versions", answer)
    for entry in entries:
        meta = expect.official(entry, answer)
        expect.same(
            (meta.get("status"), meta.get("statusMessage")),
            ("deprecated", "The whole server"),
            "status and message",
            answer,
        )


@rule("status-all-unknown", "All versions of an unknown server: 404. Without a token: 401.", PATCH_ALL, writes=True)
def status_all_unknown(registry):
    name = ready(registry)
    expect.status(registry.patch_all(f"{registry.namespace}/{NOBODY}", "deprecated"), 404)
    expect.status(registry.patch_all(name, "deprecated", token=None), 401)


@rule("status-all-refused", "An unknown status for all versions is refused with 400 or 422.", PATCH_ALL, writes=True)
def status_all_refused(registry):
    name = ready(registry)
    expect.status(registry.patch_all(name, "retired"), 400, 422)


@rule("status-broken-json", "A change of status that is no JSON is refused with 400 or 422.", SOUND, writes=True)
def status_broken_json(registry):
    name = ready(registry)
    for path in (f"{registry.path(name, '1.0.0')}/status", f"/servers/{escaped(name)}/status"):
        expect.status(registry.client.ask("PATCH", path, b"{"), 400, 422)
