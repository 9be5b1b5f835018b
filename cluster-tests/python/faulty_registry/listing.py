"""`GET /servers`: parameters, filters, pages, cursors."""

import base64
import binascii
import fnmatch
import hashlib
import json
import re
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
KNOWN = ("cursor", "limit", "updated_since", "search", "version", "include_deleted")


class Refusal(Exception):
    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail


class Listing:
    def __init__(self, catalog, wrong):
        self.catalog, self.wrong = catalog, wrong
        self.used = set()

    def answer(self, query):
        asked = self.parameters(query)
        limit, place = self.limit(asked), None
        if "cursor" in asked:
            self.once(asked["cursor"])
            asked, place, limit = self.continued(asked, limit)
        found = self.found(asked)
        if self.wrong("search-loses-last") and "search" in asked:
            found = found[:-1]
        if place is not None:
            found = self.behind(found, place)
        return self.page(found, limit, asked)

    def parameters(self, query):
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
        if self.wrong("cursor-not-decoded"):
            raw = dict(pair.partition("=")[::2] for pair in query.split("&"))
            pairs = [(name, raw[name] if name == "cursor" else value) for name, value in pairs]
        if self.wrong("cursor-empty-refused") and ("cursor", "") in pairs:
            raise Refusal(400, "an empty cursor")
        if self.wrong("search-empty-finds-nothing") and ("search", "") in pairs:
            pairs.append(("search", "no such thing"))
        asked = {name: value for name, value in pairs if value}
        if self.wrong("parameter-unknown-refused") and asked.keys() - set(KNOWN):
            raise Refusal(422, "an unknown parameter")
        if self.wrong("search-quote-crashes") and "'" in asked.get("search", ""):
            raise ValueError("a quote")
        return self.checked(asked)

    def checked(self, asked):
        since, deleted = asked.get("updated_since"), asked.get("include_deleted")
        if deleted not in (None, "true", "false"):
            if self.wrong("deleted-odd-crashes"):
                raise ValueError("no boolean")
            raise Refusal(422, "include_deleted is a boolean")
        if since and not self.instant(since):
            if not self.wrong("since-malformed-ignored"):
                raise Refusal(400, "updated_since is RFC 3339")
            del asked["updated_since"]
        if since and deleted == "false" and not self.wrong("since-without-deleted-taken"):
            raise Refusal(400, "updated_since includes deleted ones")
        return asked

    def instant(self, text):
        if not INSTANT.fullmatch(text) or (self.wrong("since-only-z") and not text.endswith("Z")):
            return None
        try:
            return datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            return None

    def limit(self, asked):
        if "limit" not in asked:
            return 50 if self.wrong("default-limit-50") else 30
        text = asked["limit"]
        if self.wrong("limit-huge-crashes") and len(text) > 20:
            raise OverflowError(text)
        taken = {
            "0": "limit-zero-taken",
            "101": "limit-101-taken",
            "-1": "limit-negative-taken",
            "x": "limit-text-taken",
        }
        if self.wrong(taken.get(text, "")):
            return 30
        if not text.isdecimal() or not 1 <= int(text) <= 100:
            raise Refusal(422, "limit is 1 to 100")
        if self.wrong("limit-ignored"):
            return 30
        return min(int(text), 50) if self.wrong("limit-capped") else int(text)

    def found(self, asked):
        entries = [entry for entry in self.catalog.ordered() if self.shown(entry, asked) and self.matches(entry, asked)]
        if self.wrong("latest-filter-loses") and asked.get("version") == "latest":
            entries = [entry for at, entry in enumerate(entries) if at != 3]
        if asked.get("version") not in (None, "latest") and not entries and self.wrong("version-filter-unknown-404"):
            raise Refusal(404, "no such version")
        if "search" in asked and not entries and self.wrong("search-nothing-404"):
            raise Refusal(404, "nothing found")
        return entries

    def shown(self, entry, asked):
        """By its status, and by when it changed."""
        is_deleted = entry.status == "deleted"
        if "updated_since" in asked and not self.wrong("since-ignored"):
            since = self.instant(asked["updated_since"])
            if self.wrong("since-a-minute-late"):
                since += timedelta(minutes=1)
            if entry.updated < since or (entry.updated == since and not self.wrong("since-not-strict")):
                return False
            unheard = self.wrong("since-hides-deleted") or self.wrong("status-deleted-unheard")
            return not (is_deleted and unheard)
        wanted = asked.get("include_deleted") == "true"
        if self.wrong("deleted-only") and wanted:
            return is_deleted
        wanted = wanted or (self.wrong("deleted-false-is-true") and "include_deleted" in asked)
        return not is_deleted or wanted or self.wrong("deleted-listed")

    def matches(self, entry, asked):
        version, search = asked.get("version"), asked.get("search")
        if version and search and self.wrong("filters-exclude-each-other"):
            version = None
        if version == "latest" and not self.wrong("latest-filter-ignored") and not self.catalog.is_latest(entry):
            return False
        if version not in (None, "latest", entry.key[1]) and not self.wrong("version-filter-ignored"):
            return False
        if search and self.wrong("publish-unfound") and "conformance-" in entry.key[0]:
            return False
        return not search or self.wrong("search-ignored") or self.mentions(entry, search)

    def mentions(self, entry, search):
        texts = [entry.document["name"], entry.document.get("title", ""), entry.document["description"]]
        if self.wrong("search-not-names"):
            texts = texts[1:]
        if not self.wrong("search-case-sensitive"):
            texts, search = [text.lower() for text in texts], search.lower()
        if self.wrong("search-from-the-start"):
            return any(text.startswith(search) for text in texts)
        if self.wrong("search-wildcards"):
            pattern = search.replace("[", "[[]").replace("%", "*").replace("_", "?")
            return any(fnmatch.fnmatchcase(text, f"*{pattern}*") for text in texts)
        return any(search in text for text in texts)

    # Pages.

    def page(self, entries, limit, asked):
        shown = entries[:limit]
        servers = [self.catalog.response(entry) for entry in shown]
        if self.wrong("entry-twice") and len(servers) > 4:
            servers[3] = servers[2]
        if self.wrong("limit-one-bare") and limit == 1:
            servers = [{"server": server["server"]} for server in servers]
        metadata = {"count": len(entries) if self.wrong("count-of-all") else len(servers)}
        more = len(entries) > limit
        if shown and (more or self.wrong("cursor-on-last-page") or self.wrong("cursor-goes-round")):
            metadata["nextCursor"] = self.cursor(shown[-1], asked, limit, more)
        if not servers and self.wrong("list-null-when-empty"):
            servers = None
        return {"servers": servers} if self.wrong("no-metadata") else {"servers": servers, "metadata": metadata}

    def cursor(self, last, asked, limit, more):
        kept = {name: value for name, value in asked.items() if name not in ("cursor", "limit")}
        dropped = {
            "search": "cursor-drops-search",
            "version": "cursor-drops-version",
            "include_deleted": "cursor-drops-deleted",
        }
        kept = {name: value for name, value in kept.items() if not self.wrong(dropped.get(name, ""))}
        place = None if self.wrong("cursor-goes-round") and not more else last.key
        text = json.dumps([place, kept, limit])
        tag = hashlib.sha256(b"stand-in" + text.encode()).hexdigest()[:16]
        if self.wrong("cursor-readable"):
            # For this fault it is a list of the place alone, as some registries have it.
            return base64.urlsafe_b64encode((tag + text).encode()).decode().rstrip("=") + f"~{last.key[0]}"
        cursor = base64.urlsafe_b64encode((tag + text).encode()).decode().rstrip("=")
        return cursor + "~+" if self.wrong("cursor-with-plus") else cursor

    def once(self, cursor):
        if self.wrong("cursor-once") and cursor in self.used:
            raise Refusal(400, "a used cursor")
        self.used.add(cursor)

    def continued(self, asked, limit):
        """The filter and the place that the cursor carries."""
        if self.wrong("cursor-or-filter") and "search" in asked:
            raise Refusal(400, "a cursor has no filter beside it")
        try:
            text = asked["cursor"].partition("~")[0]
            text = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
            if hashlib.sha256(b"stand-in" + text[16:].encode()).hexdigest()[:16] != text[:16]:
                raise ValueError("a changed cursor")
            place, kept, own = json.loads(text[16:])
        except (ValueError, binascii.Error) as error:
            if self.wrong("cursor-bad-crashes"):
                raise
            if self.wrong("cursor-bad-is-first-page"):
                return asked, None, limit
            raise Refusal(400, "no cursor of ours") from error
        return kept, place, own if self.wrong("cursor-keeps-limit") else limit

    def behind(self, entries, place):
        keys = [list(entry.key) for entry in self.catalog.ordered()]
        rank = {tuple(key): at for at, key in enumerate(keys)}
        at = rank[tuple(place)] if place else -1
        at += self.wrong("cursor-loses-entry") - self.wrong("cursor-repeats-entry")
        return [entry for entry in entries if rank[entry.key] > at]
