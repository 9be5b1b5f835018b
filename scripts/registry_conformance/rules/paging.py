"""Cursors."""

from urllib.parse import parse_qsl, urlencode

from .. import expect
from ..rule import Skip, rule
from ..sources import LIST, OFFICIAL, SOUND, VS_CODE


def first_cursor(registry, **parameters):
    answer = registry.list(**({"limit": 1} | parameters))
    expect.page(answer)
    cursor = expect.cursor(answer)
    if not cursor:
        raise Skip("there is no second page")
    return cursor, answer


@rule("cursor-joins", "Small pages joined are the large page: nothing is lost, nothing comes twice.", LIST)
def cursor_joins(registry):
    def compare():
        large = expect.keys(registry.entries(100, most=100))
        small = expect.keys(registry.entries(7, most=len(large)))
        expect.same(small, large, "the entries of pages of seven")

    first_cursor(registry)
    registry.unchanged(compare)


@rule("cursor-to-the-end", "Following the cursor comes to an end.", LIST)
def cursor_to_the_end(registry):
    word = registry.some["server"]["name"]
    # By the search alone: some registries drop it on later pages, which another rule judges.
    most = 20 * len(expect.page(registry.list(limit=100, search=word))) + 20
    answer = registry.list(limit=1, search=word)
    for _ in range(most):
        cursor = expect.cursor(answer)
        if not cursor:
            return
        answer = registry.list(limit=1, search=word, cursor=cursor)
        expect.page(answer)
    expect.that(False, f"an end within {most} pages", "a further cursor", answer)


@rule("cursor-plain", "A cursor means the same un-encoded in a query: VS Code does not encode it.", VS_CODE)
def cursor_plain(registry):
    first_cursor(registry)
    for answer in registry.walk(9, most=60):
        cursor = expect.cursor(answer)
        if not cursor:
            return
        plain = cursor.isascii() and cursor.isprintable() and "#" not in cursor and " " not in cursor
        right = plain and parse_qsl(f"cursor={cursor}") == [("cursor", cursor)]
        expect.that(right, "a text without any of `+ & # %`, spaces and what is not ASCII", cursor, answer)


@rule("cursor-encoded", "A cursor that the client does encode leads to the same page.", LIST)
def cursor_encoded(registry):
    cursor, _ = first_cursor(registry, limit=2)
    every = "".join(f"%{byte:02X}" for byte in cursor.encode())
    plain = expect.keys(expect.page(registry.get(f"/servers?limit=2&cursor={cursor}")))
    encoded = registry.get(f"/servers?limit=2&cursor={every}")
    expect.same(expect.keys(expect.page(encoded)), plain, "the entries", encoded)


@rule("cursor-keeps-search", "A cursor keeps on searching when later pages leave `search` out.", VS_CODE)
def cursor_keeps_search(registry):
    word = registry.word
    first_cursor(registry, search=word, limit=2)
    for answer in registry.walk(2, most=12, search=word):
        for entry in expect.page(answer):
            expect.that(mentions(entry, word), f"only entries with `{word}`", f"{expect.key(entry)}", answer)


def mentions(entry, word):
    server = entry["server"]
    texts = [server["name"], server.get("title", ""), server.get("description", "")]
    return any(word in text.lower() for text in texts if isinstance(text, str))


@rule("cursor-keeps-version", "A cursor keeps to `version=latest` when later pages leave it out.", VS_CODE)
def cursor_keeps_version(registry):
    # Skips where there is none: a latest version is then all that there is.
    assert registry.with_versions
    first_cursor(registry, version="latest")
    most = len(registry.sample)
    for answer in registry.walk(10, most=most, version="latest"):
        for entry in expect.page(answer):
            is_latest = expect.official(entry, answer).get("isLatest") is True
            expect.that(is_latest, "only latest versions", f"{expect.key(entry)}", answer)


@rule("cursor-keeps-deleted", "A cursor keeps to `include_deleted=true` when later pages leave it out.", VS_CODE)
def cursor_keeps_deleted(registry):
    gone = expect.key(registry.deleted_entry)

    def compare():
        keys = expect.keys(registry.entries(100, include_deleted="true"))
        wanted = keys[: keys.index(gone) + 1]
        # So small that the deleted entry is not on the first page, which still has the filter.
        joined = registry.entries(min(13, len(wanted) - 1), most=len(wanted), include_deleted="true")
        expect.same(expect.keys(joined), wanted, "the entries of smaller pages")

    if expect.key(registry.entries(1, most=1, include_deleted="true")[0]) == gone:
        raise Skip("the deleted entry is the very first one")
    registry.unchanged(compare)


@rule("cursor-with-filter", "Repeating the filter beside the cursor changes nothing.", LIST)
def cursor_with_filter(registry):
    word = registry.word
    cursor, _ = first_cursor(registry, search=word, limit=2)
    query = urlencode({"limit": 2, "search": word})
    answer = registry.get(f"/servers?{query}&cursor={cursor}")
    for entry in expect.page(answer):
        expect.that(mentions(entry, word), f"only entries with `{word}`", f"{expect.key(entry)}", answer)
    expect.that(expect.page(answer), "at least one entry behind the cursor", "none", answer)


@rule("cursor-other-limit", "A cursor can be followed with another `limit`.", LIST)
def cursor_other_limit(registry):
    if len(registry.sample) < 6:
        raise Skip("the catalog has fewer than six entries")
    cursor, _ = first_cursor(registry, limit=2)
    answer = registry.get(f"/servers?limit=3&cursor={cursor}")
    expect.same(expect.keys(expect.page(answer)), expect.keys(registry.sample[2:5]), "the entries", answer)


@rule("cursor-repeats", "The same cursor leads to the same page again.", SOUND)
def cursor_repeats(registry):
    cursor, _ = first_cursor(registry, limit=2)

    def compare():
        first, second = (registry.get(f"/servers?limit=5&cursor={cursor}") for _ in range(2))
        expect.same(expect.keys(expect.page(second)), expect.keys(expect.page(first)), "the entries", second)

    registry.unchanged(compare)


@rule(
    "cursor-opaque",
    "A cursor does not show the name it stands behind, which tempts clients to write their own.",
    f"{LIST}, opaque",
)
def cursor_opaque(registry):
    cursor, answer = first_cursor(registry)
    name = expect.page(answer)[-1]["server"]["name"]
    expect.that(name not in cursor, "an opaque text", cursor, answer)


@rule("cursor-garbage", "A cursor that never was one breaks nothing.", SOUND)
def cursor_garbage(registry):
    for text in ("x", "%00", "AAAA", "%F0%9F%92%A5", "..%2F..%2F", "%27%20OR%201%3D1--", "A" * 3000):
        expect.no_crash(registry.get(f"/servers?cursor={text}"))


@rule("cursor-tampered", "A cursor that was changed or cut off is refused, since it would skip entries unseen.", SOUND)
def cursor_tampered(registry):
    cursor, _ = first_cursor(registry)
    middle = len(cursor) // 2
    other = "A" if cursor[middle] != "A" else "B"
    for changed in (cursor[:middle] + other + cursor[middle + 1 :], cursor[:middle], f"{cursor}AAAA"):
        expect.client_error(registry.get(f"/servers?cursor={changed}"))


@rule("cursor-empty", "An empty `cursor` is the first page: some clients send every parameter they know.", OFFICIAL)
def cursor_empty(registry):
    answer = registry.get("/servers?limit=2&cursor=")
    expect.same(expect.keys(expect.page(answer)), expect.keys(registry.sample[:2]), "the entries", answer)
