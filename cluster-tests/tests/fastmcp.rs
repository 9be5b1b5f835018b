//! MCP software that knows nothing of this registry: the official SDK's client and FastMCP's server, as they come.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{
    Cluster, FrontDoor, Options, Program, Proof, PythonClient, document, free_port, python, python_example,
    tool_call, wait_until,
};
use reqwest::header;
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

const SERVER: &str = "ai.acme/units";
const TOOL: &str = "celsius";
/// The shortest life of a descriptor, in seconds.
const TTL: u64 = 30;
/// What FastMCP answers to a token that it does not take.
const REFUSED: u16 = 401;

/// A cluster, and FastMCP's server as the example has it.
struct World {
    cluster: Cluster,
    door: FrontDoor,
    endpoint: String,
    _server: Program,
}

impl World {
    async fn start(python: &Path) -> Self {
        let door = FrontDoor::open().await;
        let options = Options::default().set("HAPI_ISSUER", door.url());
        let cluster = Cluster::start_with(3, options).await;
        door.lead_to(cluster.whereabouts());
        let settings = json!({ "allow_insecure_endpoints": true, "ttl_default": TTL });
        cluster.operator(0).patch("/v1/settings", &settings).await.ok();
        let endpoint = format!("http://127.0.0.1:{}/mcp", free_port());
        let mut document = document(SERVER, "1.0.0");
        document["remotes"] = json!([{ "type": "streamable-http", "url": endpoint }]);
        cluster.publisher(0).post("/v0.1/publish", &document).await.ok();
        let script = python_example("server.py");
        let arguments = ["-B", script.to_str().unwrap(), "--endpoint", &endpoint, "--registry", door.url()];
        let mut server = Program::serve(python, arguments, &[]);
        server.read_until(|line| line.contains("Uvicorn running").then_some(())).await;
        Self { cluster, door, endpoint, _server: server }
    }

    /// The stock client, with an OAuth provider that finds out all else by itself.
    async fn client(&self, python: &Path, mode: &str) -> PythonClient {
        let proof =
            Proof::OAuth { client: "tester", token: self.cluster.client_token(), issuer: self.door.url() };
        PythonClient::open(python, &self.endpoint, proof, mode).await
    }

    /// A token by hand, to be held beyond its time.
    async fn token(&self) -> (u16, Value) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = format!("grant_type=client_credentials&resource={}", self.endpoint);
        let answer = http
            .post(format!("{}/oauth2/token", self.door.url()))
            .basic_auth("tester", Some(self.cluster.client_token()))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The status of a tool call with this token.
    async fn knock(&self, token: &str) -> u16 {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let call = tool_call(&http, &self.endpoint, TOOL, &arguments());
        call.bearer_auth(token).send().await.unwrap().status().as_u16()
    }
}

fn arguments() -> Value {
    json!({ "fahrenheit": 451 })
}

async fn celsius(client: &mut PythonClient) -> Value {
    client.call(TOOL, &arguments()).await
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmodified_client_reaches_an_unmodified_server_until_the_registry_says_no() {
    let Some(python) = python() else { return };
    let world = World::start(&python).await;
    for (mode, revision) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        let mut client = world.client(&python, mode).await;
        assert_eq!(client.greeting, json!({ "connected": revision }));
        assert_eq!(celsius(&mut client).await["result"], json!({ "result": 232.78 }), "{mode}");
    }
    let mut client = world.client(&python, "2026-07-28").await;
    assert_eq!(celsius(&mut client).await["result"], json!({ "result": 232.78 }));
    let ((status, granted), issued) = (world.token().await, now());
    assert_eq!((status, &granted["expires_in"]), (200, &json!(TTL)), "{granted}");
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(world.knock(token).await, 200);

    world.cluster.moderator(1).moderate("suspend", "server", SERVER).await.ok();
    let (status, refusal) = world.token().await;
    assert_eq!((status, &refusal["code"]), (400, &json!("server_revoked")), "{refusal}");
    let newcomer = world.client(&python, "legacy").await;
    let said = newcomer.greeting["error"].as_str().unwrap();
    assert!(said.contains("server_revoked"), "{said}");
    // FastMCP hears no feed: what is out lives on until its end, and no longer.
    assert_eq!(world.knock(token).await, 200);
    assert_eq!(celsius(&mut client).await["result"], json!({ "result": 232.78 }));
    wait_until("the token is over", async || (world.knock(token).await == REFUSED).then_some(())).await;
    let age = now() - issued;
    assert!((TTL - 1..=TTL + 10).contains(&age), "{age} s");
    let last = celsius(&mut client).await;
    assert!(last["error"].as_str().is_some_and(|said| said.contains("server_revoked")), "{last}");
}
