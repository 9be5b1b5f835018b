"""Publishes every real document that the strict rules take, and reads it back.

It comes back as the same JSON value and, since a registry must not lose what it does not know, byte for byte: each is
sent with a field that no registry knows, spelled as no library would write it. What is answered, when publishing and by
each way of reading, is valid against the published OpenAPI document.
"""

import argparse
import http.client
import json
import os
from collections import Counter
from urllib.parse import quote, urlsplit

import real_data
from validate_list import Schemas

# Numbers, escapes and white space that would not outlive being parsed and written again.
UNKNOWN = '"x-unknown" :{ "n":1.50e+3,"big":12345678901234567890123,"s":"\\u00fc\\/\\ud83d\\ude00" , "k":[ ]}'


# The others name no schema or an unknown one, or break a rule that `docs/validation.md` lists.
STRICTLY_VALID = 1825
PUBLISHED = "published and read back"


class Publisher:
    def __init__(self, base, token):
        self.connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30)
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def ask(self, method, target, body=None):
        self.connection.request(method, target, body, self.headers)
        response = self.connection.getresponse()
        return response.status, response.read()


def text_of(server):
    """The document as somebody may have written it, with the unknown field in front."""
    text = json.dumps(server, indent=2, ensure_ascii=False)
    return f"{{\n  {UNKNOWN}, {text[1:]}".encode()


def paths(name, version):
    name, version = (quote(part, safe="") for part in (name, version))
    return [f"/{api}/servers/{name}/versions/{version}" for api in ("v0", "v0.1")]


class Run:
    def __init__(self, publisher, schemas):
        self.publisher, self.schemas = publisher, schemas
        self.counts, self.problems = Counter(), []

    def publish(self, key, server):
        text = text_of(server)
        status, verdict = self.publisher.ask("POST", "/v0.1/validate", text)
        if status != 200 or not json.loads(verdict)["valid"]:
            self.counts["not valid by the strict rules"] += 1
            return
        status, body = self.publisher.ask("POST", "/v0.1/publish", text)
        if status != 200:
            self.problems.append(f"{key}: status {status}: {body.decode()}")
            return
        self.counts[PUBLISHED] += 1
        for path, answer in [("publish", body), *((path, self.read(path)) for path in paths(*key))]:
            self.problems += [f"{key}: {path}: {problem}" for problem in self.differences(server, text, answer)]

    def differences(self, server, text, answer):
        entry = json.loads(answer)
        if text not in answer:
            yield "not the bytes that were sent"
        if {name: value for name, value in entry["server"].items() if name != "x-unknown"} != server:
            yield "another value"
        if self.schemas.server.is_valid(entry["server"]) != self.schemas.server.is_valid(server):
            yield "valid as it was given and not as it is answered, or the other way round"
        yield from (error.message for error in self.schemas.entry.iter_errors(entry))

    def read(self, path):
        status, body = self.publisher.ask("GET", path)
        if status != 200:
            raise SystemExit(f"{path}: status {status}: {body.decode()}")
        return body


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="base URL of a node")
    parser.add_argument("--data", required=True, help="folder of the real data")
    parser.add_argument("--token-env", required=True, help="environment variable with a publisher's token")
    options = parser.parse_args()
    raw = real_data.servers(options.data)
    run = Run(Publisher(options.base, os.environ[options.token_env]), Schemas(options.data))
    for key, server in sorted(raw.items()):
        run.publish(key, server)
    if run.counts[PUBLISHED] != STRICTLY_VALID:
        run.problems.append(f"{run.counts[PUBLISHED]} documents were published")
    if run.problems:
        raise SystemExit("\n".join(run.problems[:20]))
    print("; ".join(f"{count} {what}" for what, count in run.counts.most_common()))


if __name__ == "__main__":
    main()
