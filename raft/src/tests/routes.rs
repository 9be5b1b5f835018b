//! Who may use which route of the peer plane: all of them, so that a new one cannot be forgotten.

use super::{
    admission::{sighting, stranger},
    harness::{Home, SECRET, follower, homes, read, start_all, until, write},
    leasing::set,
};
use crate::{
    ClusterSecret, Replica,
    certificate::Subject,
    peer::{
        dial::{Connection, Dialer},
        link::Link,
        message::{Hello, Join, JoinAnswer, Refusal},
        resolve::Names,
        route::Route,
    },
    tls::Tls,
    wire,
};
use bytes::Bytes;
use hapi_registry_state::{Command, NodeId};
use http_body_util::{BodyExt, Full};
use rcgen::KeyPair;
use std::time::{Duration, Instant};

/// What a mere holder of the secret may send, and why.
const OPEN: [Route; 4] = [
    // Nodes that know nothing of each other have to meet, and a member comes back under a new address.
    Route::Hello,
    // A cluster is formed by nodes that are no members yet.
    Route::Invite,
    Route::Release,
    // Whoever has the secret may ask to be taken in.
    Route::Join,
];

/// The first operator token of a cluster is made with the secret alone; it works once.
const OPERATORS: [Route; 1] = [Route::Bootstrap];

/// Sends an empty message, and yields why it was turned away at the gate; none if it came through.
async fn knock(connection: &Connection, route: Route) -> Option<Refusal> {
    let uri = format!("https://peer.hapi.internal{}", route.path());
    let request = http::Request::post(uri).body(Full::new(Bytes::new())).unwrap();
    let response = connection.sender.clone().send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let refusal = wire::decode(&body).unwrap();
    match refusal {
        Refusal::Message(_) => assert_eq!(status, http::StatusCode::BAD_REQUEST),
        _ => assert_eq!(status, http::StatusCode::FORBIDDEN, "{route:?}: {refusal}"),
    }
    Some(refusal).filter(|refusal| !matches!(refusal, Refusal::Message(_)))
}

pub(super) async fn dial(dialer: &Dialer, home: &Home) -> Connection {
    dialer.dial(&home.address(), |_| Ok(())).await.unwrap()
}

/// The routes that `dialer` gets through at `home`. `refusal` judges the others.
async fn passed(dialer: &Dialer, home: &Home, refusal: impl Fn(&Refusal) -> bool) -> Vec<Route> {
    let connection = dial(dialer, home).await;
    let mut passed = Vec::new();
    for route in Route::ALL {
        match knock(&connection, route).await {
            Some(reason) => assert!(refusal(&reason), "{route:?}: {reason}"),
            None => passed.push(route),
        }
    }
    passed
}

/// With the certificate that the node at `home` has.
pub(super) fn certified(home: &Home, node: NodeId) -> Dialer {
    let pem = std::fs::read_to_string(home.dir.path().join("peer.key")).unwrap();
    let secret = ClusterSecret::parse(SECRET.as_bytes()).unwrap();
    let tls = Tls::new(&[secret], Subject::Node(node.0), &KeyPair::from_pem(&pem).unwrap()).unwrap();
    Dialer { names: Names::system(), tls }
}

/// Removes one that follows; yields its home, what is left, and their homes.
async fn remove_one(
    mut homes: Vec<Home>,
    mut replicas: Vec<Replica>,
) -> (Home, NodeId, Vec<Home>, Vec<Replica>) {
    let operator = set(&replicas).await;
    let removed = follower(&replicas).await.node_id();
    let place = replicas.iter().position(|replica| replica.node_id() == removed).unwrap();
    let (home, gone) = (homes.remove(place), replicas.remove(place));
    let drained = replicas[0].propose(operator.clone(), Command::DrainNode(removed)).await.unwrap();
    replicas[0].sealed(drained.index, Duration::from_secs(20)).await.unwrap();
    until("the seal is on record", || replicas[0].state().sealed() >= drained.index).await;
    replicas[0].propose(operator, Command::LeaveRoster(removed)).await.unwrap();
    gone.shutdown().await;
    let is_gone = |replica: &Replica| {
        replica.state().has_departed(removed)
            && replica.status().members.iter().all(|member| member.id != removed)
    };
    until("every node knows of the removal", || replicas.iter().all(is_gone)).await;
    (home, removed, homes, replicas)
}

#[tokio::test]
async fn a_removed_node_and_who_takes_the_id_of_another_get_through_no_route() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let (gone, removed, homes, replicas) = remove_one(homes, replicas).await;
    for (home, replica) in homes.iter().zip(&replicas) {
        let unknown = |reason: &Refusal| matches!(reason, Refusal::NotMember(_) | Refusal::WrongCaller);
        // Both tell it what it is to the cluster, and no more: see below.
        let told = [Route::Hello, Route::Join];
        let refused = replica.counters().refused.get();
        assert_eq!(passed(&certified(&gone, removed), home, unknown).await, told);
        assert!(replica.counters().refused.get() >= refused + (Route::ALL.len() - told.len()) as u64);
        assert_eq!(passed(&stranger(SECRET, Subject::Node(removed.0), 9), home, unknown).await, told);
        for member in &replicas {
            let thief = stranger(SECRET, Subject::Node(member.node_id().0), 9);
            let wrong_key = |reason: &Refusal| *reason == Refusal::WrongKey(member.node_id().0);
            assert_eq!(passed(&thief, home, wrong_key).await, []);
        }
        assert_eq!(passed(&stranger(SECRET, Subject::Node(5), 9), home, unknown).await, OPEN);
        let not_operators = |reason: &Refusal| *reason == Refusal::WrongCaller;
        assert_eq!(passed(&stranger(SECRET, Subject::Operator, 9), home, not_operators).await, OPERATORS);
        let members = replica.status().members;
        assert!(members.iter().all(|member| replicas.iter().any(|replica| replica.node_id() == member.id)));
    }
    write(&replicas[0], "afterwards").await;
    until("the rest goes on", || read(&replicas[1], &replicas[0]).as_deref() == Some("afterwards")).await;
}

#[tokio::test]
async fn a_removed_node_is_told_that_it_is_none_of_us_and_not_let_in() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let (_gone, removed, homes, _replicas) = remove_one(homes, replicas).await;
    for home in &homes {
        let dialer = stranger(SECRET, Subject::Node(removed.0), 9);
        let address = home.address();
        let link = Link::new(move || {
            let (dialer, address) = (dialer.clone(), address.clone());
            async move { dialer.dial(&address, |_| Ok(())).await }
        });
        let within = Duration::from_secs(5);
        let hello = Hello { sighting: sighting(home, removed.0, 9), roll: Default::default() };
        // A follower hears a moment later that the change it knows of is committed.
        let told = async || link.ask(&hello, within).await.unwrap().answer.roll;
        let deadline = Instant::now() + within;
        while told().await.members.contains_key(&removed.0) {
            assert!(Instant::now() < deadline, "it is still told that it is a member");
        }
        let answer = link.ask(&Join(sighting(home, removed.0, 9)), within).await.unwrap().answer;
        assert!(!matches!(answer, JoinAnswer::Admitted { .. }), "{answer:?}");
    }
}
