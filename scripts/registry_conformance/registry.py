"""The registry that is judged, and what rules need to know of it."""

import secrets
from functools import cached_property
from urllib.parse import quote, urlencode

from . import expect
from .rule import Fail, Skip

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
# A large catalog is not read to its end: so many entries are looked at.
LOOKED_AT = 300
# A catalog that is being written to may change between two requests that are compared. It is asked again so often.
TRIES = 3


def escaped(text):
    """A part of a path."""
    return quote(text, safe="")


class Registry:
    def __init__(self, client, namespace=None):
        self.client, self.namespace = client, namespace
        # What this run has published, to be withdrawn at its end.
        self.published = []
        self.supported = {}

    # Reading.

    def get(self, path, **options):
        return self.client.ask("GET", path, **options)

    def list(self, **parameters):
        return self.get("/servers" + (f"?{urlencode(parameters)}" if parameters else ""))

    def versions(self, name, **parameters):
        return self.get(f"/servers/{escaped(name)}/versions" + (f"?{urlencode(parameters)}" if parameters else ""))

    def version(self, name, version, **parameters):
        path = self.path(name, version)
        return self.get(path + (f"?{urlencode(parameters)}" if parameters else ""))

    def path(self, name, version):
        return f"/servers/{escaped(name)}/versions/{escaped(version)}"

    def walk(self, limit, most=LOOKED_AT, **parameters):
        """The answers page by page until the end, or until `most` entries have come. Each cursor goes back as it came,
        un-encoded, and without the filter, as VS Code does it."""
        answer = self.list(limit=limit, **parameters)
        seen = 0
        while True:
            seen += len(expect.page(answer))
            yield answer
            following = expect.cursor(answer)
            if not following or seen >= most:
                return
            answer = self.get(f"/servers?limit={limit}&cursor={following}")

    def entries(self, limit, most=LOOKED_AT, **parameters):
        pages = self.walk(limit, most, **parameters)
        return [entry for answer in pages for entry in expect.page(answer)][:most]

    def unchanged(self, compare):
        """Compares until the catalog stands still for as long as that takes."""
        for attempt in range(TRIES):
            before = self.list(limit=100).body
            try:
                return compare()
            except Fail:
                if attempt == TRIES - 1 or self.list(limit=100).body == before:
                    raise

    # What there is to judge by.

    @cached_property
    def sample(self):
        """The first entries of the catalog."""
        entries = self.entries(100)
        if not entries:
            raise Skip("the catalog is empty")
        return entries

    @cached_property
    def some(self):
        """An active entry from the middle of the sample, whose server is not the first one."""
        active = [entry for entry in self.sample if expect.official(entry).get("status") == "active"]
        return (active or self.sample)[len(active or self.sample) // 2]

    @cached_property
    def latest_entry(self):
        for entry in self.sample:
            if expect.official(entry).get("isLatest") is True:
                return entry
        raise Skip("none of the first entries is a latest version")

    @cached_property
    def with_versions(self):
        """The name of a server with more than one version."""
        names = [entry["server"]["name"] for entry in self.sample]
        twice = [name for name in names if names.count(name) > 1]
        if not twice:
            raise Skip("no server among the first entries has more than one version")
        return max(twice, key=twice.count)

    @cached_property
    def deleted_entry(self):
        """The last one, so that other entries stand before it."""
        for entry in reversed(self.entries(100, include_deleted="true")):
            if expect.official(entry).get("status") == "deleted":
                return entry
        raise Skip("none of the first entries is deleted")

    @cached_property
    def word(self):
        """The rarest word that at least three names of the sample have, and others have not."""
        names = {entry["server"]["name"].lower() for entry in self.sample}
        words = {part for name in names for part in name.replace(".", "/").replace("-", "/").split("/")}
        hits = {word: sum(word in name for name in names) for word in words if len(word) > 2}
        some = sorted(word for word, count in hits.items() if 2 < count < len(names))
        if not some:
            raise Skip("no word stands in some of the first names and not in others")
        return min(some, key=hits.__getitem__)

    # Writing. Each rule writes to servers of its own, so that none is judged by what another has left.

    def fresh_name(self, namespace=None):
        return f"{namespace or self.namespace}/conformance-{secrets.token_hex(6)}"

    def document(self, name=None, version="1.0.0", **fields):
        name = name or self.fresh_name()
        host = name.replace("/", "-").replace(".", "-").lower()
        remote = {"type": "streamable-http", "url": f"https://{host}.example/{version.replace('+', '-')}/mcp"}
        known = {"$schema": SCHEMA, "name": name, "description": "Made by a conformance suite", "version": version}
        return known | {"remotes": [remote]} | fields

    def post(self, document, **options):
        """Tries to publish, and remembers to withdraw."""
        answer = self.client.ask("POST", "/publish", document, **options)
        if answer.status == 200 and isinstance(document, dict):
            self.published.append((document["name"], document["version"]))
        return answer

    def publish(self, name=None, version="1.0.0", **fields):
        """Publishes what the rule needs. That it can be published is judged by other rules."""
        document = self.document(name, version, **fields)
        answer = self.post(document)
        if answer.status not in (200, 201):
            raise Fail("status 200 for what this rule begins with", answer.summary(), answer)
        if answer.status == 201:
            self.published.append((document["name"], document["version"]))
        return document

    def patch(self, name, version, status, message=None, **options):
        body = {"status": status} | ({} if message is None else {"statusMessage": message})
        return self.client.ask("PATCH", f"{self.path(name, version)}/status", body, **options)

    def patch_all(self, name, status, message=None, **options):
        body = {"status": status} | ({} if message is None else {"statusMessage": message})
        return self.client.ask("PATCH", f"/servers/{escaped(name)}/status", body, **options)

    def put(self, name, version, document, **options):
        return self.client.ask("PUT", self.path(name, version), document, **options)

    def delete(self, name, version, **options):
        return self.client.ask("DELETE", self.path(name, version), **options)

    def needs(self, method):
        """Skips where an optional endpoint is not offered: asked without a token for a version that exists."""
        if method not in self.supported:
            document = self.publish()
            path = self.path(document["name"], document["version"])
            body = document if method == "PUT" else None
            self.supported[method] = self.client.ask(method, path, body, token=None).status
        if self.supported[method] in (404, 405, 501):
            raise Skip(f"the registry does not offer {method}: status {self.supported[method]}")

    def withdraw(self):
        """Marks as deleted what this run has published, as far as the registry can."""
        for name, version in self.published:
            self.patch(name, version, "deleted", "made by a conformance suite")
