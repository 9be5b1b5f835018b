"""What a page of the catalog looks like."""

import re
from itertools import pairwise

from .. import expect
from ..rule import Skip, rule
from ..sources import ANSWER, LIST, OFFICIAL, VS_CODE, openapi, rfc, schema

NAME = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+")
OFFICIAL_KEYS = {"status", "statusMessage", "statusChangedAt", "publishedAt", "updatedAt", "isLatest"}
ALWAYS = ("status", "publishedAt", "updatedAt", "isLatest")
STATUSES = ("active", "deprecated", "deleted")


@rule("list-answers", "GET /servers answers 200 with `servers`, and `metadata` as an object.", LIST)
def list_answers(registry):
    answer = registry.list()
    expect.page(answer)
    expect.member(answer.json, "metadata", dict, answer)


@rule("list-media-type", "A list is `application/json`.", LIST)
def list_media_type(registry):
    answer = registry.list(limit=1)
    expect.same(answer.media_type, "application/json", "the media type", answer)


@rule(
    "list-strict-json", "A list is UTF-8 without repeated keys, which parsers read in different ways.", rfc(8259, "4")
)
def list_strict_json(registry):
    for answer in registry.walk(100):
        expect.json_body(answer)


@rule("list-count", "`metadata.count` is the number of entries on this page.", openapi("ServerList"))
def list_count(registry):
    for answer in registry.walk(100):
        count = expect.member(answer.json["metadata"], "count", int, answer, "`metadata`")
        expect.same(count, len(answer.json["servers"]), "`metadata.count`", answer)


@rule("list-last-page", "The last page has no `nextCursor`, or a null or empty one.", openapi("ServerList"))
def list_last_page(registry):
    name, version = expect.key(registry.some)
    answer = registry.list(limit=100, search=name, version=version)
    entries = expect.page(answer)
    if len(entries) == 100:
        raise Skip("the most specific filter still fills a page")
    expect.same(expect.cursor(answer), None, "`metadata.nextCursor` of a page that is not full", answer)


@rule("item-complete", "Each entry has name, description, version and an object `_meta`.", VS_CODE)
def item_complete(registry):
    for entry in registry.sample:
        for field in ("name", "description", "version"):
            expect.member(entry["server"], field, str, None, f"`server` of {expect.key(entry)}")
        expect.member(entry, "_meta", dict, None, f"the entry of {expect.key(entry)}")


@rule("item-name", "Each name is `namespace/name` of 3 to 200 allowed characters.", schema("name"))
def item_name(registry):
    for entry in registry.sample:
        name = entry["server"]["name"]
        right = NAME.fullmatch(name) and 3 <= len(name) <= 200
        expect.that(right, "a name such as `com.example/server`", expect.shown(name))


@rule("item-description", "Each description has 1 to 100 characters.", schema("description"))
def item_description(registry):
    for entry in registry.sample:
        description = expect.member(entry["server"], "description", str, None, "`server`")
        expect.that(1 <= len(description) <= 100, "1 to 100 characters", expect.shown(description))


@rule("item-version", "Each version has 1 to 255 characters, and none is `latest`.", schema("version"))
def item_version(registry):
    for entry in registry.sample:
        version = entry["server"]["version"]
        right = 1 <= len(version) <= 255 and version != "latest"
        expect.that(right, "a version of its own", expect.shown(version))


@rule(
    "item-parts",
    "`remotes` and `packages` are arrays of objects, and each remote has `type` and `url`.",
    schema("remotes"),
)
def item_parts(registry):
    for entry in registry.sample:
        server, where = entry["server"], f"`server` of {expect.key(entry)}"
        for field in {"remotes", "packages", "icons"} & server.keys():
            for part in expect.member(server, field, list, None, where):
                expect.that(isinstance(part, dict), f"objects in `{field}` of {where}", expect.shown(part))
        for remote in server.get("remotes", []):
            expect.member(remote, "type", str, None, f"a remote of {expect.key(entry)}")
            expect.member(remote, "url", str, None, f"a remote of {expect.key(entry)}")


