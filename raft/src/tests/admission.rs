//! Who is let in, and who is not.

use super::harness::{Home, OTHER_SECRET, SECRET, formed, homes, introduce, leader, start_all, within};
use crate::{
    BootstrapError, ClusterSecret, DialError, Replica,
    certificate::{Subject, key_from_seed, key_sha256},
    formation::phase::{Sighting, Stage},
    peer::{
        dial::Dialer,
        link::{AskError, Link},
        message::{Ask, Bootstrap, Hello, Join, ReadIndex, Refusal, Release},
        resolve::Names,
        route::Route,
    },
    propose_bootstrap,
    tls::Tls,
    types::PeerNode,
};
use hapi_registry_state::{Command, NewToken, Outcome, PresentedToken, Rejection, Role, mint};
use std::{sync::Arc, time::Duration};

/// Someone at the other end of the peer plane, who claims to be `subject` with the key of `seed`.
pub(super) fn stranger(secret: &str, subject: Subject, seed: u8) -> Dialer {
    let secret = ClusterSecret::parse(secret.as_bytes()).unwrap();
    let key = key_from_seed(&[seed; 32]).unwrap();
    Dialer { names: Names::system(), tls: Tls::new(&[secret], subject, &key).unwrap() }
}

pub(super) fn link(dialer: Dialer, home: &Home) -> Arc<Link> {
    let address = home.address();
    Link::new(move || {
        let (dialer, address) = (dialer.clone(), address.clone());
        async move { dialer.dial(&address, |_| Ok(())).await }
    })
}

async fn ask<A: Ask>(dialer: Dialer, home: &Home, message: &A) -> Result<A::Answer, AskError> {
    link(dialer, home).ask(message, Duration::from_secs(5)).await.map(|reply| reply.answer)
}

pub(super) fn sighting(home: &Home, node: u64, seed: u8) -> Sighting {
    let record = PeerNode {
        peer: "127.0.0.1:1".into(),
        http: "https://x".into(),
        key_sha256: key_sha256(&key_from_seed(&[seed; 32]).unwrap()),
        version: "1".into(),
    };
    Sighting { node, record, facts: home.facts.clone(), expect: None, stage: Stage::Searching }
}

async fn single() -> (Home, Replica) {
    let home = Home::new(Some(1));
    let replica = home.start().await;
    formed(std::slice::from_ref(&replica)).await;
    (home, replica)
}

#[tokio::test]
async fn another_secret_does_not_even_get_through_the_handshake() {
    let (home, _replica) = single().await;
    let refused = ask(stranger(OTHER_SECRET, Subject::Node(5), 1), &home, &ReadIndex).await;
    assert!(matches!(refused, Err(AskError::Dial(DialError::Handshake { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_node_with_another_secret_stays_outside() {
    let mut homes = homes(2);
    homes[1].secrets = vec![OTHER_SECRET];
    let inside = homes[0].start().await;
    let outside = homes[1].start().await;
    let formed = tokio::time::timeout(Duration::from_millis(1500), async {
        tokio::select! { () = inside.formed() => {}, () = outside.formed() => {} }
    });
    assert!(formed.await.is_err());
}

#[tokio::test]
async fn nodes_with_an_old_and_a_new_secret_understand_each_other() {
    let mut homes = homes(3);
    homes[1].secrets = vec![SECRET, OTHER_SECRET];
    homes[2].secrets = vec![OTHER_SECRET, SECRET];
    homes[0].secrets = vec![SECRET, OTHER_SECRET];
    let replicas = start_all(&homes).await;
    leader(&replicas).await;
}

#[tokio::test]
async fn whoever_only_has_the_secret_may_ask_but_not_act() {
    let (home, _replica) = single().await;
    let unknown = || stranger(SECRET, Subject::Node(5), 1);
    let refused = ask(unknown(), &home, &ReadIndex).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::NotMember(5)))), "{refused:?}");
    let hello = Hello { sighting: sighting(&home, 5, 1), roll: Default::default() };
    assert!(ask(unknown(), &home, &hello).await.is_ok());
}

#[tokio::test]
async fn a_members_id_with_another_key_is_refused_everywhere() {
    let (home, replica) = single().await;
    let id = replica.node_id().0;
    let thief = || stranger(SECRET, Subject::Node(id), 9);
    let refused = ask(thief(), &home, &ReadIndex).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::WrongKey(_)))), "{refused:?}");
    let join = Join(sighting(&home, id, 9));
    let refused = ask(thief(), &home, &join).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::WrongKey(_)))), "{refused:?}");
}

