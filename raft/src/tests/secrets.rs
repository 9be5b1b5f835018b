//! Changing the cluster secret while everything goes on.

use super::{
    admission::{link, sighting, stranger},
    harness::{OTHER_SECRET, SECRET, homes, leader, start_all, within, write},
};
use crate::{
    ClusterSecret, Replica, SecretsInForce, TlsError,
    backup::salvage::salvage,
    certificate::{ANY_PEER, Subject, key_from_seed},
    peer::message::Hello,
    tls::Tls,
};
use bytes::Bytes;
use futures::stream::pending;
use hapi_registry_state::SecretFingerprint;
use http_body_util::StreamBody;
use hyper::{body::Frame, client::conn::http2::handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinHandle};

/// Enough to meet the moment between a look at a connection and its use.
const EXCHANGES: usize = 60;

fn parse(texts: &[&str]) -> Vec<ClusterSecret> {
    texts.iter().map(|text| ClusterSecret::parse(text.as_bytes()).unwrap()).collect()
}

fn fingerprint(text: &str) -> SecretFingerprint {
    ClusterSecret::parse(text.as_bytes()).unwrap().fingerprint()
}

fn in_force(texts: &[&str]) -> SecretsInForce {
    SecretsInForce {
        signs: fingerprint(texts[0]),
        verifies: texts.iter().map(|text| fingerprint(text)).collect(),
    }
}

/// Gives `texts` to one node after the other, and waits until each of them sees that all have taken it over.
async fn step(replicas: &[Replica], texts: &[&str]) {
    for replica in replicas {
        assert!(replica.exchange_secrets(&parse(texts)).await.unwrap());
    }
    for replica in replicas {
        within("every node sees the step", async {
            loop {
                let seen = replica.secrets_of_members().await;
                if seen.len() == replicas.len() && seen.values().all(|secrets| *secrets == in_force(texts)) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Proves the old secret, and keeps the connection busy with a request that never ends.
async fn hang_on(address: &str) -> JoinHandle<hyper::Result<()>> {
    let key = key_from_seed(&[1; 32]).unwrap();
    let tls = Tls::new(&parse(&[SECRET, OTHER_SECRET]), Subject::Operator, &key).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(ANY_PEER).unwrap();
    let stream = tls.keys().connector.connect(name, stream).await.unwrap();
    let (mut sender, running) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let body = StreamBody::new(pending::<Result<Frame<Bytes>, Infallible>>());
    let request = http::Request::post(format!("https://{ANY_PEER}/bootstrap")).body(body).unwrap();
    tokio::spawn(async move { sender.send_request(request).await });
    tokio::spawn(running)
}

#[tokio::test]
async fn the_secret_is_changed_in_three_steps_and_no_write_fails() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    leader(&replicas).await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let (replica, ended) = (replica.clone(), ended.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while !ended.load(Ordering::Relaxed) {
                    // A write that does not come through panics.
                    write(&replica, &format!("write {count}")).await;
                    count += 1;
                }
                count
            })
        })
        .collect();
    step(&replicas, &[SECRET, OTHER_SECRET]).await;
    step(&replicas, &[OTHER_SECRET, SECRET]).await;
    let hanging = hang_on(&homes[0].address()).await;
    assert!(!hanging.is_finished(), "what the old one proves is still good");
    step(&replicas, &[OTHER_SECRET]).await;
    let cut_off = within("who has proven the old secret is cut off, whatever it is about", hanging).await;
    assert!(cut_off.unwrap().is_err());
    let old = stranger(SECRET, Subject::Operator, 1);
    for home in &homes {
        assert!(old.dial(&home.address(), |_| Ok(())).await.is_err());
        let new = stranger(OTHER_SECRET, Subject::Operator, 1);
        assert!(new.dial(&home.address(), |_| Ok(())).await.is_ok());
    }
    ended.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn secrets_that_cannot_be_used_change_nothing() {
    let homes = homes(1);
    let replica = start_all(&homes).await.remove(0);
    let exchange = async |texts: &[&str]| replica.exchange_secrets(&parse(texts)).await;
    assert!(matches!(exchange(&[]).await, Err(TlsError::NoSecret)));
    assert!(matches!(exchange(&[SECRET, OTHER_SECRET, SECRET]).await, Err(TlsError::TooManySecrets(3))));
    assert!(matches!(exchange(&[OTHER_SECRET, OTHER_SECRET]).await, Err(TlsError::SameSecret(_))));
    assert!(!exchange(&[SECRET]).await.unwrap(), "the same again is no exchange");
    assert_eq!(replica.secrets(), in_force(&[SECRET]));
    assert_eq!(replica.derive("x"), [parse(&[SECRET])[0].derive("x")]);
    assert!(exchange(&[SECRET, OTHER_SECRET]).await.unwrap());
    assert_eq!(replica.derive("x").len(), 2);
}

#[tokio::test]
async fn whoever_recovers_from_a_folder_finds_the_secrets_that_were_in_force_last() {
    let homes = homes(1);
    let replica = start_all(&homes).await.remove(0);
    assert!(replica.exchange_secrets(&parse(&[OTHER_SECRET, SECRET])).await.unwrap());
    replica.shutdown().await;
    drop(replica);
    let salvaged = salvage(homes[0].dir.path()).await.unwrap();
    assert_eq!(salvaged.secrets, in_force(&[OTHER_SECRET, SECRET]).verifies);
}

/// Requests that meet the end of a connection are certainly not acted upon, since the other end says so, or are answered:
/// who asked can ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_lost_when_secrets_are_exchanged() {
    let homes = homes(1);
    let replicas = start_all(&homes).await;
    let link = link(stranger(SECRET, Subject::Node(7), 9), &homes[0]);
    let ends = Arc::new(AtomicBool::new(false));
    let ask = async |hello: Hello| {
        let mut answered = 0_u64;
        while !ends.load(Ordering::Relaxed) {
            match link.ask(&hello, Duration::from_secs(5)).await {
                Ok(_) => answered += 1,
                // Secrets are exchanged so often here that the second connection ends as well.
                Err(error) => assert!(error.is_harmless(), "{error}"),
            }
        }
        assert!(answered > 0);
    };
    let hello = || Hello { sighting: sighting(&homes[0], 7, 9), roll: Default::default() };
    let asking = futures::future::join_all((0..16).map(|_| ask(hello())));
    let exchanging = async {
        for _ in 0..EXCHANGES {
            for texts in [&[SECRET, OTHER_SECRET][..], &[SECRET]] {
                assert!(replicas[0].exchange_secrets(&parse(texts)).await.unwrap());
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        }
        ends.store(true, Ordering::Relaxed);
    };
    tokio::join!(asking, exchanging);
}
