"""An MCP server that FastMCP's own JWTVerifier protects. Of the registry it knows the address, and no code.

    python server.py --endpoint http://127.0.0.1:7431/mcp --registry http://127.0.0.1:7401
"""

import argparse
from urllib.parse import urlsplit

from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier


def guarded(endpoint, issuer, registry):
    """The server, for clients that bring a descriptor of `issuer` for `endpoint` as their access token."""
    verifier = JWTVerifier(
        jwks_uri=f"{registry}/.well-known/jwks.json",
        issuer=issuer,
        audience=endpoint,  # byte for byte as it stands in the catalog
        algorithm="EdDSA",  # without a word FastMCP expects RS256, and every answer is a bare 401
        required_scopes=["mcp:connect"],
    )
    base = endpoint.removesuffix(urlsplit(endpoint).path)
    return FastMCP("units", auth=RemoteAuthProvider(verifier, authorization_servers=[issuer], base_url=base))


def add_tools(server):
    @server.tool
    def celsius(fahrenheit: float) -> float:
        """A temperature in degrees Celsius."""
        return round((fahrenheit - 32) * 5 / 9, 2)

    @server.tool
    def kilometres(miles: float) -> float:
        """A distance in kilometres."""
        return round(miles * 1.609344, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, help="this server's URL in the catalog")
    parser.add_argument("--registry", required=True, help="the URL of a registry node")
    parser.add_argument("--issuer", help="the registry's issuer, where it is not that node")
    options = parser.parse_args()
    server = guarded(options.endpoint, options.issuer or options.registry, options.registry)
    add_tools(server)
    address = urlsplit(options.endpoint)
    server.run("http", host=address.hostname, port=address.port, path=address.path, show_banner=False)


if __name__ == "__main__":
    main()
