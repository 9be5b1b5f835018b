"""Which version is the latest."""

from .. import expect
from ..rule import rule
from ..sources import OFFICIAL, VERSION


def latest(registry, name):
    answer = registry.version(name, "latest")
    return expect.one(answer)["server"]["version"], answer


def published(registry, *versions):
    name = registry.fresh_name()
    for version in versions:
        registry.publish(name, version)
    return name


@rule("latest-newer", "A newer version takes the mark `isLatest` from the older one.", VERSION, writes=True)
def latest_newer(registry):
    name = published(registry, "1.0.0", "1.1.0")
    for version, expected in (("1.0.0", False), ("1.1.0", True)):
        answer = registry.version(name, version)
        expect.same(
            expect.official(expect.one(answer), answer).get("isLatest"), expected, f"isLatest of {version}", answer
        )
    expect.same(latest(registry, name)[0], "1.1.0", "the latest version")


@rule(
    "latest-by-numbers",
    "1.10.0 is later than 1.9.0, whichever was published last.",
    f"{OFFICIAL}, semantic versions",
    writes=True,
)
def latest_by_numbers(registry):
    name = published(registry, "1.10.0", "1.9.0")
    version, answer = latest(registry, name)
    expect.same(version, "1.10.0", "the latest version", answer)


@rule("latest-pre-release", "A pre-release is earlier than its release.", f"{OFFICIAL}, semantic versions", writes=True)
def latest_pre_release(registry):
    name = published(registry, "1.0.0", "1.0.0-beta.2")
    version, answer = latest(registry, name)
    expect.same(version, "1.0.0", "the latest version", answer)


@rule("latest-by-time", "Where no version is semantic, the last one published is the latest.", OFFICIAL, writes=True)
def latest_by_time(registry):
    name = published(registry, "spring", "autumn")
    version, answer = latest(registry, name)
    expect.same(version, "autumn", "the latest version", answer)


@rule(
    "latest-versions-order",
    "The versions of a server are listed newest first, as they were published.",
    VERSION,
    writes=True,
)
def latest_versions_order(registry):
    name = published(registry, "2.0.0", "1.0.0", "3.0.0")
    answer = registry.versions(name)
    versions = [version for _, version in expect.keys(expect.page(answer))]
    expect.same(versions, ["3.0.0", "1.0.0", "2.0.0"], "the versions", answer)
