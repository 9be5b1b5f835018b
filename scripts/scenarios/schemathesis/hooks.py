"""How schemathesis reads answers that are no JSON."""

import schemathesis


@schemathesis.deserializer("application/octet-stream")
def text(ctx, response):
    """A backup is judged as a text; who reads it is `restore`."""
    return response.content.decode(errors="replace")


@schemathesis.deserializer("application/json")
def json(ctx, response):
    """Schemathesis takes a JWS for JSON."""
    is_jws = response.headers["content-type"][0].startswith("application/jwt")
    return text(ctx, response) if is_jws else response.json()
