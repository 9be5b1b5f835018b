"""What a `server.json` must be like, as far as the stand-in judges it."""

import re

PUBLISHER = "io.modelcontextprotocol.registry/publisher-provided"
NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?/[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?")
RANGE = re.compile(r"[\^~><=].*|.*\|\|.*|.*(^|\.)[x*](\.|$).*")
LOCAL = re.compile(r"https?://(localhost|127\.|\[::1\])")


def breaches(document, wrong):
    """The paths at which a document is not as it must be. `wrong` says which check is left out."""
    if not isinstance(document, dict):
        return [""]
    found = []
    checks = {
        "name": ("publish-any-name", is_name),
        "description": ("publish-any-description", lambda text: is_text(text, 1, 100)),
        "version": ("publish-any-version", is_version),
        "title": ("", lambda text: is_text(text, 1, 100)),
        "websiteUrl": ("publish-any-website", is_https),
        "icons": ("", lambda icons: all(is_https(icon.get("src")) for icon in icons)),
        "_meta": ("publish-any-meta", lambda meta: isinstance(meta, dict) and not meta.keys() - {PUBLISHER}),
    }
    required = {"name", "description", "version"}
    if wrong("publish-without-description"):
        required.remove("description")
    for field, (fault, check) in checks.items():
        if field not in document:
            found += [field] * (field in required)
        elif not wrong(fault) and not check(document[field]):
            found.append(field)
    for at, remote in enumerate(document.get("remotes", [])):
        found += [f"remotes[{at}]"] * (not is_remote(remote, wrong))
    return found


def is_text(text, least, most):
    return isinstance(text, str) and least <= len(text) <= most


def is_name(text):
    return is_text(text, 3, 200) and bool(NAME.fullmatch(text))


def is_version(text):
    return is_text(text, 1, 255) and text != "latest" and not RANGE.fullmatch(text)


def is_https(text):
    return isinstance(text, str) and bool(re.fullmatch(r"https://[^\s/]+(/\S*)?", text))


def is_remote(remote, wrong):
    url, declared = remote.get("url"), remote.get("variables", {})
    names = re.findall(r"\{(\w+)\}", url) if isinstance(url, str) else []
    if not wrong("publish-undeclared") and any(name not in declared for name in names):
        return False
    right = remote.get("type") in ("streamable-http", "sse") and is_https(url) and not LOCAL.match(url)
    return right or wrong("publish-any-remote")
