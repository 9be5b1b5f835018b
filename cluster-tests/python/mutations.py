"""Real documents, each with one thing changed: by a named operator, and the same ones at every run."""

import copy

CURRENT = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
# An operator is tried on so many documents as they are, and on as many that name the current schema.
TIMES = 4


def assign(*path, to):
    """Puts a value at a place; the operator does not apply where the way to it does not exist."""

    def operator(document):
        *way, last = path
        at = follow(document, way)
        at[last] = to
        return document

    return operator


def drop(*path):
    def operator(document):
        *way, last = path
        del follow(document, way)[last]
        return document

    return operator


def add(field, **members):
    """Puts one more object into a list, which may be missing."""

    def operator(document):
        document[field] = [*document.get(field, []), members]
        return document

    return operator


def follow(document, way):
    for step in way:
        document = document[step]
    return document


def remote(url, **members):
    return add("remotes", type="streamable-http", url=url, **members)


def package(**members):
    known = {"registryType": "npm", "identifier": "a-package", "version": "1.0.0", "transport": {"type": "stdio"}}
    return add("packages", **{name: value for name, value in (known | members).items() if value is not None})


def argument(**members):
    return package(packageArguments=[members])


PUBLISHER = "io.modelcontextprotocol.registry/publisher-provided"
OPERATORS = {
    # What must be there.
    "name dropped": drop("name"),
    "description dropped": drop("description"),
    "version dropped": drop("version"),
    "$schema dropped": drop("$schema"),
    # Names.
    "name without slash": assign("name", to="com.example"),
    "name with two slashes": assign("name", to="com.example/a/b"),
    "name with a space": assign("name", to="com.example/a b"),
    "name with an umlaut": assign("name", to="com.example/wörter"),
    "name of 201 characters": assign("name", to="com.example/" + "a" * 189),
    "name of one letter each": assign("name", to="a/b"),
    "name that begins with a dot": assign("name", to=".example/server"),
    "name that ends with a hyphen": assign("name", to="com.example/server-"),
    "name that is a number": assign("name", to=7),
    # Texts.
    "description empty": assign("description", to=""),
    "description of 100 characters": assign("description", to="é" * 100),
    "description of 101 characters": assign("description", to="é" * 101),
    "description that is a list": assign("description", to=["text"]),
    "description null": assign("description", to=None),
    "title of 100 characters": assign("title", to="t" * 100),
    "title of 101 characters": assign("title", to="t" * 101),
    "title empty": assign("title", to=""),
    "title of blanks": assign("title", to="   "),
    "title null": assign("title", to=None),
    # Versions.
    "version latest": assign("version", to="latest"),
    "version that is a range": assign("version", to="^1.2.3"),
    "version with a wildcard": assign("version", to="1.x"),
    "version of words": assign("version", to="spring edition"),
    "version with build metadata": assign("version", to="1.0.0+build.7"),
    "version of 256 characters": assign("version", to="1" * 256),
    "version empty": assign("version", to=""),
    "version that is a number": assign("version", to=1.0),
    # Addresses.
    "websiteUrl https": assign("websiteUrl", to="https://example.com/a?b=c"),
    "websiteUrl http": assign("websiteUrl", to="http://example.com/"),
    "websiteUrl that is no URL": assign("websiteUrl", to="example dot com"),
    "websiteUrl that is a number": assign("websiteUrl", to=1),
    "icon": add("icons", src="https://example.com/a.png", mimeType="image/png", sizes=["48x48", "any"]),
    "icon without src": add("icons", mimeType="image/png"),
    "icon over http": add("icons", src="http://example.com/a.png"),
    "icon of 256 characters": add("icons", src="https://example.com/" + "a" * 236),
    "icon of an unknown type": add("icons", src="https://example.com/a.gif", mimeType="image/gif"),
    "icon of an unknown theme": add("icons", src="https://example.com/a.png", theme="blue"),
    "icon of an unknown size": add("icons", src="https://example.com/a.png", sizes=["large"]),
    "icons that are a text": assign("icons", to="https://example.com/a.png"),
    # Repositories.
    "repository without url": assign("repository", to={"source": "github"}),
    "repository without source": assign("repository", to={"url": "https://example.com/r"}),
    "repository with a url that is none": assign("repository", to={"url": "here", "source": "github"}),
    "repository over ssh": assign("repository", to={"url": "ssh://git@example.com/r", "source": "github"}),
    "repository that is a text": assign("repository", to="https://example.com/r"),
    "repository with a subfolder above": assign(
        "repository", to={"url": "https://example.com/r", "source": "github", "subfolder": "../x"}
    ),
    "repository empty": assign("repository", to={}),
    # Remotes.
    "remote": remote("https://mcp.example.com/{tenant}", variables={"tenant": {"description": "Whose"}}),
    "remote without url": add("remotes", type="streamable-http"),
    "remote without type": add("remotes", url="https://mcp.example.com/"),
    "remote of an unknown type": add("remotes", type="stdio", url="https://mcp.example.com/"),
    "remote that is a text": assign("remotes", to=["https://mcp.example.com/"]),
    "remote with a url that is none": remote("nowhere"),
    "remote with a space in its url": remote("https://mcp.example.com/a b"),
    "remote over http": remote("http://mcp.example.com/"),
    "remote on this machine": remote("https://localhost:8080/mcp"),
    "remote with a fragment": remote("https://mcp.example.com/#top"),
    "remote with a password": remote("https://a:b@mcp.example.com/"),
    "remote with an undeclared placeholder": remote("https://mcp.example.com/{tenant}"),
    "remote with a header without name": remote("https://mcp.example.com/", headers=[{"value": "x"}]),
    "remote with a header": remote("https://mcp.example.com/", headers=[{"name": "X-Key", "isSecret": True}]),
    "remotes null": assign("remotes", to=None),
    "remotes empty": assign("remotes", to=[]),
    # Packages.
    "package": package(),
    "package without identifier": package(identifier=None),
    "package without registryType": package(registryType=None),
    "package without transport": package(transport=None),
    "package without version": package(version=None),
    "package of an unknown registry": package(registryType="floppy"),
    "package with version latest": package(version="latest"),
    "package with a range": package(version="~1.2"),
    "package with a blank in its identifier": package(identifier="a package"),
    "package with a short hash": package(fileSha256="abc"),
    "package with a hash in capitals": package(fileSha256="A" * 64),
    "package mcpb without hash": package(registryType="mcpb", identifier="https://example.com/a.mcpb"),
    "package with a registry that is no URL": package(registryBaseUrl="npm"),
    "package with an unknown transport": package(transport={"type": "telepathy"}),
    "package with a transport without type": package(transport={"url": "http://localhost:1"}),
    "package with a transport without url": package(transport={"type": "sse"}),
    "package with a local transport": package(
        transport={"type": "streamable-http", "url": "http://localhost:8080/mcp"}
    ),
    "package stdio with a url": package(transport={"type": "stdio", "url": "https://example.com/"}),
    "packages that are an object": assign("packages", to={"registryType": "npm"}),
    # Inputs.
    "variable without name": package(environmentVariables=[{"value": "x"}]),
    "variable of an unknown format": package(environmentVariables=[{"name": "A", "format": "color"}]),
    "variable required by a text": package(environmentVariables=[{"name": "A", "isRequired": "yes"}]),
    "variable with a default beside its choices": package(
        environmentVariables=[{"name": "A", "default": "c", "choices": ["a", "b"]}]
    ),
    "argument named": argument(type="named", name="--port", value="{port}", variables={"port": {"format": "number"}}),
    "argument named without name": argument(type="named", value="1"),
    "argument whose name has its value": argument(type="named", name="--port <port>"),
    "argument whose value repeats its name": argument(type="named", name="--port", value="--port=1"),
    "argument positional without value": argument(type="positional"),
    "argument of an unknown type": argument(type="flag", name="-v"),
    "argument without type": argument(value="x"),
    # Metadata and what nobody knows.
    "_meta of the publisher": assign("_meta", to={PUBLISHER: {"tool": "x"}}),
    "_meta of somebody else": assign("_meta", to={"com.example/own": {}}),
    "_meta that is a list": assign("_meta", to=[]),
    "_meta of the publisher that is a text": assign("_meta", to={PUBLISHER: "x"}),
    "_meta of the publisher of 5 KiB": assign("_meta", to={PUBLISHER: {"text": "x" * 5000}}),
    "_meta with a pin that is none": assign("_meta", to={PUBLISHER: {"connect": {"tls_pin_sha256": "x"}}}),
    "_meta with keys over ftp": assign("_meta", to={PUBLISHER: {"connect": {"jwks_uri": "ftp://example.com/k"}}}),
    "unknown field": assign("x-unknown", to={"any": [1, "ü", None]}),
    "unknown field of a package": package(**{"x-unknown": 1}),
    "unknown field of a remote": remote("https://mcp.example.com/", **{"x-unknown": 1}),
    "unknown schema": assign("$schema", to="https://example.com/server.schema.json"),
    "$schema that is a number": assign("$schema", to=1),
}


def mutated(documents):
    """Every operator, applied to documents that lie apart: name of the operator, key of the document, the mutant."""
    for at, (name, operator) in enumerate(OPERATORS.items()):
        for time in range(2 * TIMES):
            place = (at * 7 + time * len(documents) // (2 * TIMES)) % len(documents)
            key, document = documents[place]
            document = copy.deepcopy(document)
            if time % 2:
                document["$schema"] = CURRENT
            yield name, key, operator(document)
