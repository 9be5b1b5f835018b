//! An MCP client on the official SDK for Python, as a process.

use crate::{Program, python_script};
use serde_json::{Value, json};
use std::path::Path;

/// How it proves its leave to connect.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// Not at all by itself: it is handed descriptors.
    Descriptor(&'a str),
    /// By OAuth's client credentials; where to, it finds out by itself.
    OAuth {
        /// The client's id.
        client: &'a str,
        /// Its token.
        token: &'a str,
        /// The issuer that the token belongs to.
        issuer: &'a str,
    },
}

/// A running client, connected or not.
#[derive(Debug)]
pub struct PythonClient {
    program: Program,
    /// The first line that it said: `connected` with the revision of MCP, or `error`.
    pub greeting: Value,
}

impl PythonClient {
    /// Connects to `endpoint` in a mode of the SDK: `legacy`, `auto`, or a revision of MCP.
    pub async fn open(python: &Path, endpoint: &str, proof: Proof<'_>, mode: &str) -> Self {
        let script = python_script("mcp_session.py");
        let script = script.to_str().expect("the repository lies at a path that is text");
        let mut arguments = vec!["-B", script, endpoint, "--mode", mode];
        let secret = match proof {
            Proof::Descriptor(descriptor) => {
                arguments.extend(["--proof", "descriptor"]);
                descriptor
            }
            Proof::OAuth { client, token, issuer } => {
                arguments.extend(["--proof", "oauth", "--issuer", issuer, "--client", client]);
                token
            }
        };
        let mut program = Program::converse(python, arguments, &[("HAPI_SECRET", secret)]);
        let greeting = answer(&mut program).await;
        Self { program, greeting }
    }

    /// Calls a tool: `result`, or `error` with the `status` and `code` of the HTTP answer.
    pub async fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        self.ask(&json!({ "tool": tool, "arguments": arguments })).await
    }

    /// Hands it another descriptor.
    pub async fn take(&mut self, descriptor: &str) {
        self.ask(&json!({ "descriptor": descriptor })).await;
    }

    async fn ask(&mut self, wish: &Value) -> Value {
        self.program.write_line(&wish.to_string());
        answer(&mut self.program).await
    }
}

/// Lines that are no JSON are the SDK's own chatter.
async fn answer(program: &mut Program) -> Value {
    program.read_until(|line| serde_json::from_str::<Value>(line).ok().filter(Value::is_object)).await
}