@rule("item-once", "No version of a server is listed twice.", LIST)
def item_once(registry):
    keys = expect.keys(registry.sample)
    twice = sorted({key for key in keys if keys.count(key) > 1})
    expect.same(twice, [], "the entries that come twice")


@rule("official-present", "Each entry has the object `io.modelcontextprotocol.registry/official`.", ANSWER)
def official_present(registry):
    for entry in registry.sample:
        expect.official(entry)


@rule(
    "official-keys",
    "The official object has no key that the description does not name.",
    f"{ANSWER}, additionalProperties: false",
)
def official_keys(registry):
    for entry in registry.sample:
        unknown = sorted(expect.official(entry).keys() - OFFICIAL_KEYS)
        expect.same(unknown, [], f"the unknown keys of {expect.key(entry)}")


@rule("official-complete", "The official object says `status`, `publishedAt`, `updatedAt` and `isLatest`.", OFFICIAL)
def official_complete(registry):
    for entry in registry.sample:
        missing = [name for name in ALWAYS if name not in expect.official(entry)]
        expect.same(missing, [], f"the missing keys of {expect.key(entry)}")


@rule("official-status", "`status` is `active`, `deprecated` or `deleted`.", ANSWER)
def official_status(registry):
    for entry in registry.sample:
        status = expect.official(entry).get("status")
        expect.that(status in STATUSES, "one of " + ", ".join(STATUSES), expect.shown(status))


@rule("official-message", "`statusMessage`, where there is one, is a text of at most 500 characters.", ANSWER)
def official_message(registry):
    for entry in registry.sample:
        message = expect.official(entry).get("statusMessage", "")
        expect.that(isinstance(message, str) and len(message) <= 500, "at most 500 characters", expect.shown(message))


@rule("official-is-latest", "`isLatest` is a boolean, not a number or a text.", ANSWER)
def official_is_latest(registry):
    for entry in registry.sample:
        expect.member(expect.official(entry), "isLatest", bool, None, "the official object")


@rule("official-instants", "Every instant is RFC 3339, with its offset.", rfc(3339, "5.6"))
def official_instants(registry):
    for entry in registry.sample:
        for name in {"publishedAt", "updatedAt", "statusChangedAt"} & expect.official(entry).keys():
            expect.instant(expect.official(entry)[name])


@rule("official-instants-ordered", "Nothing was updated before it was published.", ANSWER)
def official_instants_ordered(registry):
    for entry in registry.sample:
        meta = expect.official(entry)
        published, updated = meta.get("publishedAt"), meta.get("updatedAt")
        in_order = expect.instant(published) <= expect.instant(updated)
        expect.that(in_order, f"{expect.key(entry)} updated at {published} or later", expect.shown(updated))


@rule("official-one-latest", "At most one listed version of a server is the latest.", ANSWER)
def official_one_latest(registry):
    latest = [entry["server"]["name"] for entry in registry.sample if expect.official(entry).get("isLatest") is True]
    twice = sorted({name for name in latest if latest.count(name) > 1})
    expect.same(twice, [], "the servers with two latest versions")


@rule(
    "list-order",
    "A list is ordered by name; whether by bytes, by letters or by letters and digits alone, is free.",
    OFFICIAL,
)
def list_order(registry):
    names = list(dict.fromkeys(entry["server"]["name"] for entry in registry.sample))
    orders = [str, str.casefold, lambda name: re.sub(r"[^a-z0-9]", "", name.casefold())]
    if any(names == sorted(names, key=order) for order in orders):
        return
    pair = next((pair for pair in pairwise(names) if pair[0] > pair[1]), names[:2])
    expect.that(False, "names in order", f"{pair[0]} before {pair[1]}")


@rule("list-together", "All versions of a server stand together.", OFFICIAL)
def list_together(registry):
    names = [entry["server"]["name"] for entry in registry.sample]
    runs = [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
    expect.same(sorted({name for name in runs if runs.count(name) > 1}), [], "the servers in two places")
