#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use axum::{Router, response::Redirect, routing::get};
use std::net::SocketAddr;

fn outbound(allow_private: bool) -> Outbound {
    Outbound::new(&config::Outbound { allow_private, dns_server: None }).unwrap()
}

/// A server on loopback: a short text, a long one, and one that is elsewhere.
async fn server() -> SocketAddr {
    server_at("127.0.0.1:0", "nobody").await
}

/// The same at an address of its own, where it says who it is.
pub(super) async fn server_at(address: &str, name: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/who", get(move || async move { name }))
        .route("/short", get(|| async { "hello" }))
        .route("/long", get(|| async { "x".repeat(5_000) }))
        .route("/elsewhere", get(|| async { Redirect::temporary("/short") }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

pub(super) async fn fetch(outbound: &Outbound, url: &str) -> Result<Fetched, OutboundError> {
    let ask = Ask { url: url.parse().unwrap(), headers: HeaderMap::new(), form: None, most_bytes: 4_096 };
    outbound.fetch(ask).await
}

#[tokio::test]
async fn an_answer_is_taken_as_it_is_within_its_bounds() {
    let (outbound, address) = (outbound(true), server().await);
    let short = fetch(&outbound, &format!("http://{address}/short")).await.unwrap();
    assert_eq!((short.status, short.body.as_slice()), (StatusCode::OK, &b"hello"[..]));
    let long = fetch(&outbound, &format!("http://{address}/long")).await;
    assert_eq!(long.unwrap_err(), OutboundError::TooLarge(4_096));
    let elsewhere = fetch(&outbound, &format!("http://{address}/elsewhere")).await.unwrap();
    assert_eq!(elsewhere.status, StatusCode::TEMPORARY_REDIRECT, "a redirect is an answer and no order");
}

#[tokio::test]
async fn what_is_not_public_or_not_encrypted_is_not_even_connected_to() {
    let outbound = outbound(false);
    for url in [
        "https://127.0.0.1:1/",
        "https://[::1]:1/",
        "https://0x7f.1:1/",
        "https://2130706433:1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
    ] {
        let refused = fetch(&outbound, url).await.unwrap_err();
        assert!(matches!(refused, OutboundError::Private { .. }), "{url}: {refused}");
    }
    let refused = fetch(&outbound, "http://example.com/").await.unwrap_err();
    assert!(matches!(refused, OutboundError::Plain(_)), "{refused}");
}

#[test]
fn one_address_inside_spoils_a_name() {
    let (public, private): (IpAddr, IpAddr) = ("8.8.8.8".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let check = |found: &[IpAddr], allow| names::check("a.example", found, allow);
    assert_eq!(check(&[public], false), Ok(()));
    let refused = OutboundError::Private { host: "a.example".into(), address: private };
    assert_eq!(check(&[public, private], false), Err(refused));
    assert_eq!(check(&[public, private], true), Ok(()));
    assert!(check(&[], true).is_err());
}

#[tokio::test]
async fn who_takes_the_question_and_never_answers_is_not_waited_for() {
    let silent = Router::new().fallback(|| async { std::future::pending::<StatusCode>().await });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, silent).await });
    let patience = Duration::from_millis(100);
    let outbound = outbound(true).patient(patience);
    let posted = outbound.post(url, HeaderMap::new(), "{}".into());
    let posted = tokio::time::timeout(Duration::from_secs(20), posted).await.unwrap();
    assert_eq!(posted.unwrap_err(), OutboundError::Slow(patience));
}
