"""Canaille, an identity provider, with one application and some people in groups.

    serve.py PORT KEY [KEY...]     KEY: a file with a private RSA key; the first one signs, all are published

What is real: its OpenID configuration, its key set, the log-in of people and the tokens that it signs. What is set up
here is what an administrator would: an application that the registry's audience stands for, people, and groups.
Tokens are good for LIFE seconds (default 300). With CALLBACK there is a public application `hapi-console` too, whose
people come back there.
"""

import json
import logging
import os
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey

PASSWORD = "correct horse battery staple"
PEOPLE = {
    "agent-7": ["agents"],
    "agent-8": ["agents"],
    "mona": ["moderators"],
    "olga": ["operators"],
    "paul": ["publishers"],
    "audrey": ["auditors"],
    "nobody": ["guests"],
}


class Server(ThreadingMixIn, WSGIServer):
    """Browsers open connections on which they ask for nothing yet: they must not keep others waiting."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def key(path: str) -> dict:
    """A key as the configuration takes it, made if there is none in the file."""
    file = Path(path)
    if not file.exists():
        file.write_text(json.dumps(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)))
    return json.loads(file.read_text())


def configuration(port: int, keys: list[dict]) -> dict:
    life = int(os.environ.get("LIFE", "300"))
    return {
        "SECRET_KEY": "of no worth outside of a test",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "OAUTH2_TOKEN_EXPIRES_IN": {"password": life, "authorization_code": life},
        "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": keys[:1], "INACTIVE_JWKS": keys[1:]},
    }


def application(client_id: str, callback: str | None = None) -> models.Client:
    """One that logs people in itself, or one without a secret that sends them here, to come back to `callback`."""
    client = models.Client(
        client_id=client_id,
        client_secret="" if callback else PASSWORD,
        client_name=client_id,
        client_uri=f"https://{client_id}.example",
        redirect_uris=[callback or f"https://{client_id}.example/back"],
        grant_types=["authorization_code" if callback else "password"],
        response_types=["code"],
        token_endpoint_auth_method="none" if callback else "client_secret_basic",
        scope=["openid", "profile", "groups"],
        id_token_signed_response_alg="RS256",
    )
    Backend.instance.save(client)
    # Its own tokens are for itself: the audience is the application's id.
    client.audience = [client]
    Backend.instance.save(client)
    return client


def people() -> None:
    everybody = {}
    for name in PEOPLE:
        email = f"{name}@corp.example"
        user = models.User(
            formatted_name=name, family_name=name, user_name=name, emails=[email], password=PASSWORD
        )
        Backend.instance.save(user)
        everybody[name] = user
    for group in sorted({group for groups in PEOPLE.values() for group in groups}):
        members = [everybody[name] for name, groups in PEOPLE.items() if group in groups]
        Backend.instance.save(models.Group(display_name=group, members=members))


def main() -> None:
    port, keys = int(sys.argv[1]), [key(path) for path in sys.argv[2:]]
    logging.disable(logging.WARNING)
    app = create_app(configuration(port, keys))
    with app.app_context(), Backend.instance.session():
        registry = application("hapi-registry")
        application("another-service")
        if callback := os.environ.get("CALLBACK"):
            console = application("hapi-console", callback)
            # Its tokens are for the registry too.
            console.audience = [console, registry]
            Backend.instance.save(console)
        people()
    server = make_server("127.0.0.1", port, app, server_class=Server, handler_class=Quiet)
    print(f"listening at http://127.0.0.1:{port}", flush=True)
    server.serve_forever()


main()
