"""Who demands a rule.

The OpenAPI description says little of errors and bounds. What the official registry does there is what clients have
learnt to live with; where it is known to do either of two things, the rule takes both and says so.
"""


def openapi(path):
    return f"OpenAPI 2025-12-01 {path}"


def rfc(number, section):
    return f"RFC {number} §{section}"


def schema(part):
    return f"server.json 2025-12-11 {part}"


OFFICIAL = "official registry 1.7"
VS_CODE = "VS Code, GitHub Copilot"
BROWSERS = "Fetch standard, CORS"
LIST = openapi("GET /v0.1/servers")
VERSIONS = openapi("GET …/versions")
VERSION = openapi("GET …/versions/{version}")
PUT = openapi("PUT …/versions/{version}")
DELETE = openapi("DELETE …/versions/{version}")
PATCH = openapi("PATCH …/versions/{version}/status")
PATCH_ALL = openapi("PATCH …/{serverName}/status")
PUBLISH = openapi("POST /v0.1/publish")
ANSWER = openapi("ServerResponse")
# What neither says, and a registry for many publishers should do all the same.
SOUND = "good sense"
