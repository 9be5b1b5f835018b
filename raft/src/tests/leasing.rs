//! Leases and seals among real replicas.

use super::harness::{Home, follower, formed, homes, leader, start_all, until, within, write};
use crate::{Cover, Replica, Role, SealReceipt, Verdict};
use hapi_registry_state::{Command, NewToken, NodeId, Outcome, Principal, TokenId, mint};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// All on the roster, each with a lease, and an operator.
pub(super) async fn set(replicas: &[Replica]) -> Principal {
    let leader = leader(replicas).await;
    let operator = bootstrap(&leader).await;
    for replica in replicas {
        write(replica, "here").await;
    }
    for replica in replicas {
        until("a lease", || replica.permit().is_some()).await;
    }
    operator
}

async fn bootstrap(leader: &Replica) -> Principal {
    let (_, token) = mint(hapi_registry_state::Role::Operator, rand::random);
    let id: TokenId = token.id.clone();
    let (client, tenant, namespaces, expires_at) = (None, None, Vec::new(), None);
    let new =
        NewToken { id: token.id, hash: token.hash, role: token.role, client, tenant, namespaces, expires_at };
    let made = leader.propose(Principal::ClusterSecret, Command::Bootstrap(new)).await.unwrap();
    assert_eq!(made.outcome, Outcome::Done);
    Principal::Token(id)
}

/// A deny-type write that harms nobody: settings count as one, whatever they say.
async fn deny(replica: &Replica, operator: &Principal) -> SealReceipt {
    let command = Command::UpdateSettings(Default::default());
    let committed = replica.propose(operator.clone(), command).await.unwrap();
    assert_eq!(committed.seal, Some(committed.index));
    within("a seal", replica.sealed(committed.index, PATIENCE)).await.unwrap()
}

fn covers(receipt: &SealReceipt, of: Cover) -> Vec<NodeId> {
    receipt.nodes.iter().filter(|covered| covered.cover == of).map(|covered| covered.node).collect()
}

