//! One call of an MCP tool, by hand.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// The revision of MCP that has no sessions: one request says all that there is to say.
const REVISION: &str = "2026-07-28";

/// The request that calls `tool` at `endpoint`, without any proof.
pub fn tool_call(http: &Client, endpoint: &str, tool: &str, arguments: &Value) -> RequestBuilder {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": { "name": "by hand", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
    http.post(endpoint)
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", REVISION)
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", tool)
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
}
