"""Filters of the list other than `search`."""

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from .. import expect
from ..rule import Skip, rule
from ..sources import LIST, OFFICIAL, SOUND


def shifted(text, **by):
    """An instant of the registry, moved; to the second where it moves backwards, so that it is earlier for certain."""
    seconds, _ = expect.instant(text)
    moved = datetime.fromtimestamp(seconds, timezone.utc) + timedelta(**by)
    return moved.strftime("%Y-%m-%dT%H:%M:%SZ")


def newest(registry):
    """The entry of the sample that changed last, and when."""
    entry = max(registry.sample, key=lambda entry: expect.instant(expect.official(entry).get("updatedAt")))
    return entry, expect.official(entry)["updatedAt"]


@rule("latest-filter", "`version=latest` lists each server once, by an entry that is its latest.", LIST)
def latest_filter(registry):
    entries = registry.entries(100, version="latest")
    names = [entry["server"]["name"] for entry in entries]
    expect.same(sorted({name for name in names if names.count(name) > 1}), [], "the servers listed twice")
    for entry in entries:
        is_latest = expect.official(entry).get("isLatest")
        expect.that(is_latest is True, f"{expect.key(entry)} to be the latest", f"isLatest {is_latest}")


@rule("latest-filter-whole", "`version=latest` lists every server that has a listed latest version.", LIST)
def latest_filter_whole(registry):
    def compare():
        marked = [
            key
            for entry in registry.entries(100)
            if expect.official(entry).get("isLatest")
            for key in [expect.key(entry)]
        ]
        listed = expect.keys(registry.entries(100, most=len(marked), version="latest"))
        expect.same(listed, marked, "the latest versions")

    registry.unchanged(compare)


@rule("version-filter", "`version=1.2.3` lists that version alone, of whichever server.", LIST)
def version_filter(registry):
    key = expect.key(registry.some)
    answer = registry.list(limit=100, version=key[1], search=key[0])
    keys = expect.keys(expect.page(answer))
    expect.that(key in keys, f"{key}", expect.shown(keys), answer)
    expect.same({version for _, version in keys}, {key[1]}, "the versions", answer)


@rule("version-filter-unknown", "`version=` of a version that nobody has lists nothing.", LIST)
def version_filter_unknown(registry):
    answer = registry.list(version="0.0.0-no-such-version")
    expect.same(expect.page(answer), [], "the entries", answer)


@rule(
    "since-strict",
    "`updated_since` lists only what changed strictly later: not what changed at that instant.",
    OFFICIAL,
)
def since_strict(registry):
    entry, since = newest(registry)
    answer = registry.list(limit=100, updated_since=since, search=entry["server"]["name"])
    expect.that(
        expect.key(entry) not in expect.keys(expect.page(answer)),
        "nothing of that instant",
        f"{expect.key(entry)}",
        answer,
    )
    for other in expect.page(answer):
        updated = expect.official(other, answer)["updatedAt"]
        expect.that(expect.instant(updated) > expect.instant(since), f"later than {since}", updated, answer)


@rule("since-lists", "`updated_since` an earlier instant lists what changed then.", LIST)
def since_lists(registry):
    entry, updated = newest(registry)
    since = shifted(updated, seconds=-1)
    answer = registry.list(limit=100, updated_since=since, search=entry["server"]["name"])
    keys = expect.keys(expect.page(answer))
    expect.that(expect.key(entry) in keys, f"{expect.key(entry)}", expect.shown(keys), answer)


