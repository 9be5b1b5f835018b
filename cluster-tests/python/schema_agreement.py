"""The published JSON schemas of `server.json` and the node's own validator, on real documents and on mutated ones.

Each document is judged by the schema that it names (by the current one, if it names none that was published), and by
`POST /v0.1/validate`. Where the two do not agree, what the stricter one says must stand in the table of
`docs/validation.md`; and what stands there must occur, so that the page says neither too little nor too much.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

from jsonschema.validators import validator_for

import mutations
import real_data
from node import Node

LEAST_MUTANTS = 200
ROW = re.compile(r"^\| (registry|schema) \| `([^`]+)` \| ((?:current|earlier|none|, )+) \| .+ \|$", re.MULTILINE)
INDEX = re.compile(r"\[\d+\]")


class Schemas:
    """The published schemas by their `$id`. Formats are not checked: to JSON Schema they are notes."""

    def __init__(self, data):
        schemas = [
            json.loads(path.read_text()) for path in sorted((Path(data) / "registry").glob("server.schema.*.json"))
        ]
        self.by_id = {schema["$id"]: validator_for(schema)(schema) for schema in schemas}

    def breaches(self, document):
        """What the schema refuses, as `keyword at place`, without the numbers of array items."""
        named = document.get("$schema")
        schema = self.by_id[named if self.named(document) != "none" else mutations.CURRENT]
        return {f"{error.validator} at {INDEX.sub('[]', error.json_path)}" for error in schema.iter_errors(document)}

    def named(self, document):
        """Which schema a document names: the current one, an earlier one, or none of those that were published."""
        named = document.get("$schema")
        if not isinstance(named, str) or named not in self.by_id:
            return "none"
        return "current" if named == mutations.CURRENT else "earlier"


def refusals(node, document):
    """What the node refuses, by the names of its rules."""
    status, answer = node.request("POST", "/v0.1/validate", document)
    if status != 200:
        raise SystemExit(f"validate: status {status}: {answer}")
    errors = {issue["reference"] for issue in answer["issues"] if issue["severity"] == "error"}
    if answer["valid"] != (not errors):
        raise SystemExit(f"validate: valid is {answer['valid']}, and the errors are {errors}")
    return errors


class Comparison:
    def __init__(self, node, schemas):
        self.node, self.schemas = node, schemas
        self.verdicts = Counter()
        # What one of them alone refuses: (who, what, the schema that is named) to examples.
        self.differences = defaultdict(list)

    def agree(self, what, document):
        """Whether both take the document, or both refuse it."""
        breaches, refused = self.schemas.breaches(document), refusals(self.node, document)
        self.verdicts["taken" if not breaches else "refused", "taken" if not refused else "refused"] += 1
        if bool(breaches) == bool(refused):
            return not breaches
        named = self.schemas.named(document)
        for who, found in ("schema", breaches), ("registry", refused):
            for one in found:
                self.differences[who, one, named].append(what)
        return False


def listed(page):
    rows = ROW.findall(Path(page).read_text())
    if not rows:
        raise SystemExit(f"{page}: no table of differences")
    return {(who, what, schema) for who, what, schemas in rows for schema in schemas.split(", ")}


def problems(comparison, page, mutants):
    differences, table = comparison.differences, listed(page)
    for who, what, schema in sorted(differences.keys() - table):
        examples = differences[who, what, schema]
        about = f"{examples[0]} ({len(examples)} times)"
        yield f"only the {who} refuses, and the page does not say so: `{what}` with {schema} schema, as at {about}"
    for who, what, schema in sorted(table - differences.keys()):
        yield f"the page says that only the {who} refuses `{what}` with {schema} schema: that does not happen"
    if mutants < LEAST_MUTANTS:
        yield f"only {mutants} mutants"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="base URL of a node")
    parser.add_argument("--data", required=True, help="folder of the real data")
    parser.add_argument("--page", required=True, help="docs/validation.md")
    options = parser.parse_args()
    raw = real_data.servers(options.data)
    comparison = Comparison(Node(options.base), Schemas(options.data))
    good = [(key, document) for key, document in sorted(raw.items()) if comparison.agree(f"{key}", document)]
    mutants = list(mutations.mutated(good))
    for name, key, document in mutants:
        comparison.agree(f"`{name}` of {key}", document)
    if found := list(problems(comparison, options.page, len(mutants))):
        raise SystemExit("\n".join(found))
    verdicts = ", ".join(
        f"{count} {schema} by the schema and {own} here" for (schema, own), count in sorted(comparison.verdicts.items())
    )
    print(f"{len(raw)} real documents and {len(mutants)} mutants by {len(mutations.OPERATORS)} operators: {verdicts}")


if __name__ == "__main__":
    main()
