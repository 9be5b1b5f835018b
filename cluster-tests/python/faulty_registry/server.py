"""The registry API over HTTP, with one fault or none."""

import gzip
import json
import secrets
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_to_bytes

from .catalog import Catalog
from .documents import breaches
from .listing import Listing, Refusal

NAMESPACE = "com.example.publisher"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
MOST_BYTES = 256 * 1024
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


class Server(ThreadingHTTPServer):
    """Listens on a free port of loopback."""

    daemon_threads = True

    def __init__(self, fault=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.token = fault, secrets.token_urlsafe(24)
        self.catalog = Catalog(self.wrong)
        self.listing = Listing(self.catalog, self.wrong)

    def wrong(self, name):
        return name == self.fault

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are written apart: waiting for an acknowledgement between them would take long.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def wrong(self, name):
        return self.server.wrong(name)

    def do_GET(self):
        self.serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    # From a request to an answer.

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.command == "OPTIONS":
                return self.preflight()
            method = "GET" if self.command == "HEAD" else self.command
            self.answer(200, self.route(method, body))
        except Refusal as refusal:
            self.refuse(refusal.status, refusal.detail)
        except Exception:
            self.refuse(500, "an error on our side")

    def route(self, method, body):
        path, _, query = self.path.partition("?")
        if not path.startswith("/v0.1/"):
            raise Refusal(404, "no such path")
        if path.endswith("/"):
            return self.redirect(path.rstrip("/"), query)
        parts = [self.decoded(part) for part in path.removeprefix("/v0.1/").split("/")]
        if self.wrong("slash-upper-case-only") and "%2f" in path:
            raise Refusal(404, "no such server")
        match parts:
            case ["health"]:
                return {"status": "UP" if self.wrong("health-up") else "ok"}
            case ["ping"]:
                return {"pong": "true" if self.wrong("pong-text") else True}
            case ["version"]:
                return {"version": "1.0.0"} | (
                    {} if self.wrong("version-bare") else {"git_commit": "0", "build_time": "now"}
                )
            case ["validate"]:
                return self.one_of({"POST": lambda: self.validate(body)}, method)
            case ["publish"]:
                return self.one_of({"POST": lambda: self.publish(body)}, method)
            case ["servers"]:
                return self.one_of({"GET": lambda: self.list(query)}, method)
            case ["servers", name, "versions"]:
                return self.one_of({"GET": lambda: self.versions(name, query)}, method)
            case ["servers", name, "versions", version]:
                does = {
                    "GET": lambda: self.version(name, version, query),
                    "PUT": lambda: self.edit(name, version, body),
                    "DELETE": lambda: self.delete(name, version),
                }
                return self.one_of(does, method)
            case ["servers", name, "versions", version, "status"]:
                return self.one_of({"PATCH": lambda: self.patch(name, version, body)}, method)
            case ["servers", name, "status"]:
                return self.one_of({"PATCH": lambda: self.patch_all(name, body)}, method)
        if self.wrong("path-unknown-200"):
            return {}
        raise Refusal(404, "no such path")

    def one_of(self, does, method):
        self.allowed = ", ".join(does)
        if method in does:
            return does[method]()
        raise Refusal(404 if self.wrong("method-unknown-404") else 405, "the path does not take that method")

    def decoded(self, part):
        if self.wrong("escapes-of-slash-only"):
            return part.replace("%2F", "/").replace("%2f", "/")
        raw = unquote_to_bytes(part)
        if b"\0" in raw:
            if self.wrong("nul-crashes"):
                raise ValueError("a NUL byte")
            raise Refusal(404 if self.wrong("nul-404") else 400, "a NUL byte")
        if self.wrong("path-long-crashes") and len(raw) > 1000:
            raise ValueError("a long name")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            if self.wrong("path-not-utf-8-crashes"):
                raise
            raise Refusal(400, "the path is not UTF-8") from None

    def redirect(self, path, query):
        if self.wrong("trailing-slash-404"):
            raise Refusal(404, "no such path")
        query = "" if self.wrong("trailing-slash-loses-query") else f"?{query}" * bool(query)
        return Redirect(path + query)

    # Reading.

    def list(self, query):
        answer = self.server.listing.answer(query)
        if self.wrong("gzip-shorter") and "gzip" in self.headers.get("Accept-Encoding", ""):
            answer["servers"] = answer["servers"][:-1]
        return answer

    def versions(self, name, query):
        catalog = self.server.catalog
        everything = "include_deleted=true" in query or self.wrong("versions-with-deleted")
        found = [entry for entry in catalog.of(name) if everything or entry.status != "deleted"]
        if not found and not self.wrong("server-unknown-empty"):
            raise Refusal(404, "no such server")
        if self.wrong("versions-incomplete"):
            found = found[:1]
        servers = [catalog.response(entry) for entry in found]
        if self.wrong("versions-of-neighbours"):
            servers.append(catalog.response(catalog.ordered()[0]))
        if self.wrong("versions-without-latest"):
            for server in servers:
                server["_meta"]["io.modelcontextprotocol.registry/official"]["isLatest"] = False
        count = 1 if self.wrong("versions-count-one") else len(servers)
        return {"servers": servers, "metadata": {"count": count}}

    def version(self, name, version, query):
        catalog = self.server.catalog
        entry = self.latest(name) if version == "latest" else catalog.get(name, version)
        if version not in ("latest", "1.0.0") and self.wrong("path-build-500") and "+" in version:
            raise ValueError("a plus sign")
        if self.wrong("publish-loses-build") and "+" in version and "conformance-" in name:
            entry = None
        if self.wrong("publish-unread") and "conformance-" in name:
            entry = None
        if entry is None and self.wrong("version-unknown-is-latest") and catalog.of(name):
            entry = self.latest(name)
        if entry is None and version == "latest" and self.wrong("latest-unknown-200"):
            return None
        shows = "include_deleted=true" in query or self.wrong("version-deleted-shown")
        shows = shows or (version == "latest" and self.wrong("status-deleted-latest-shown"))
        if entry is None or (entry.status == "deleted" and not shows):
            known = catalog.of(name) or not self.wrong("server-unknown-version-400")
            raise Refusal(404 if known else 400, "no such version")
        if self.wrong("version-another"):
            entry = catalog.ordered()[0]
        return catalog.response(entry, listed=False)

    def latest(self, name):
        catalog = self.server.catalog
        shown = [entry for entry in catalog.of(name) if entry.status != "deleted"]
        if self.wrong("latest-answers-oldest") and shown:
            return catalog.ordered()[-1] if len(shown) == 1 else shown[-1]
        if self.wrong("latest-answers-second") and len(shown) > 1:
            return sorted(shown, key=catalog.rank)[-2]
        return catalog.latest(name)

    # Writing.

    def validate(self, body):
        try:
            document = json.loads(body)
        except ValueError:
            if self.wrong("validate-crashes"):
                raise
            return {"valid": False, "issues": [issue("", "json")]}
        found = breaches(document, self.wrong)
        if self.wrong("validate-lenient") and found != ["description"] and found != ["description", "version"]:
            found = [path for path in found if path not in ("title", "icons")]
        if self.wrong("validate-refuses-good"):
            found = found or ["name"]
        if found and self.wrong("validate-422"):
            raise Refusal(422, "invalid")
        if self.wrong("validate-first-only"):
            found = found[:1]
        issues = [issue(path) for path in found]
        if self.wrong("issue-bare"):
            issues = [{"message": one["message"], "severity": "error"} for one in issues]
        return {"valid": not found, "issues": issues}

    def publish(self, body):
        self.authenticate("publish-open")
        document = self.document(body)
        self.authorize(document["name"], "publish-anywhere")
        catalog = self.server.catalog
        key = document["name"], document["version"]
        known = catalog.entries.get(key)
        free = known is None or (known.status == "deleted" and self.wrong("delete-frees-version"))
        if not free and not self.wrong("publish-over"):
            raise Refusal(400, "that version exists")
        urls = {remote["url"] for remote in document.get("remotes", []) if isinstance(remote, dict) and "url" in remote}
        if not self.wrong("publish-remote-shared") and urls & self.urls_of_others(document["name"]):
            raise Refusal(400, "another server has that URL")
        return catalog.response(catalog.add(self.kept(document)))

    def kept(self, document):
        if self.wrong("publish-drops-unknown"):
            document = {name: value for name, value in document.items() if not name.startswith("x-")}
        if self.wrong("publish-drops-meta"):
            document.pop("_meta", None)
        return document

    def urls_of_others(self, name):
        others = [entry.document for entry in self.server.catalog.entries.values() if entry.key[0] != name]
        return {remote.get("url") for document in others for remote in document.get("remotes", [])}

    def document(self, body, lenient=False):
        if len(body) > MOST_BYTES and not self.wrong("publish-any-size"):
            raise Refusal(413, "too large")
        document = self.parsed(body, "broken-json-crashes")
        found = [] if lenient and isinstance(document, dict) else breaches(document, self.wrong)
        if found and self.wrong("publish-keeps-refused") and "description" in found:
            self.server.catalog.add(document | {"description": "?"})
        if found:
            raise Refusal(422, f"not as it must be: {found}")
        return {"description": "?"} | document

    def parsed(self, body, fault):
        try:
            return json.loads(body)
        except ValueError as error:
            if self.wrong(fault):
                raise
            raise Refusal(400, "no JSON") from error

    def authenticate(self, fault):
        given = self.headers.get("Authorization", "")
        right = given == f"Bearer {self.server.token}" or (given and self.wrong("publish-any-token"))
        if not right and not self.wrong(fault):
            raise Refusal(401, "no token that was given to anybody")

    def authorize(self, name, fault):
        namespace = name.partition("/")[0] if isinstance(name, str) else ""
        alike = namespace.startswith(NAMESPACE) and self.wrong("publish-alike")
        loose = isinstance(name, str) and self.wrong("publish-any-name") and name.startswith(NAMESPACE)
        if namespace != NAMESPACE and not alike and not loose and not self.wrong(fault):
            raise Refusal(403, "not your namespace")

    def known(self, name, version):
        entry = self.server.catalog.entries.get((name, version))
        if entry is None:
            raise Refusal(400 if self.wrong("status-unknown-400") else 404, "no such version")
        return entry

    def edit(self, name, version, body):
        self.authenticate("edit-open")
        if not self.wrong("edit-anywhere"):
            self.authorize(name, "")
        document = self.document(body, lenient=self.wrong("edit-anything"))
        if document["name"] != name and not self.wrong("edit-any-name"):
            raise Refusal(400, "the name cannot change")
        if document["version"] != version and not self.wrong("edit-any-version"):
            raise Refusal(400, "the version cannot change")
        catalog = self.server.catalog
        if (name, version) not in catalog.entries and (self.wrong("edit-creates") or self.wrong("edit-anywhere")):
            return catalog.response(catalog.add(document))
        entry = self.known(name, version)
        if document.get("remotes") != entry.document.get("remotes") and not self.wrong("edit-any-endpoint"):
            raise Refusal(409, "the endpoint cannot change")
        catalog.edit(entry, document)
        return catalog.response(entry)

    def delete(self, name, version):
        self.authenticate("delete-open")
        self.authorize(name, "")
        if self.wrong("delete-unknown-200") and (name, version) not in self.server.catalog.entries:
            return {}
        entry = self.known(name, version)
        if entry.status == "deleted":
            if self.wrong("delete-again-crashes"):
                raise ValueError("deleted twice")
            raise Refusal(400, "it is deleted")
        if not self.wrong("delete-does-nothing"):
            self.server.catalog.set_status(entry, "deleted", None)
        return self.server.catalog.response(entry)

    def change(self, body, fault):
        """The wanted status and message."""
        wanted = self.parsed(body, "status-broken-json-crashes")
        wanted = wanted if isinstance(wanted, dict) else {}
        status, message = wanted.get("status"), wanted.get("statusMessage")
        if status not in ("active", "deprecated", "deleted") and not self.wrong(fault):
            raise Refusal(422, "no such status")
        if message is not None and len(message) > 500 and not self.wrong("status-any-message"):
            raise Refusal(422, "at most 500 characters")
        if status == "active" and message and not self.wrong("status-active-message"):
            raise Refusal(400, "no message with active")
        return status, message

    def patch(self, name, version, body):
        self.authenticate("status-open")
        status, message = self.change(body, "status-any")
        if self.wrong("status-anywhere") and not name.startswith(NAMESPACE):
            return {}
        self.authorize(name, "")
        entry = self.known(name, version)
        if (entry.status, entry.message) == (status, message) and not self.wrong("status-no-change-200"):
            raise Refusal(400, "no change")
        if entry.status == "deleted" and self.wrong("status-deleted-for-ever"):
            raise Refusal(400, "it is deleted")
        self.server.catalog.set_status(entry, status, message)
        return self.server.catalog.response(entry)

    def patch_all(self, name, body):
        self.authenticate("status-open")
        status, message = self.change(body, "status-all-any")
        self.authorize(name, "")
        entries = self.server.catalog.of(name)
        if not entries and not self.wrong("status-all-unknown-200"):
            raise Refusal(404, "no such server")
        for entry in entries:
            self.server.catalog.set_status(entry, status, message)
        servers = [self.server.catalog.response(entry) for entry in entries]
        return {"updatedCount": 1 if self.wrong("status-all-counts-one") else len(servers), "servers": servers}

    # Answers.

    def preflight(self):
        if self.wrong("preflight-needs-token"):
            return self.refuse(401, "no token")
        left_out = {method for method in ("PUT", "PATCH") if self.wrong(f"cors-without-{method.lower()}")}
        headers = {
            "Access-Control-Allow-Methods": ", ".join(sorted(METHODS - left_out)),
            "Access-Control-Allow-Headers": "*" if self.wrong("cors-any-header") else "Authorization, Content-Type",
            "Access-Control-Max-Age": "3600",
        }
        if self.wrong("cors-not-kept"):
            del headers["Access-Control-Max-Age"]
        self.send(204, b"", "", headers)

    def answer(self, status, body):
        if isinstance(body, Redirect):
            return self.send(308, b"", "", {"Location": body.location})
        path = self.path.partition("?")[0]
        if path.endswith("/publish") and self.wrong("publish-201"):
            status = 201
        if self.command == "HEAD" and self.wrong("head-405"):
            return self.refuse(405, "no HEAD")
        if self.headers.get("If-None-Match") and self.wrong("always-unmodified"):
            return self.send(304, b"", "", {})
        text = json.dumps(body)
        if self.wrong("key-repeated") and path.endswith("/servers"):
            text = text[:-1] + ', "servers": []}' if not body.get("servers") else '{"servers": [], ' + text[1:]
        media_type = "application/json"
        as_text = (path.endswith("/servers") and self.wrong("list-as-text")) or (
            "/versions/" in path and self.wrong("version-as-text")
        )
        if as_text or ("html" in self.headers.get("Accept", "") and self.wrong("accept-html")):
            media_type = "text/plain"
        self.send(status, text.encode(), media_type, {})

    def refuse(self, status, detail):
        headers = {} if self.wrong("no-allow") or status != 405 else {"Allow": getattr(self, "allowed", "GET")}
        shown = status + 1 if self.wrong("problem-other-status") else status
        body = {"title": TITLES.get(status, "Error"), "status": shown, "detail": detail, "error": detail}
        if self.wrong("error-with-trace"):
            body["trace"] = "".join(traceback.format_stack(limit=2)) + "Traceback"
        text = b"" if self.wrong("error-without-body") else json.dumps(body).encode()
        self.send(status, text, "text/html" if self.wrong("error-as-html") else "application/problem+json", headers)

    def send(self, status, body, media_type, headers):
        self.send_response(status)
        silent = self.wrong("no-cors") or (status >= 400 and self.wrong("no-cors-on-refusals"))
        if not silent:
            self.send_header("Access-Control-Allow-Origin", "*")
        if media_type:
            self.send_header("Content-Type", media_type)
        if body and self.wrong("gzip-always"):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        for name, value in headers.items():
            self.send_header(name, value)
        if self.wrong("until-close"):
            self.send_header("Connection", "close")
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Redirect:
    def __init__(self, location):
        self.location = location


def issue(path, kind="schema"):
    return {"type": kind, "path": path, "message": "is not as it must be", "severity": "error", "reference": "#"}