fn ids(replicas: &[Replica]) -> Vec<NodeId> {
    let mut ids: Vec<_> = replicas.iter().map(Replica::node_id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn every_node_confirms_a_denial_and_keeps_its_lease() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let operator = set(&replicas).await;
    for replica in &replicas {
        let receipt = deny(replica, &operator).await;
        assert_eq!(covers(&receipt, Cover::Confirmed), ids(&replicas));
        for replica in &replicas {
            let permit = replica.permit().unwrap();
            assert!(permit.state().denied() >= receipt.index, "what is sealed is seen by every issuer");
        }
    }
}

#[tokio::test]
async fn a_permit_from_before_a_denial_decides_again() {
    let homes = homes(1);
    let replicas = start_all(&homes).await;
    let operator = set(&replicas).await;
    let mut permit = replicas[0].permit().unwrap();
    assert!(matches!(replicas[0].release(&mut permit), Verdict::Issue { .. }));
    let index = deny(&replicas[0], &operator).await.index;
    assert_eq!(replicas[0].release(&mut permit), Verdict::DecideAgain);
    assert!(permit.state().denied() >= index);
    assert!(matches!(replicas[0].release(&mut permit), Verdict::Issue { .. }));
}

#[tokio::test]
async fn a_node_that_is_gone_is_covered_once_and_then_costs_nothing() {
    let homes = homes(3);
    let mut replicas = start_all(&homes).await;
    let operator = set(&replicas).await;
    let gone = follower(&replicas).await.node_id();
    replicas.retain(|replica| replica.node_id() != gone);
    let receipt = deny(&replicas[0], &operator).await;
    assert_eq!(covers(&receipt, Cover::LeaseExpired), [gone]);
    assert_eq!(covers(&receipt, Cover::Confirmed), ids(&replicas));
    let slowest = receipt.nodes.iter().map(|covered| covered.ms).max().unwrap();
    assert!((1_000..4_200).contains(&slowest), "{slowest} ms");
    let again = deny(&replicas[1], &operator).await;
    assert!(again.nodes.iter().all(|covered| covered.ms < 1_000), "{again:?}");
}

#[tokio::test]
async fn the_next_leader_seals_what_the_last_one_left() {
    let homes = homes(3);
    let mut replicas = start_all(&homes).await;
    let operator = set(&replicas).await;
    let last = leader(&replicas).await;
    let command = Command::UpdateSettings(Default::default());
    let committed = last.propose(operator.clone(), command).await.unwrap();
    replicas.retain(|replica| replica.node_id() != last.node_id());
    drop(last);
    let receipt = within("a seal", replicas[0].sealed(committed.index, PATIENCE)).await.unwrap();
    assert_eq!(receipt.index, committed.index);
    until("the seal is on record", || replicas[1].state().sealed() >= committed.index).await;
}

#[tokio::test]
async fn survivors_keep_leases_while_a_leader_is_replaced() {
    let homes = homes(3);
    let mut replicas = start_all(&homes).await;
    set(&replicas).await;
    let last = leader(&replicas).await;
    replicas.retain(|replica| replica.node_id() != last.node_id());
    drop(last);
    let leads = |replica: &Replica| replica.status().role == Role::Leader;
    let renewed = |replica: &Replica| {
        let session =
            replicas.iter().find(|replica| leads(replica)).and_then(|leader| leader.status().session);
        let floor = session.filter(|session| session.open).map(|session| session.floor);
        floor.is_some_and(|floor| replica.status().lease.is_some_and(|lease| lease.threshold >= floor))
    };
    until("all have leases of the new leader", || {
        assert!(replicas.iter().all(|replica| replica.permit().is_some()), "a survivor has lost its lease");
        replicas.iter().all(renewed)
    })
    .await;
}

#[tokio::test]
async fn a_removed_node_leaves_raft_and_does_not_come_back_under_its_id() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let operator = set(&replicas).await;
    let leader = leader(&replicas).await;
    let removed = follower(&replicas).await;
    let node = removed.node_id();
    let drained = removed.propose(operator.clone(), Command::DrainNode(node)).await.unwrap();
    let early = leader.propose(operator.clone(), Command::LeaveRoster(node)).await.unwrap();
    assert!(matches!(early.outcome, Outcome::Rejected(_) | Outcome::Done), "{early:?}");
    within("a seal", leader.sealed(drained.index, PATIENCE)).await.unwrap();
    assert!(removed.permit().is_none_or(|permit| !permit.state().is_active_member(node)));
    until("the seal is on record", || leader.state().sealed() >= drained.index).await;
    leader.propose(operator.clone(), Command::LeaveRoster(node)).await.unwrap();
    until("it is out of Raft", || leader.status().members.iter().all(|member| member.id != node)).await;
    // The table of grants may still know it: once its last lease has ended, seals do not ask it.
    deny(&leader, &operator).await;
    let receipt = deny(&leader, &operator).await;
    assert!(receipt.nodes.iter().all(|covered| covered.node != node), "{receipt:?}");
}

#[tokio::test]
async fn an_index_that_is_not_there_yet_has_no_seal() {
    let homes = homes(1);
    let replicas = start_all(&homes).await;
    set(&replicas).await;
    let beyond = replicas[0].status().last_log.unwrap() + 1_000;
    let asked = replicas[0].sealed(beyond, Duration::from_secs(5)).await;
    assert_eq!(asked, Err(crate::SealError::Beyond(beyond)));
}

#[tokio::test]
async fn a_learner_issues_too() {
    let mut homes = homes(1);
    let mut replicas = start_all(&homes).await;
    let operator = set(&replicas).await;
    let mut second = Home::new(None);
    second.join = vec![homes[0].address()];
    second.tuning.promote_after_ms = 600_000;
    replicas.push(second.start().await);
    homes.push(second);
    formed(&replicas[1..]).await;
    write(&replicas[1], "here").await;
    until("a lease", || replicas[1].permit().is_some()).await;
    let receipt = deny(&replicas[0], &operator).await;
    assert_eq!(covers(&receipt, Cover::Confirmed), ids(&replicas));
}
