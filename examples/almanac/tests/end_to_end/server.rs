//! The almanac as a process.

use hapi_cluster_tests::{Door, Metrics, Program, PythonClient, document, tool_call, wait_until};
use serde_json::{Value, json};

use crate::world::World;

/// What a silent revocation feed means to it.
#[derive(Clone, Copy)]
pub(crate) enum Feed {
    Strict,
    BestEffort,
}

/// A running server. It ends when this is dropped.
pub(crate) struct Almanac {
    pub(crate) name: String,
    /// Its endpoint: the audience of its descriptors.
    pub(crate) url: String,
    pub(crate) program: Program,
    http: reqwest::Client,
}

impl Almanac {
    pub(crate) async fn start(name: &str, issuer: &str, feed: Feed, registries: &[String]) -> Self {
        Self::start_at("127.0.0.1:0", name, issuer, feed, registries).await
    }

    /// The same, where one was before.
    pub(crate) async fn start_at(
        listen: &str,
        name: &str,
        issuer: &str,
        feed: Feed,
        registries: &[String],
    ) -> Self {
        let feed = match feed {
            Feed::Strict => "strict",
            Feed::BestEffort => "best-effort",
        };
        let mut arguments = vec!["--listen", listen, "--server", name, "--issuer", issuer, "--feed", feed];
        arguments.extend(registries.iter().flat_map(|url| ["--registry", url]));
        let mut program = Program::serve(env!("CARGO_BIN_EXE_hapi-almanac"), arguments, &[("NO_COLOR", "1")]);
        let found = |line: &str| {
            let address = line.split_once("listening address=")?.1;
            address.split_whitespace().next().map(str::to_owned)
        };
        let address = program.read_until(found).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { name: name.into(), url: format!("http://{address}/mcp"), program, http }
    }

    /// What to publish.
    pub(crate) fn document(&self) -> Value {
        let mut document = document(&self.name, "1.0.0");
        document["remotes"] = json!([{ "type": "streamable-http", "url": self.url }]);
        document
    }

    /// Waits until a good descriptor opens it: its guard fetches keys and feed in the background.
    pub(crate) async fn wait_ready(&self, world: &World) {
        wait_until(&format!("{} lets a client in", self.name), async || {
            let descriptor = world.connect(&self.name).await.ok()?;
            (self.knock(&descriptor).await == opened()).then_some(())
        })
        .await;
    }

    /// Calls a tool with this in `MCP-Connect`, in one request of MCP 2026-07-28. Status, and code of a refusal.
    pub(crate) async fn knock(&self, descriptor: &str) -> (u16, String) {
        let answer = self.call().header("MCP-Connect", descriptor).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let code = body["code"].as_str().map(str::to_owned);
        (status, code.unwrap_or_else(|| if status == 200 { phase_in(&text) } else { text }))
    }

    /// The request, without any proof.
    pub(crate) fn call(&self) -> reqwest::RequestBuilder {
        tool_call(&self.http, &self.url, TOOL, &arguments())
    }

    /// What its guard counts.
    pub(crate) async fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let base = self.url.trim_end_matches("/mcp");
        Metrics::of(&Door::new(base, None)).await.sum(name, labels)
    }
}

/// The tool that tests call.
pub(crate) const TOOL: &str = "moon_phase";

/// What they ask it.
pub(crate) fn arguments() -> Value {
    json!({ "date": "2025-03-14" })
}

/// What it answers.
pub(crate) const PHASE: &str = "full moon";

fn phase_in(text: &str) -> String {
    if text.contains(PHASE) { PHASE.to_owned() } else { text.to_owned() }
}

/// The answer to a call that was let in.
pub(crate) fn opened() -> (u16, String) {
    (200, PHASE.to_owned())
}

/// A refusal by the guard.
pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// What a client on the SDK for Python hears of the tool.
pub(crate) async fn ask(client: &mut PythonClient) -> Value {
    client.call(TOOL, &arguments()).await
}
