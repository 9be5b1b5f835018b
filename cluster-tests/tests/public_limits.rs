//! Nobody takes up a node: whoever sends too much, too slowly or too often is cut off and counted, and others do not
//! notice. `scripts/scenarios/limits/run` does all of it at once, and measures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Door, Metrics, Options, wait_until};
use serde_json::json;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Longer than any bound that is set here.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node with the bounds that are given, as `("BODY_TIMEOUT_MS", "1000")`.
async fn node(bounds: &[(&str, &str)]) -> Cluster {
    let set =
        |options: Options, (name, value): &(&str, &str)| options.set(&format!("HAPI_HTTP_{name}"), value);
    Cluster::start_with(1, bounds.iter().fold(Options::default(), set)).await
}

fn address(cluster: &Cluster) -> &str {
    cluster.node(0).http().trim_start_matches("http://")
}

/// A connection from the loopback address `127.0.0.<last>`.
async fn connect(cluster: &Cluster, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(address(cluster).parse().unwrap()).await.unwrap()
}

/// What comes until the other end closes; what it had read nothing of, it resets.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        match timeout(PATIENCE, stream.read(&mut piece)).await.expect("the node cuts it off") {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the node answers on this connection.
async fn is_served(stream: &mut TcpStream) -> bool {
    // The other end may have closed it already.
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answer = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("it is served or closed").is_ok()
}

async fn limited(cluster: &Cluster, limit: &str) -> f64 {
    let door = Door::new(cluster.node(0).http(), None);
    Metrics::of(&door).await.sum("hapi_http_limited_total", &[("limit", limit)])
}

#[tokio::test]
async fn who_is_slow_is_cut_off() {
    let cluster = node(&[
        ("HEADER_TIMEOUT_MS", "2000"),
        ("BODY_TIMEOUT_MS", "1000"),
        ("IDLE_TIMEOUT_MS", "1000"),
        ("STALL_TIMEOUT_MS", "1000"),
    ])
    .await;
    let mut silent = connect(&cluster, 1).await;
    let mut dripping = connect(&cluster, 1).await;
    dripping.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-").await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut dripping).await, "");
    assert!(limited(&cluster, "header_timeout").await >= 2.0);

    let mut slow = connect(&cluster, 1).await;
    let head = format!(
        "POST /v1/connect HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n{{",
        cluster.client_token()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert!(rest(&mut slow).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(limited(&cluster, "body_timeout").await, 1.0);

    // Who asks and does not read: until what the kernel holds for it is full.
    let mut reader = connect(&cluster, 1).await;
    let many = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    reader.write_all(many.as_bytes()).await.unwrap();
    wait_until("who reads nothing is cut off", async || {
        (limited(&cluster, "stalled").await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(cluster.client(0).get("/readyz").await.status, 200);
}

#[tokio::test]
async fn who_sends_too_much_is_refused() {
    let cluster = node(&[("HEADER_BYTES", "8192"), ("BODY_BYTES", "1048576")]).await;
    let mut stream = connect(&cluster, 1).await;
    let head = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(limited(&cluster, "header_size").await, 1.0);

    let operator = cluster.operator(0);
    let large = json!({ "servers": ["x".repeat(2 << 20)] });
    assert_eq!(operator.post("/v1/import", &large).await.code(), "payload_too_large");
    assert_eq!(limited(&cluster, "body_size").await, 1.0);

    let (deep, objects) = ("[".repeat(10_000), "{\"a\":".repeat(3_000));
    for (door, path, body) in [
        (&operator, "/v1/import", format!("{{\"servers\":[{deep}")),
        (&operator, "/v1/tokens", format!("{{\"role\":{deep}")),
        (&cluster.client(0), "/v1/connect", format!("{{\"server_ref\":\"a/b\",\"variables\":{deep}")),
        (&cluster.moderator(0), "/v1/moderation", objects),
    ] {
        let request = door.request(reqwest::Method::POST, path).header("content-type", "application/json");
        let answer = door.try_send(request.body(body)).await.unwrap();
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{path}: {}", answer.text);
    }
    assert_eq!(limited(&cluster, "json_depth").await, 4.0);
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let cluster = node(&[("MAX_CONNECTIONS", "40"), ("CONNECTIONS_PER_ADDRESS", "20")]).await;
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(connect(&cluster, 7).await);
    }
    let mut served = 0;
    for stream in &mut held {
        served += usize::from(is_served(stream).await);
    }
    assert_eq!(served, 20);
    assert_eq!(limited(&cluster, "connections_per_address").await, 10.0);
    let mut other = connect(&cluster, 8).await;
    assert!(is_served(&mut other).await, "another address has places");
    let metrics = Metrics::of(&Door::new(cluster.node(0).http(), None)).await;
    assert!(metrics.sum("hapi_http_connections", &[]) >= 21.0);
    drop(held);
    wait_until("what is closed is free again", async || {
        is_served(&mut connect(&cluster, 7).await).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_guesses_tokens_waits_and_who_has_one_does_not() {
    let cluster = node(&[("FAILED_AUTH_PER_MINUTE", "20")]).await;
    let operator = cluster.operator(0);
    let made = operator.post("/v1/tokens", &json!({ "role": "client", "client": "gone" })).await.ok();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    operator.delete(&format!("/v1/tokens/{id}")).await.ok();
    let guesser = operator.with_token(token);
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(guesser.connect("ai.acme/none").await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 20, "{statuses:?}");
    assert_eq!(statuses[20..], [429; 20]);
    for path in ["/v1/tokens", "/v0.1/servers", "/v1/audit"] {
        assert_eq!(guesser.get(path).await.code(), "rate_limited", "{path}");
    }
    let answer = guesser.request(reqwest::Method::GET, "/v1/tokens").send().await.unwrap();
    assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    let secret = [("grant_type", "client_credentials"), ("client_id", "gone"), ("client_secret", token)];
    let form = reqwest::Client::new().post(format!("{}/oauth2/token", cluster.node(0).http()));
    let body = secret.map(|(name, value)| format!("{name}={value}")).join("&");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(body);
    assert_eq!(form.send().await.unwrap().status(), 429);
    assert!(limited(&cluster, "failed_authentications").await >= 24.0);

    // From the same address: known tokens are not counted, whoever else is there.
    assert_eq!(cluster.client(0).connect("ai.acme/none").await.code(), "server_not_found");
    operator.get("/v1/tokens").await.ok();
}

#[tokio::test]
async fn streams_are_bounded_and_left_places_are_free() {
    let cluster = node(&[("STREAMS_PER_ADDRESS", "2")]).await;
    cluster.wait_leases(&[0]).await;
    let open = async || {
        let url = format!("{}/v1/revocations/stream", cluster.node(0).http());
        reqwest::Client::new().get(url).send().await.unwrap()
    };
    let streams = [open().await, open().await];
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(open().await.status(), 503);
    assert_eq!(limited(&cluster, "streams_per_address").await, 1.0);
    let shown = Metrics::of(&Door::new(cluster.node(0).http(), None)).await;
    assert_eq!(shown.sum("hapi_http_streams", &[]), 2.0);
    drop(streams);
    wait_until("the places are free again", async || (open().await.status() == 200).then_some(())).await;
}
