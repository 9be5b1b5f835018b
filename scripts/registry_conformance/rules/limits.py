"""How long a page is."""

from .. import expect
from ..rule import Skip, rule
from ..sources import LIST, OFFICIAL, VS_CODE


@rule("limit-default", "Without `limit` a page has at most 30 entries, and so many if there are more.", OFFICIAL)
def limit_default(registry):
    answer = registry.list()
    entries = expect.page(answer)
    expect.that(len(entries) <= 30, "at most 30 entries", f"{len(entries)}", answer)
    if len(registry.sample) > 30:
        expect.same(len(entries), 30, "the number of entries", answer)


@rule("limit-kept", "A page has as many entries as `limit` says, if there are so many.", LIST)
def limit_kept(registry):
    if len(registry.sample) < 4:
        raise Skip("the catalog has fewer than four entries")
    answer = registry.list(limit=3)
    expect.same(len(expect.page(answer)), 3, "the number of entries", answer)


@rule(
    "limit-one",
    "`limit=1` answers with one entry that is complete, or VS Code takes the whole registry for broken.",
    VS_CODE,
)
def limit_one(registry):
    # Skips where there is none.
    assert registry.sample
    answer = registry.list(limit=1)
    entries = expect.page(answer)
    expect.same(len(entries), 1, "the number of entries", answer)
    for field in ("name", "description", "version"):
        expect.member(entries[0]["server"], field, str, answer, "`server`")
    expect.member(entries[0], "_meta", dict, answer, "the entry")


@rule("limit-largest", "`limit=100` is taken.", OFFICIAL)
def limit_largest(registry):
    answer = registry.list(limit=100)
    entries = expect.page(answer)
    if expect.cursor(answer):
        expect.same(len(entries), 100, "the number of entries", answer)


def refused(registry, limit):
    """422 by the official registry; 400 says the same to every client."""
    expect.status(registry.get(f"/servers?limit={limit}"), 400, 422)


@rule("limit-zero", "`limit=0` is refused with 422 or 400.", OFFICIAL)
def limit_zero(registry):
    refused(registry, 0)


@rule("limit-too-large", "`limit=101` is refused with 422 or 400.", OFFICIAL)
def limit_too_large(registry):
    refused(registry, 101)


@rule("limit-negative", "`limit=-1` is refused with 422 or 400.", OFFICIAL)
def limit_negative(registry):
    refused(registry, -1)


@rule("limit-no-number", "`limit=x` is refused with 422 or 400.", OFFICIAL)
def limit_no_number(registry):
    refused(registry, "x")


@rule("limit-huge", "A `limit` beyond every machine word is refused with 422 or 400.", OFFICIAL)
def limit_huge(registry):
    refused(registry, 10**30)
