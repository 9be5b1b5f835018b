"""Calls a tool with the stock MCP SDK, which knows OAuth and nothing of the registry.

    HAPI_CLIENT_TOKEN=… python client.py http://127.0.0.1:7431/mcp celsius '{"fahrenheit": 451}' --client demo

The SDK is refused, reads the server's metadata, finds the registry, asks its token endpoint for leave to connect to
this very server, and calls the tool with it. It asks anew whenever its leave has run out.
"""

import argparse
import asyncio
import json
import logging
import os

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client


class Memory:
    """Where the SDK keeps its access token: nowhere but here."""

    tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return None

    async def set_client_info(self, client_info):
        pass


async def call(options):
    """What the tool says, and in which revision of MCP."""
    auth = ClientCredentialsOAuthProvider(
        options.endpoint,
        Memory(),
        client_id=options.client,
        client_secret=os.environ["HAPI_CLIENT_TOKEN"],
        scope="mcp:connect",
        issuer=options.issuer,
    )
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        transport = streamable_http_client(options.endpoint, http_client=http)
        async with Client(transport, mode=options.mode) as client:
            result = await client.call_tool(options.tool, options.arguments)
            return client.protocol_version, result


# The SDK logs what it raises, and what it raises is said below.
logging.getLogger("mcp").addHandler(logging.NullHandler())


def leaves(group):
    """The failures themselves: the SDK's task groups wrap them in groups of groups."""
    for failure in group.exceptions:
        yield from leaves(failure) if isinstance(failure, BaseExceptionGroup) else [failure]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("endpoint", help="the MCP server's URL in the catalog")
    parser.add_argument("tool")
    parser.add_argument("arguments", type=json.loads, help="as JSON")
    parser.add_argument("--client", required=True, help="the client that the token belongs to")
    parser.add_argument("--issuer", default="http://127.0.0.1:7401", help="the registry's issuer")
    parser.add_argument("--mode", default="auto", help="auto, legacy, or a revision of MCP such as 2026-07-28")
    options = parser.parse_args()
    try:
        revision, result = asyncio.run(call(options))
    except* (MCPError, OAuthFlowError, httpx2.HTTPError) as failures:
        raise SystemExit("; ".join(str(failure) for failure in leaves(failures))) from None
    print(json.dumps({"revision": revision, "error": result.is_error, "result": result.structured_content}))


if __name__ == "__main__":
    main()
