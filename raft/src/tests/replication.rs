//! Writing and reading on any node.

use super::harness::{follower, homes, leader, read, start_all, until, within, write};
use crate::{ProposeError, Role};
use hapi_registry_state::{Command, NodeId, Outcome, Principal};
use std::time::Duration;

#[tokio::test]
async fn a_follower_forwards_a_write_and_shows_it_on_return() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let follower = follower(&replicas).await;
    for round in 0..20 {
        let text = format!("round {round}");
        let committed = write(&follower, &text).await;
        assert_eq!(committed.outcome, Outcome::Done);
        assert_eq!(read(&follower, &follower), Some(text));
    }
}

#[tokio::test]
async fn a_read_on_any_node_sees_every_acknowledged_write() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let leader = leader(&replicas).await;
    for round in 0..20 {
        let text = format!("round {round}");
        let committed = write(&leader, &text).await;
        for replica in &replicas {
            let index = within("a read", replica.read_index()).await.unwrap();
            assert!(index >= committed.index);
            assert_eq!(read(replica, &leader).as_ref(), Some(&text));
        }
    }
}

#[tokio::test]
async fn many_reads_at_once_share_rounds() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let follower = follower(&replicas).await;
    let reads = (0..500).map(|_| {
        let follower = follower.clone();
        tokio::spawn(async move { follower.read_index().await })
    });
    for read in reads.collect::<Vec<_>>() {
        within("a read", read).await.unwrap().unwrap();
    }
    let registry = prometheus::Registry::new();
    leader(&replicas).await.register_metrics(&registry).unwrap();
    let rounds =
        registry.gather().into_iter().find(|family| family.name() == "hapi_raft_read_index_rounds_total");
    let rounds = rounds.unwrap().get_metric()[0].get_counter().get_value();
    assert!((1.0..100.0).contains(&rounds), "{rounds} rounds for 500 reads");
}

#[tokio::test]
async fn after_a_leader_stops_another_one_leads_and_nothing_is_lost() {
    let homes = homes(3);
    let mut replicas = start_all(&homes).await;
    let old = leader(&replicas).await;
    write(&old, "last words").await;
    old.shutdown().await;
    assert!(
        tokio::time::timeout(Duration::from_millis(50), old.ended()).await.is_err(),
        "a stop is no failure"
    );
    assert!(matches!(
        old.propose(Principal::Node(old.node_id()), Command::Checkpoint).await,
        Err(ProposeError::Stopped)
    ));
    replicas.retain(|replica| replica.node_id() != old.node_id());
    let new = leader(&replicas).await;
    within("a read", new.read_index()).await.unwrap();
    assert_eq!(read(&new, &old).as_deref(), Some("last words"));
    write(&replicas[0], "life goes on").await;
    write(&replicas[1], "life goes on").await;
}

#[tokio::test]
async fn after_a_leader_vanishes_another_one_is_elected() {
    let homes = homes(3);
    let mut replicas = start_all(&homes).await;
    let old = leader(&replicas).await.node_id();
    let place = replicas.iter().position(|replica| replica.node_id() == old).unwrap();
    // All clones go: everything of this node just ends.
    drop(replicas.remove(place));
    until("another one leads", || replicas.iter().any(|replica| replica.status().role == Role::Leader)).await;
    write(&replicas[0], "without it").await;
    within("a read", replicas[1].read_index()).await.unwrap();
    assert_eq!(read(&replicas[1], &replicas[0]).as_deref(), Some("without it"));
}

#[tokio::test]
async fn a_follower_sends_no_proposal_in_a_name_that_is_not_its_own() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let follower = follower(&replicas).await;
    let command = || Command::JoinRoster { http: "x".into(), version: "1".into() };
    for by in [Principal::System, Principal::ClusterSecret, Principal::Node(NodeId(77))] {
        let refused = follower.propose(by, command()).await;
        assert!(matches!(refused, Err(ProposeError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_command_that_no_log_takes_is_refused_at_once() {
    let homes = homes(1);
    let replicas = start_all(&homes).await;
    let command = Command::JoinRoster { http: "x".repeat(2 << 20), version: "1".into() };
    let refused = replicas[0].propose(Principal::Node(replicas[0].node_id()), command).await;
    assert!(matches!(refused, Err(ProposeError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn the_largest_command_passes_through_forwarding_log_and_replication() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let follower = follower(&replicas).await;
    let http = "x".repeat(crate::peer::route::COMMAND_BYTES - 100);
    let command = Command::JoinRoster { http, version: "1".into() };
    let committed = follower.propose(Principal::Node(follower.node_id()), command).await.unwrap();
    assert!(matches!(committed.outcome, Outcome::Rejected(_)), "the registry takes shorter texts only");
    for replica in &replicas {
        assert!(replica.wait_applied(committed.index, Duration::from_secs(10)).await);
    }
}

#[tokio::test]
async fn a_checkpoint_gives_the_same_hash_on_every_node() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    write(&replicas[0], "something").await;
    let by = Principal::Node(replicas[1].node_id());
    let committed = replicas[1].propose(by, Command::Checkpoint).await.unwrap();
    for replica in &replicas {
        until("the checkpoint is hashed", || {
            replica.status().checkpoint.is_some_and(|checkpoint| checkpoint.index == committed.index)
        })
        .await;
    }
    let hashes: Vec<_> = replicas.iter().map(|replica| replica.status().checkpoint.unwrap().hash).collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[tokio::test]
async fn without_a_quorum_a_write_is_unknown_or_refused_but_never_acknowledged() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    let leader = leader(&replicas).await;
    let ids: Vec<_> = replicas.iter().map(|replica| replica.node_id()).collect();
    assert!(ids.contains(&leader.node_id()));
    let alone = leader.clone();
    drop(leader);
    // One that is dropped ends a moment later, and would still take the write.
    for other in replicas.iter().filter(|replica| replica.node_id() != alone.node_id()) {
        other.shutdown().await;
    }
    let result = alone.propose(Principal::Node(alone.node_id()), Command::Checkpoint).await;
    assert!(matches!(result, Err(ProposeError::Unknown(_) | ProposeError::NoLeader)), "{result:?}");
    assert!(within("a read gives up", alone.read_index()).await.is_err());
}

#[tokio::test]
async fn metrics_are_registered_once_and_follow_the_state() {
    let homes = homes(1);
    let replicas = start_all(&homes).await;
    let committed = write(&replicas[0], "x").await;
    let registry = prometheus::Registry::new();
    replicas[0].register_metrics(&registry).unwrap();
    assert!(replicas[0].register_metrics(&registry).is_err());
    let gauge = |name: &str| {
        let family = registry.gather().into_iter().find(|family| family.name() == name);
        family.unwrap_or_else(|| panic!("no {name}")).get_metric()[0].get_gauge().get_value()
    };
    until("the index is shown", || gauge("hapi_raft_applied_index") >= committed.index as f64).await;
    assert!((gauge("hapi_raft_is_leader") - 1.0).abs() < f64::EPSILON);
    let sync =
        registry.gather().into_iter().find(|family| family.name() == "hapi_storage_sync_seconds").unwrap();
    assert!(sync.get_metric()[0].get_histogram().get_sample_count() > 0);
}