@rule("since-only-later", "Every page of `updated_since` has later changes only.", LIST)
def since_only_later(registry):
    instants = sorted(expect.official(entry)["updatedAt"] for entry in registry.sample)
    since = shifted(instants[len(instants) // 2], seconds=0)
    for answer in registry.walk(20, most=100, updated_since=since):
        for entry in expect.page(answer):
            updated = expect.official(entry, answer)["updatedAt"]
            expect.that(expect.instant(updated) > expect.instant(since), f"later than {since}", updated, answer)


@rule(
    "since-offset",
    "`updated_since` may have an offset instead of `Z`, and a fraction of a second.",
    f"{LIST}, RFC 3339",
)
def since_offset(registry):
    for instant in ("2020-01-01T02:00:00+02:00", "2020-01-01T00:00:00.000Z", "2019-12-31T22:00:00.5-02:00"):
        answer = registry.get(f"/servers?limit=1&updated_since={quote(instant, safe='')}")
        expect.same(
            len(expect.page(answer)), len(registry.sample[:1]), f"the number of entries since {instant}", answer
        )


@rule("since-future", "`updated_since` the future is an empty list: `servers` is [], neither null nor an error.", LIST)
def since_future(registry):
    answer = registry.list(updated_since="2999-01-01T00:00:00Z")
    expect.same(expect.page(answer), [], "the entries", answer)


@rule("since-malformed", "`updated_since` that is no RFC 3339 date-time is refused with 400, or 422.", OFFICIAL)
def since_malformed(registry):
    for text in ("yesterday", "2025-08-07", "1754572504", "2025-13-41T00:00:00Z"):
        expect.status(registry.list(updated_since=text), 400, 422)


@rule("since-deleted", "`updated_since` lists what was deleted since, or followers would keep it for ever.", LIST)
def since_deleted(registry):
    entry = registry.deleted_entry
    since = shifted(expect.official(entry)["updatedAt"], seconds=-1)
    answer = registry.list(limit=100, updated_since=since, search=entry["server"]["name"])
    keys = expect.keys(expect.page(answer))
    expect.that(expect.key(entry) in keys, f"{expect.key(entry)}", expect.shown(keys), answer)


@rule("since-without-deleted", "`include_deleted=false` beside `updated_since` is refused with 400, or 422.", OFFICIAL)
def since_without_deleted(registry):
    answer = registry.list(updated_since="2020-01-01T00:00:00Z", include_deleted="false")
    expect.status(answer, 400, 422)


@rule("deleted-hidden", "A list shows nothing that is deleted unless it is asked to.", LIST)
def deleted_hidden(registry):
    deleted = [expect.key(entry) for entry in registry.sample if expect.official(entry).get("status") == "deleted"]
    expect.same(deleted, [], "the deleted entries")


@rule("deleted-hidden-when-told", "`include_deleted=false` is the same as leaving it out.", LIST)
def deleted_hidden_when_told(registry):
    name = registry.deleted_entry["server"]["name"]
    for parameters in ({}, {"include_deleted": "false"}):
        answer = registry.list(limit=100, search=name, **parameters)
        keys = expect.keys(expect.page(answer))
        gone = expect.key(registry.deleted_entry)
        expect.that(gone not in keys, f"no {gone}", expect.shown(keys), answer)


@rule("deleted-included", "`include_deleted=true` adds the deleted entries to the others.", LIST)
def deleted_included(registry):
    gone = expect.key(registry.deleted_entry)

    def compare():
        everything = expect.keys(registry.entries(100, include_deleted="true"))
        shown = set(expect.keys(registry.sample[:20]))
        expect.same(sorted(shown - set(everything)), [], "what `include_deleted=true` leaves out")
        expect.that(gone in everything, f"{gone}", expect.shown(everything))

    registry.unchanged(compare)


@rule("deleted-no-boolean", "`include_deleted` that is no boolean breaks nothing.", SOUND)
def deleted_no_boolean(registry):
    for text in ("maybe", "2", "%00"):
        expect.no_crash(registry.get(f"/servers?limit=1&include_deleted={text}"))


@rule("filters-together", "Filters hold together: `search` and `version=latest` give what both allow.", LIST)
def filters_together(registry):
    entry = registry.latest_entry
    answer = registry.list(limit=100, search=entry["server"]["name"], version="latest")
    entries = expect.page(answer)
    expect.that(
        expect.key(entry) in expect.keys(entries), f"{expect.key(entry)}", expect.shown(expect.keys(entries)), answer
    )
    for other in entries:
        expect.that(
            expect.official(other, answer).get("isLatest") is True,
            "latest versions only",
            f"{expect.key(other)}",
            answer,
        )


@rule("unknown-parameter", "A query parameter that nobody knows is ignored.", OFFICIAL)
def unknown_parameter(registry):
    if not registry.sample:
        raise Skip("the catalog is empty")
    answer = registry.list(limit=2, colour="green")
    expect.same(expect.keys(expect.page(answer)), expect.keys(registry.sample[:2]), "the entries", answer)
