//! TLS of the public port: both versions of HTTP, certificates that change, clients that show one, and who abuses HTTP/2.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Authority, Cluster, Door, Metrics, Options, command, identity, wait_until};
use rcgen::SanType;
use reqwest::Version;
use rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject};
use std::{fs, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that speaks `protocol`, and the certificate that it was shown.
async fn connect(
    authority: &Authority,
    cluster: &Cluster,
    protocol: &str,
) -> (TlsStream<TcpStream>, Vec<u8>) {
    let mut roots = RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let stream = TcpStream::connect(address(cluster)).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    (stream, shown)
}

fn address(cluster: &Cluster) -> &str {
    cluster.node(0).http().strip_prefix("https://").expect("a node with TLS says so")
}

async fn metrics(cluster: &Cluster) -> Metrics {
    Metrics::of(&Door::new(cluster.node(0).http(), None)).await
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_the_command_line_too() {
    let authority = Authority::new();
    let cluster = Cluster::start_with(3, authority.settings(Options::default())).await;
    let url = |path: &str| format!("{}{path}", cluster.node(0).http());
    let two = authority.client().build().unwrap().get(url("/livez")).send().await.unwrap();
    assert_eq!((two.status().as_u16(), two.version()), (200, Version::HTTP_2));
    let one = authority.client().http1_only().build().unwrap().get(url("/livez")).send().await.unwrap();
    assert_eq!((one.status().as_u16(), one.version()), (200, Version::HTTP_11));
    let plain = reqwest::get(url("/livez").replace("https", "http")).await;
    assert!(plain.is_err(), "plain HTTP gets no answer");

    let run = |arguments: &[&str], ca: Option<&Path>| {
        let mut command = command();
        command.args(arguments).env("HAPI_TOKEN", cluster.operator_token());
        command.env("HAPI_NODES", cluster.node(0).http());
        if let Some(ca) = ca {
            command.arg("--ca").arg(ca);
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let ca = authority.path("ca.pem");
    let (is_done, said) = run(&["cluster", "status"], Some(&ca));
    assert!(is_done && said.contains(cluster.node(2).http()), "{said}");
    assert!(run(&["doctor"], Some(&ca)).1.contains("nothing"), "every node was asked");
    assert!(!run(&["cluster", "status"], None).0, "nobody vouches for that certificate");
    let health = ["health", "--wait", "20", "--url", cluster.node(0).http()];
    assert_eq!(run(&health, Some(&ca)).1.trim(), "ready");
}

#[tokio::test]
async fn another_certificate_is_taken_over_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let cluster = Cluster::start_with(1, authority.settings(Options::default())).await;
    let shown = async || connect(&authority, &cluster, "http/1.1").await.1;
    let first = shown().await;
    let (mut open, _) = connect(&authority, &cluster, "http/1.1").await;
    authority.renew();
    cluster.node(0).hang_up();
    wait_until("another certificate is shown", async || (shown().await != first).then_some(())).await;
    open.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    open.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200", "what was open goes on");

    let second = shown().await;
    let reloads =
        async |result: &str| metrics(&cluster).await.sum("hapi_tls_reloads_total", &[("result", result)]);
    fs::write(authority.path("key.pem"), "no key").unwrap();
    wait_until("the broken key was refused", async || (reloads("refused").await >= 1.0).then_some(())).await;
    assert_eq!(shown().await, second);
    authority.renew();
    wait_until("the third one is shown without a signal", async || (shown().await != second).then_some(()))
        .await;
    assert!(metrics(&cluster).await.sum("hapi_tls_certificate_end_timestamp_seconds", &[]) > 1e9);
}

#[tokio::test]
async fn a_clients_certificate_is_verified_and_none_is_needed() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let options = authority.settings(Options::default()).set("HAPI_LOG_LEVEL", "info,hapi_registry=debug");
    let cluster = Cluster::start_with(1, clients.of_clients(options)).await;
    let url = format!("{}/livez", cluster.node(0).http());
    let ask = async |holder: Option<&Authority>| {
        let client = authority.client();
        let client = match holder {
            None => client,
            Some(holder) => {
                let name = SanType::URI("spiffe://example.com/agent".try_into().unwrap());
                client.identity(identity(&holder.certify(vec![name])))
            }
        };
        client.build().unwrap().get(&url).send().await.map(|answer| answer.status().as_u16()).ok()
    };
    assert_eq!(ask(None).await, Some(200));
    assert_eq!(ask(Some(&clients)).await, Some(200));
    assert!(cluster.node(0).log().contains("spiffe://example.com/agent"));
    assert_eq!(ask(Some(&strangers)).await, None);
    assert!(metrics(&cluster).await.sum("hapi_http_limited_total", &[("limit", "handshake")]) >= 1.0);
}

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection on which the preface and our settings are sent.
async fn two(authority: &Authority, cluster: &Cluster, settings: &[u8]) -> TlsStream<TcpStream> {
    let (mut stream, _) = connect(authority, cluster, "h2").await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, settings)).await.unwrap();
    stream
}

/// `GET /livez`, by names of HPACK's static table.
fn headers(stream: u32) -> Vec<u8> {
    let block = [&[0x82, 0x87, 0x44, 6][..], b"/livez", &[0x41, 1], b"a"].concat();
    // END_STREAM and END_HEADERS.
    frame(1, 5, stream, &block)
}

/// Whether the other end closes the connection.
async fn is_cut_off(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut piece = [0; 16_384];
    let end = async { while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {} };
    timeout(PATIENCE, end).await.is_ok()
}

#[tokio::test]
async fn who_abuses_http_2_is_cut_off() {
    let authority = Authority::new();
    let options = authority.settings(Options::default());
    let options = [("HEADER_TIMEOUT_MS", "1000"), ("IDLE_TIMEOUT_MS", "1000"), ("STALL_TIMEOUT_MS", "1000")]
        .iter()
        .chain(&[("HANDSHAKE_TIMEOUT_MS", "1000")])
        .fold(options, |options, (name, value)| options.set(&format!("HAPI_HTTP_{name}"), value));
    let cluster = Cluster::start_with(1, options).await;
    let count =
        async |limit: &str| metrics(&cluster).await.sum("hapi_http_limited_total", &[("limit", limit)]);

    // Rapid reset (CVE-2023-44487): requests that are taken back at once.
    let mut resetting = two(&authority, &cluster, &[]).await;
    for stream in (1..20_000).step_by(2) {
        let both = [headers(stream), frame(3, 0, stream, &8_u32.to_be_bytes())].concat();
        if resetting.write_all(&both).await.is_err() {
            break;
        }
    }
    assert!(is_cut_off(&mut resetting).await);
    assert!(count("http2").await >= 1.0);

    // Who asks, and gives the answers no room.
    let mut stalling = two(&authority, &cluster, &[0, 4, 0, 0, 0, 0]).await;
    stalling.write_all(&headers(1)).await.unwrap();
    assert!(is_cut_off(&mut stalling).await);
    assert!(count("stalled").await >= 1.0);

    // Who says nothing: at once, after the handshake, after a request.
    let mut idle = two(&authority, &cluster, &[]).await;
    idle.write_all(&headers(1)).await.unwrap();
    let mut mute = connect(&authority, &cluster, "h2").await.0;
    let mut silent = TcpStream::connect(address(&cluster)).await.unwrap();
    assert!(is_cut_off(&mut mute).await && is_cut_off(&mut idle).await);
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0; 8])).await.expect("it is cut off").unwrap_or(0), 0);
    assert!(count("idle").await >= 2.0);
    assert!(count("handshake_timeout").await >= 1.0);
}
