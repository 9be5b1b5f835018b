"""Reads a node's whole catalog as VS Code does, and validates every page against the published OpenAPI document.

VS Code puts the cursor into the query as it stands, and drops the filters on every page but the first. The walks must
give each entry of the raw file exactly once, and each document as it was. The envelope and `_meta` are always valid; a
`server` is invalid only where the raw file's is, since a mirror changes nothing.
"""

import argparse
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import real_data
from node import Node

# Entries of the raw file that its own schema refuses: an empty `repository`, a package version `latest`, an unknown
# format or type of an argument.
INVALID_IN_THE_RAW_FILE = 197
OFFICIAL = "io.modelcontextprotocol.registry/official"
FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is not None


class Schemas:
    """Validators for parts of the OpenAPI document."""

    def __init__(self, data):
        document = yaml.safe_load((Path(data) / "registry" / "openapi.yaml").read_text())
        self.server = self.validator(document, "ServerDetail")
        # The document itself is judged on its own.
        document["components"]["schemas"]["ServerResponse"]["properties"]["server"] = {"type": "object"}
        self.page = self.validator(document, "ServerList")
        self.entry = self.validator(document, "ServerResponse")

    @staticmethod
    def validator(document, name):
        resource = Resource.from_contents(yaml.safe_load(yaml.safe_dump(document)), DRAFT202012)
        schema = {"$ref": f"urn:openapi#/components/schemas/{name}"}
        registry = Registry().with_resource("urn:openapi", resource)
        return Draft202012Validator(schema, registry=registry, format_checker=FORMATS)


def pages(node, filters):
    page = node.get(f"/v0.1/servers?limit=100{filters}")
    yield page
    while cursor := page["metadata"].get("nextCursor"):
        page = node.get(f"/v0.1/servers?limit=100&cursor={cursor}")
        yield page


def envelope_problems(schemas, page):
    for error in schemas.page.iter_errors(page):
        yield f"page: {error.json_path}: {error.message}"
    if page["metadata"].get("count") != len(page["servers"]):
        yield f"page: count {page['metadata'].get('count')} for {len(page['servers'])} entries"
    for entry in page["servers"]:
        if not isinstance(entry.get("_meta", {}).get(OFFICIAL), dict):
            yield f"{real_data.key(entry['server'])} has no official `_meta`"


def set_problems(what, got, expected):
    if missing := expected - got:
        yield f"{what}: missing {real_data.named(missing)}"
    if extra := got - expected:
        yield f"{what}: unexpected {real_data.named(extra)}"


class Walk:
    """All entries that a filter on the first page gives."""

    def __init__(self, node, schemas, filters=""):
        self.problems = []
        self.entries = []
        for page in pages(node, filters):
            self.problems += envelope_problems(schemas, page)
            self.entries += page["servers"]
        self.keys = {real_data.key(entry["server"]) for entry in self.entries}
        if len(self.keys) != len(self.entries):
            self.problems.append(f"{filters or 'all'}: {len(self.entries) - len(self.keys)} entries come twice")

    def must_be(self, what, expected):
        self.problems += set_problems(what, self.keys, expected)


def whole_catalog(node, schemas, raw):
    walk = Walk(node, schemas)
    walk.must_be("catalog", set(raw))
    served = {real_data.key(entry["server"]): entry["server"] for entry in walk.entries}
    changed = {key for key in raw.keys() & served.keys() if raw[key] != served[key]}
    walk.problems += set_problems("changed documents", changed, set())
    invalid_raw = {key for key, server in raw.items() if not schemas.server.is_valid(server)}
    invalid_served = {key for key, server in served.items() if not schemas.server.is_valid(server)}
    walk.problems += set_problems("invalid documents", invalid_served, invalid_raw)
    if len(invalid_raw) != INVALID_IN_THE_RAW_FILE:
        walk.problems.append(f"{len(invalid_raw)} documents of the raw file are invalid")
    return walk


def search(node, schemas, raw, word):
    """The filter stands on the first page only: the cursor has to carry it."""
    walk = Walk(node, schemas, f"&search={word}")
    texts = {key: [server["name"], server.get("title", ""), server["description"]] for key, server in raw.items()}
    walk.must_be(f"search {word}", {key for key in raw if any(word in text.lower() for text in texts[key])})
    return walk


def latest(node, schemas, raw):
    """One version of every server."""
    walk = Walk(node, schemas, "&version=latest")
    names = sorted(name for name, _ in walk.keys)
    if names != sorted({name for name, _ in raw}):
        walk.problems.append(f"version=latest: {len(names)} entries are not one of each server")
    return walk


def one_by_one(node, schemas, walk):
    """Every version by itself, all versions of each server, and its latest: the same entries as in the list."""
    listed = {real_data.key(entry["server"]): entry for entry in walk.entries}
    for name, version in listed:
        path = f"/v0.1/servers/{quote(name, safe='')}/versions/{quote(version, safe='')}"
        walk.problems += answer_problems(path, schemas.entry, node.get(path), listed[name, version])
    for name in sorted({name for name, _ in listed}):
        path = f"/v0.1/servers/{quote(name, safe='')}/versions"
        versions, latest = node.get(path), node.get(f"{path}/latest")
        walk.problems += envelope_problems(schemas, versions)
        own = {real_data.key(entry["server"]): entry for entry in versions["servers"]}
        if own != {key: entry for key, entry in listed.items() if key[0] == name}:
            walk.problems.append(f"{path}: not the entries that are listed")
        marked = [entry for entry in own.values() if entry["_meta"][OFFICIAL]["isLatest"]]
        walk.problems += answer_problems(f"{path}/latest", schemas.entry, latest, *marked)


def answer_problems(path, schema, answer, listed):
    yield from (f"{path}: {error.json_path}: {error.message}" for error in schema.iter_errors(answer))
    if answer != listed:
        yield f"{path}: not the entry that is listed"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="base URL of a node")
    parser.add_argument("--data", required=True, help="folder of the real data")
    parser.add_argument("--token-env", help="environment variable with a token, if reads need one")
    parser.add_argument("--one-by-one", action="store_true", help="ask for every version and every server too")
    options = parser.parse_args()
    node, schemas, raw = Node(options.base, options.token_env), Schemas(options.data), real_data.servers(options.data)
    walks = [
        whole_catalog(node, schemas, raw),
        search(node, schemas, raw, "github"),
        latest(node, schemas, raw),
    ]
    if options.one_by_one:
        one_by_one(node, schemas, walks[0])
    if problems := [problem for walk in walks for problem in walk.problems]:
        raise SystemExit("\n".join(problems))
    everything, found, newest = (len(walk.entries) for walk in walks)
    print(
        f"catalog: {everything} entries once each and unchanged, {INVALID_IN_THE_RAW_FILE} invalid there as here; "
        f"{found} found for `github`; {newest} latest"
    )


if __name__ == "__main__":
    main()
