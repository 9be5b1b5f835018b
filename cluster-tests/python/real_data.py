"""The entries of the official registry, read from the raw file and from nothing else."""

import json
from pathlib import Path


def servers(data):
    """Every `server.json` of the raw file, by (name, version)."""
    entries = json.loads((Path(data) / "registry" / "servers.json").read_text())["servers"]
    return {key(entry["server"]): entry["server"] for entry in entries}


def key(server):
    return server["name"], server["version"]


def named(keys):
    """At most ten entries for a message."""
    shown = [f"{name}@{version}" for name, version in sorted(keys)]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")