#[tokio::test]
async fn nobody_speaks_for_another_node_nor_at_any_length() {
    let (home, _replica) = single().await;
    let mut wordy = sighting(&home, 5, 1);
    wordy.record.version = "1".repeat(101);
    let refused = ask(stranger(SECRET, Subject::Node(5), 1), &home, &Join(wordy)).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::NotYourself))), "{refused:?}");
    let join = Join(sighting(&home, 6, 1));
    let refused = ask(stranger(SECRET, Subject::Node(5), 1), &home, &join).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::NotYourself))), "{refused:?}");
}

#[tokio::test]
async fn a_node_with_another_issuer_is_refused_and_both_values_are_named() {
    let mut homes = homes(1);
    let mut other = Home::new(None);
    other.facts.issuer = "https://elsewhere.test".into();
    other.join = vec![homes[0].address()];
    introduce(&mut homes);
    let _replicas = start_all(&homes).await;
    let replica = other.start().await;
    let reason = within("it fails", replica.ended()).await.to_string();
    assert!(
        reason.contains("https://elsewhere.test") && reason.contains("https://registry.test"),
        "{reason}"
    );
}

#[tokio::test]
async fn nodes_that_disagree_form_no_cluster() {
    let mut homes = homes(2);
    homes[1].facts.lease_duration_ms = 5000;
    let replicas = [homes[0].start().await, homes[1].start().await];
    let formed = tokio::time::timeout(Duration::from_millis(1500), replicas[0].formed());
    assert!(formed.await.is_err());
}

#[tokio::test]
async fn messages_beyond_their_bound_are_refused() {
    let (home, _replica) = single().await;
    let connection = stranger(SECRET, Subject::Node(5), 1).dial(&home.address(), |_| Ok(())).await.unwrap();
    let mut sender = connection.sender;
    let body = http_body_util::Full::new(vec![0_u8; Route::Hello.limit() + 1].into());
    let request =
        http::Request::post(format!("https://peer.hapi.internal{}", Route::Hello.path())).body(body);
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), http::StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nonsense_is_refused_and_the_connection_lives_on() {
    let (home, _replica) = single().await;
    let link = link(stranger(SECRET, Subject::Node(5), 1), &home);
    let refused = link.send::<Hello>(vec![0, 1, 255, 255, 255].into(), Duration::from_secs(5)).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::Message(_)))), "{:?}", refused.err());
    assert!(link.ask(&Release { cluster_id: 1 }, Duration::from_secs(5)).await.is_ok());
}

fn first_operator() -> Command {
    let (_, token) = mint(Role::Operator, rand::random::<u8>);
    let PresentedToken { id, hash, role } = token;
    let (client, tenant, namespaces, expires_at) = (None, None, Vec::new(), None);
    Command::Bootstrap(NewToken { id, hash, role, client, tenant, namespaces, expires_at })
}

#[tokio::test]
async fn the_secret_alone_bootstraps_through_any_node() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    leader(&replicas).await;
    let secret = ClusterSecret::parse(SECRET.as_bytes()).unwrap();
    let mut outcomes = Vec::new();
    for home in &homes {
        outcomes.push(propose_bootstrap(&secret, &home.address(), first_operator()).await.unwrap());
    }
    let again = Outcome::Rejected(Rejection::AlreadyBootstrapped);
    assert_eq!(outcomes, [Outcome::Done, again.clone(), again]);
    let wrong = ClusterSecret::parse(OTHER_SECRET.as_bytes()).unwrap();
    let refused = propose_bootstrap(&wrong, &homes[0].address(), first_operator()).await;
    assert!(matches!(refused, Err(BootstrapError::Unreachable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_node_may_not_use_the_operators_path_nor_an_operator_a_nodes() {
    let (home, _replica) = single().await;
    let refused = ask(stranger(SECRET, Subject::Node(5), 1), &home, &Bootstrap(Command::Checkpoint)).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::WrongCaller))), "{refused:?}");
    let refused = ask(stranger(SECRET, Subject::Operator, 1), &home, &ReadIndex).await;
    assert!(matches!(refused, Err(AskError::Refused(Refusal::WrongCaller))), "{refused:?}");
}
