//! What somebody who reaches the peer port can do without belonging there: nothing, and it is counted.

use super::{
    admission::stranger,
    harness::{Home, OTHER_SECRET, homes, start_all, until, write},
    routes::{certified, dial},
};
use crate::{Replica, certificate::Subject, peer::route::Route};
use bytes::Bytes;
use http_body_util::Full;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How often each kind of nonsense is sent.
const TIMES: u64 = 50;

/// The counter of connections that came to nothing.
fn strangers(replica: &Replica) -> u64 {
    replica.counters().strangers.get()
}

/// Sends `bytes`, and waits until the other end has closed.
async fn shout(home: &Home, bytes: &[u8]) {
    let mut stream = TcpStream::connect(home.address()).await.unwrap();
    // The node may close while we still talk.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "it speaks with strangers");
}

#[tokio::test]
async fn noise_and_foreign_secrets_are_refused_and_counted_and_have_no_effect() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    write(&replicas[0], "before").await;
    let term = replicas[0].status().term;
    let mut dice = StdRng::seed_from_u64(8);
    for number in 0..TIMES {
        let mut noise = vec![0; dice.random_range(1..2_000)];
        dice.fill_bytes(&mut noise);
        // A record of TLS that claims to be a handshake of any length.
        let record = [&[22, 3, 1, noise[0], noise[0]][..], &noise].concat();
        let plain = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for bytes in [noise.clone(), record, plain] {
            shout(&homes[0], &bytes).await;
        }
        let foreign = stranger(OTHER_SECRET, Subject::Node(number), 9);
        assert!(foreign.dial(&homes[0].address(), |_| Ok(())).await.is_err());
    }
    until("each is counted", || strangers(&replicas[0]) >= 4 * TIMES).await;
    assert_eq!(strangers(&replicas[1]), 0, "and nobody else is");
    write(&replicas[1], "after").await;
    let status = replicas[0].status();
    assert_eq!((status.members.len(), status.term), (3, term), "nothing has happened");
}

/// A body that claims or has more than its route takes, from a member whose certificate is good.
#[tokio::test]
async fn huge_lengths_are_refused_without_being_kept() {
    let homes = homes(1);
    let replicas = start_all(&homes).await;
    let member = certified(&homes[0], replicas[0].node_id());
    let connection = dial(&member, &homes[0]).await;
    for route in Route::ALL {
        let uri = format!("https://peer.hapi.internal{}", route.path());
        let request = http::Request::post(uri).header(http::header::CONTENT_LENGTH, u64::MAX / 2);
        let request = request.body(Full::new(Bytes::new())).unwrap();
        // HTTP/2 itself ends a stream whose body is not as long as it claims.
        if let Ok(response) = connection.sender.clone().send_request(request).await {
            assert!(response.status().is_client_error(), "{route:?}: {}", response.status());
        }
        let body = "x".repeat(route.limit() + 1);
        let request = http::Request::post(format!("https://peer.hapi.internal{}", route.path()));
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let answer = connection.sender.clone().send_request(request).await;
        assert!(answer.is_err() || answer.is_ok_and(|it| it.status().is_client_error()), "{route:?}");
    }
    write(&replicas[0], "afterwards").await;
}
