"""An MCP client on the stock SDK that does what the lines on its standard input say, and answers each with a line.

    {"tool": "moon_phase", "arguments": {"date": "2026-08-12"}}   calls a tool
    {"descriptor": "eyJ…"}                                        sends this one from now on

It proves its leave to connect by OAuth, or by descriptors that it is handed. The first line that it writes says whether
it is connected. An answer has `result`, or `error` with the status and the code of the last HTTP answer that was no success.
"""

import argparse
import asyncio
import json
import os
import pathlib
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples/python"))
from client import Memory, leaves  # noqa: E402


class Boarding(httpx2.Auth):
    """Sends a descriptor beside whatever else there is."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def auth_flow(self, request):
        request.headers["MCP-Connect"] = self.descriptor
        yield request


def proof(options):
    secret = os.environ["HAPI_SECRET"]
    if options.proof == "descriptor":
        return Boarding(secret)
    return ClientCredentialsOAuthProvider(
        options.endpoint,
        Memory(),
        client_id=options.client,
        client_secret=secret,
        scope="mcp:connect",
        issuer=options.issuer,
    )


class Last:
    """The last HTTP answer that was no success."""

    status = code = None

    async def note(self, response):
        if response.is_error:
            await response.aread()
            self.status, self.code = response.status_code, code(response)


def code(response):
    try:
        return response.json().get("code")
    except (ValueError, AttributeError):
        return None


def say(answer):
    print(json.dumps(answer), flush=True)


def complaint(failure, last):
    failures = leaves(failure) if isinstance(failure, BaseExceptionGroup) else [failure]
    return {"error": "; ".join(map(str, failures)), "status": last.status, "code": last.code}


FAILURES = (MCPError, OAuthFlowError, httpx2.HTTPError)


async def lines():
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield json.loads(line)


async def obey(client, auth, last):
    async for wish in lines():
        if "descriptor" in wish:
            auth.descriptor = wish["descriptor"]
            say({"result": "taken"})
            continue
        last.status = last.code = None
        try:
            result = await client.call_tool(wish["tool"], wish["arguments"])
            say({"result": result.structured_content, "is_error": result.is_error})
        except FAILURES as failure:
            say(complaint(failure, last))


async def run(options):
    auth, last = proof(options), Last()
    try:
        hooks = {"response": [last.note]}
        async with httpx2.AsyncClient(auth=auth, timeout=30, event_hooks=hooks) as http:
            transport = streamable_http_client(options.endpoint, http_client=http)
            async with Client(transport, mode=options.mode) as client:
                say({"connected": client.protocol_version})
                await obey(client, auth, last)
    except* FAILURES as failures:
        say(complaint(failures, last))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("endpoint")
    parser.add_argument("--proof", choices=["oauth", "descriptor"], required=True)
    parser.add_argument("--mode", default="auto")
    parser.add_argument("--client")
    parser.add_argument("--issuer")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
