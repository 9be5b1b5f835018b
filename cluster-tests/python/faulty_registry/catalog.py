"""A little catalog in memory, correct but for the one fault that it was made with."""

import copy
import re
from datetime import datetime, timedelta, timezone

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
# The catalog's own time: it begins here, and each change is a second later. No clock is read.
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


class Entry:
    def __init__(self, document, at):
        self.document = document
        self.status, self.message = "active", None
        self.published = self.updated = self.changed = at

    @property
    def key(self):
        return self.document["name"], self.document["version"]


def text_of(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def precedence(version):
    """Sorts semantic versions by their precedence; none for others."""
    match = SEMVER.fullmatch(version)
    if not match:
        return None
    numbers, pre = tuple(int(number) for number in match.groups()[:3]), match[4]
    parts = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in (pre or "").split("."))
    return numbers, not pre, parts


class Catalog:
    def __init__(self, wrong):
        self.wrong = wrong
        self.entries = {}
        self.ticks = 0
        self.fill()

    def now(self):
        self.ticks += 1
        return EPOCH + timedelta(seconds=self.ticks)

    def fill(self):
        """More entries than one page may have, servers with several versions, deprecated and deleted ones."""
        for number in range(45):
            name = f"com.example.{'weather' if number % 9 == 0 else 'tools'}/server-{number:02}"
            for version in ("1.0.0", "1.9.0", "1.10.0")[: 1 + number % 3]:
                self.add(document(name, version))
        for number in range(25):
            self.add(document(f"org.fixtures/build-{number:02}", f"2.0.0+build.{number}"))
        self.set_status(self.entries["com.example.tools/server-02", "1.9.0"], "deprecated", "Use 1.10.0")
        for key in (("com.example.tools/server-05", "1.10.0"), ("com.example.tools/server-06", "1.0.0")):
            self.set_status(self.entries[key], "deleted", "A mistake")

    # Changes.

    def add(self, document):
        entry = Entry(document, self.now())
        self.entries[entry.key] = entry
        return entry

    def set_status(self, entry, status, message):
        entry.status, former = status, entry.message
        stays = (self.wrong("status-message-kept") and former) or (self.wrong("status-message-stays") and not message)
        entry.message = former if stays else message
        if self.wrong("status-loses-message") or (status == "deleted" and self.wrong("status-deleted-loses-message")):
            entry.message = None
        if not self.wrong("status-keeps-instant"):
            entry.updated = entry.changed = self.now()
        if self.wrong("status-in-document"):
            entry.document = entry.document | {"status": status}

    def edit(self, entry, document):
        if not self.wrong("edit-does-nothing"):
            entry.document = document
        entry.updated = self.now()
        if self.wrong("edit-republishes"):
            entry.published = entry.updated

    # Questions.

    def get(self, name, version):
        if self.wrong("path-case-ignored"):
            keys = {(key[0].lower(), key[1]): key for key in self.entries}
            return self.entries.get(keys.get((name.lower(), version)))
        return self.entries.get((name, version))

    def of(self, name):
        """The versions of a server, the newest first."""
        alike = str.lower if self.wrong("path-case-ignored") else str
        found = [entry for entry in self.entries.values() if alike(entry.key[0]) == alike(name)]
        if self.wrong("versions-by-number"):
            return sorted(found, key=self.rank, reverse=True)
        return sorted(found, key=lambda entry: entry.published, reverse=not self.wrong("versions-oldest-first"))

    def rank(self, entry):
        """The greatest is the latest version of a server."""
        version = entry.key[1]
        semantic = precedence(version)
        if self.wrong("latest-stays"):
            return -entry.published.timestamp()
        if self.wrong("latest-by-letters"):
            return version
        if self.wrong("latest-pre-release") and semantic:
            semantic = (semantic[0], not semantic[1], semantic[2])
        order = entry.published.timestamp()
        if self.wrong("latest-first-of-words") and not semantic:
            order = -order
        return semantic is not None, semantic or (), order

    def latest(self, name):
        keep = self.wrong("status-deleted-stays-latest") or self.wrong("status-deleted-latest-shown")
        some = [entry for entry in self.of(name) if keep or entry.status != "deleted"]
        return max(some, key=self.rank, default=None)

    def is_latest(self, entry):
        return self.latest(entry.key[0]) is entry

    def ordered(self):
        by = (lambda key: key[::-1]) if self.wrong("order-by-version") else (lambda key: key)
        keys = sorted(self.entries, key=by, reverse=self.wrong("order-reversed"))
        return [self.entries[key] for key in keys]

    # Answers.

    def response(self, entry, listed=True):
        official = {
            "status": entry.status,
            "statusChangedAt": text_of(entry.changed),
            "publishedAt": text_of(entry.published),
            "updatedAt": text_of(entry.updated),
            "isLatest": self.is_latest(entry),
        }
        if entry.message:
            official["statusMessage"] = entry.message
        shown = copy.deepcopy(entry.document)
        meta = {"io.modelcontextprotocol.registry/official": official, "com.example/beside": {"kept": True}}
        spoil(self.wrong, entry, shown, official, meta)
        if not listed and self.wrong("version-loses-title"):
            shown.pop("title", None)
        return {"server": shown, "_meta": None if self.wrong("meta-null") else meta}


def spoil(wrong, entry, shown, official, meta):
    """The faults that stand in every entry, or in one."""
    chosen = entry.key == ("com.example.tools/server-04", "1.9.0")
    if wrong("is-latest-number"):
        official["isLatest"] = int(official["isLatest"])
    if wrong("two-latest") and entry.key[0] == "com.example.tools/server-02":
        official["isLatest"] = True
    if wrong("official-extra-key"):
        official["verified"] = True
    if wrong("official-without-updated"):
        del official["updatedAt"]
    if wrong("instants-without-offset"):
        official["publishedAt"] = official["publishedAt"].rstrip("Z")
    if wrong("official-missing"):
        meta.pop("io.modelcontextprotocol.registry/official")
    if not chosen:
        return
    if wrong("status-retired"):
        official["status"] = "retired"
    if wrong("message-too-long"):
        official["statusMessage"] = "x" * 501
    if wrong("updated-before-published"):
        official["updatedAt"] = text_of(EPOCH)
    if wrong("name-without-slash"):
        shown["name"] = "com.example.tools"
    if wrong("description-empty"):
        shown["description"] = ""
    if wrong("version-called-latest"):
        shown["version"] = "latest"
    if wrong("remote-without-url"):
        del shown["remotes"][0]["url"]


def document(name, version):
    host = name.replace("/", "-").replace(".", "-")
    return {
        "$schema": SCHEMA,
        "name": name,
        "title": f"Server {name.rpartition('-')[2]}",
        "description": "One of many, to have enough of them",
        "version": version,
        "remotes": [{"type": "streamable-http", "url": f"https://{host}.example/{version.replace('+', '-')}/mcp"}],
    }
