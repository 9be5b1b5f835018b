"""Predicts the answer to a connect for every entry of the raw file, and compares what each node says.

The prediction knows nothing of the program: it reads the file and the rule that a descriptor is for the first
`streamable-http` remote. Every descriptor is verified with PyJWT against the node's own key set.
"""

import argparse
from collections import Counter

import jwt

import real_data
from node import Node


def predict(server):
    """The code, and the endpoint if there is one."""
    remotes = [remote for remote in server.get("remotes", []) if remote["type"] == "streamable-http"]
    if not remotes:
        return "transport_not_supported", None
    url = remotes[0]["url"]
    return ("variable_required", None) if "{" in url else ("ok", url)


class Authority:
    """One node, and the keys that it publishes."""

    def __init__(self, base, issuer, token_env):
        self.node = Node(base, token_env)
        self.issuer = issuer
        keys = jwt.PyJWKSet.from_dict(self.node.get("/.well-known/jwks.json")).keys
        self.keys = {key.key_id: key for key in keys}

    def claims(self, descriptor, audience):
        key = self.keys[jwt.get_unverified_header(descriptor)["kid"]]
        return jwt.decode(descriptor, key, algorithms=["EdDSA"], audience=audience, issuer=self.issuer)

    def connect(self, name, version):
        """The code and the endpoint; for a yes, both as the signed claims say them."""
        status, body = self.node.request("POST", "/v1/connect", {"server_ref": f"{name}@{version}"})
        if status != 200:
            return body.get("code", f"status {status}"), None
        claims = self.claims(body["descriptor"], body["endpoint"])["mcp"]
        if (claims["server"]["id"], claims["server"]["version"]) != (name, version):
            return f"descriptor for {claims['server']}", claims["endpoint"]
        return "ok", claims["endpoint"]


def compare(authority, expected):
    """How often each code came, and where the answer is not the prediction."""
    codes, problems = Counter(), []
    for (name, version), prediction in expected.items():
        answer = authority.connect(name, version)
        codes[answer[0]] += 1
        if answer != prediction:
            problems.append(f"{authority.node.base}: {name}@{version}: {answer}, predicted {prediction}")
    return codes, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder of the real data")
    parser.add_argument("--base", required=True, nargs="+", help="base URLs of the nodes")
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--token-env", required=True, help="environment variable with a client's token")
    options = parser.parse_args()
    expected = {key: predict(server) for key, server in real_data.servers(options.data).items()}
    problems = []
    for base in options.base:
        codes, different = compare(Authority(base, options.issuer, options.token_env), expected)
        print(f"{base}: {', '.join(f'{count} {code}' for code, count in codes.most_common())}")
        problems += different
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"connect: {len(expected)} predictions hold on each of {len(options.base)} nodes")


if __name__ == "__main__":
    main()
