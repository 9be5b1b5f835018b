"""Requests exactly as written, and what came back."""

import gzip
import http.client
import json
import shlex
import ssl
import time
from urllib.parse import urlsplit

# A registry that asks for more patience than this is not waited for.
MOST_WAIT_S = 30
TIMEOUT_S = 30


class Unreachable(Exception):
    """No answer came."""


class Repeated(ValueError):
    """A key stands twice in one object."""


def strict(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Repeated("a key is repeated")
    return members


def no_constant(text):
    raise ValueError(f"{text} is no JSON")


def parse(body):
    """JSON as RFC 8259 has it: UTF-8, no repeated keys, no NaN."""
    return json.loads(body.decode(), object_pairs_hook=strict, parse_constant=no_constant)


class Answer:
    """A response, with the request that led to it."""

    def __init__(self, request, status, headers, body):
        self.request, self.status, self.headers, self.body = request, status, headers, body

    def header(self, name):
        """All values of a header as one, as RFC 9110 §5.3 joins them; empty when there is none."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def media_type(self):
        return self.header("Content-Type").partition(";")[0].strip().lower()

    @property
    def json(self):
        """The parsed body; `None` when it is no JSON."""
        try:
            return parse(self.body)
        except (ValueError, RecursionError):
            return None

    def summary(self):
        text = self.body.decode(errors="replace")
        return (
            f"status {self.status}: {text[:200]}{'…' if len(text) > 200 else ''}" if text else f"status {self.status}"
        )


class Request:
    def __init__(self, method, url, headers, body, token_file):
        self.method, self.url, self.headers, self.body, self.token_file = method, url, headers, body, token_file

    def curl(self):
        """The request as a line for a shell. It names the file of the token, not the token."""
        words = ["curl", "--include", "--path-as-is"]
        if self.method == "HEAD":
            words.append("--head")
        elif self.method != "GET":
            words += ["--request", self.method]
        line = " ".join(words)
        for name, value in self.headers.items():
            if name == "Authorization" and self.token_file:
                line += f' --header "Authorization: Bearer $(cat {shlex.quote(self.token_file)})"'
            else:
                line += f" --header {shlex.quote(f'{name}: {value}')}"
        if self.body is not None:
            line += f" --data-binary {shlex.quote(self.body.decode(errors='replace'))}"
        return f"{line} {shlex.quote(self.url)}"


class Client:
    """One kept connection to one registry."""

    def __init__(self, base, api, token=None, token_file=None):
        self.base, self.api, self.token, self.token_file = base.rstrip("/"), api.rstrip("/"), token, token_file
        parts = urlsplit(self.base)
        self.root, self.tls = parts.path, parts.scheme == "https"
        self.host, self.connection = parts.netloc, None
        self.last = None

    def ask(self, method, path, body=None, headers=(), token=True):
        """Asks for `path` below the API's prefix. `token` may be another one, or `None` for no token at all."""
        given = dict(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        token = self.token if token is True else token
        if token:
            given["Authorization"] = f"Bearer {token}"
        is_own = token is not None and token == self.token
        request = Request(method, f"{self.base}{self.api}{path}", given, body, self.token_file if is_own else None)
        return self.patient(request, f"{self.root}{self.api}{path}")

    def patient(self, request, target):
        """Waits once when the registry says that it was asked too often."""
        answer = self.exchange(request, target)
        wait = answer.header("Retry-After")
        if answer.status == 429 and wait.isdecimal() and int(wait) <= MOST_WAIT_S:
            time.sleep(int(wait))
            answer = self.exchange(request, target)
        self.last = answer
        return answer

    def exchange(self, request, target):
        try:
            return self.try_exchange(request, target)
        except (http.client.HTTPException, OSError):
            # The other end may have closed a connection that was kept; a new one decides. A write is not sent twice
            # by this unless its answer never began.
            self.close()
        try:
            return self.try_exchange(request, target)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise Unreachable(f"{request.method} {request.url}: {error or type(error).__name__}") from error

    def try_exchange(self, request, target):
        if self.connection is None:
            self.connection = self.connect()
        headers = {"Accept": "application/json, application/problem+json", "User-Agent": "registry-conformance"}
        headers |= request.headers
        try:
            self.send(request, target, headers)
            response = self.connection.getresponse()
            body = response.read()
        except TimeoutError as error:
            self.close()
            raise Unreachable(f"{request.method} {request.url}: no answer within {TIMEOUT_S} s") from error
        if response.getheader("Content-Encoding", "").lower() == "gzip":
            body = gzip.decompress(body) if body else body
        if response.will_close:
            self.close()
        return Answer(request, response.status, response.getheaders(), body)

    def send(self, request, target, headers):
        try:
            self.connection.request(request.method, target, request.body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # Who refuses a body need not read it to its end: the answer may be there all the same.
            if request.body is None:
                raise

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection(self.host, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(self.host, timeout=TIMEOUT_S)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None
