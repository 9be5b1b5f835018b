"""`search`."""

from urllib.parse import quote

from .. import expect
from ..rule import rule
from ..sources import LIST, SOUND
from .paging import mentions


@rule("search-whole-name", "`search` for a whole name finds the server.", LIST)
def search_whole_name(registry):
    found(registry, expect.key(registry.some)[0])


def found(registry, word):
    key = expect.key(registry.some)
    pages = registry.walk(100, search=word)
    keys = [found for answer in pages for found in expect.keys(expect.page(answer))]
    expect.that(key in keys, f"{key} among what `{word}` finds", expect.shown(keys))


@rule("search-part", "`search` for a part from the middle of a name finds the server.", f"{LIST}, substring match")
def search_part(registry):
    name = expect.key(registry.some)[0]
    found(registry, name[1:-1])


@rule("search-case", "`search` finds the same whatever the case.", f"{LIST}; what every client assumes")
def search_case(registry):
    word = registry.word

    def compare():
        lower = expect.keys(registry.entries(100, search=word.lower()))
        upper = expect.keys(registry.entries(100, search=word.upper()))
        expect.same(upper, lower, f"what `{word.upper()}` finds")

    registry.unchanged(compare)


@rule("search-only", "`search` lists nothing that has the text in neither name, title nor description.", LIST)
def search_only(registry):
    word = registry.word
    for answer in registry.walk(100, search=word):
        for entry in expect.page(answer):
            expect.that(mentions(entry, word), f"only entries with `{word}`", f"{expect.key(entry)}", answer)


@rule("search-all", "`search` leaves out no server whose name has the text.", f"{LIST}, substring match")
def search_all(registry):
    word = registry.word

    def compare():
        wanted = {key for key in expect.keys(registry.entries(100, most=100)) if word in key[0].lower()}
        # What matches by title or description comes between; no list of a search is longer than the catalog's.
        found = set(expect.keys(registry.entries(100, most=10_000, search=word)))
        expect.same(sorted(wanted - found), [], f"what `{word}` does not find")

    registry.unchanged(compare)


@rule("search-nothing", "`search` for what nobody has is an empty list, not an error.", LIST)
def search_nothing(registry):
    answer = registry.list(search="no-server-is-called-like-this-0f9a7c")
    expect.same(expect.page(answer), [], "the entries", answer)


@rule("search-literal", "`%` and `_` in `search` are letters like others, not wildcards of a database.", SOUND)
def search_literal(registry):
    # Marks alone: a search by words may take them for no word, and find nothing.
    for text in ("%", "___", "%.%"):
        answer = registry.list(limit=100, search=text)
        for entry in expect.page(answer):
            expect.that(mentions(entry, text), f"only entries with `{text}`", f"{expect.key(entry)}", answer)


@rule("search-odd", "No text in `search` breaks anything.", SOUND)
def search_odd(registry):
    texts = ("'", '"', "\\", "(", "[", "*", ";--", "\u0000", "é", "漢字", "💥", " ", "a" * 2000, "../", "<script>")
    for text in texts:
        expect.no_crash(registry.get(f"/servers?limit=1&search={quote(text, safe='')}"))
    expect.no_crash(registry.get("/servers?limit=1&search=%FF%FE"))


@rule("search-empty", "An empty `search` is no search.", LIST)
def search_empty(registry):
    answer = registry.get("/servers?limit=2&search=")
    expect.same(expect.keys(expect.page(answer)), expect.keys(registry.sample[:2]), "the entries", answer)
