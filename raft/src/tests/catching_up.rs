//! Followers that fell behind.

use super::harness::{Home, follower, homes, start_all, until, write};
use crate::{RaftTuning, Replica};
use hapi_registry_state::{Command, Principal};

fn short_log(homes: &mut [Home]) {
    for home in homes {
        home.tuning = RaftTuning { snapshot_entries: 50, keep_entries: 20, ..home.tuning.clone() };
    }
}

async fn write_many(replica: &Replica, count: u32) {
    for number in 0..count {
        write(replica, &format!("number {number}")).await;
    }
}

#[tokio::test]
async fn a_follower_that_missed_purged_entries_gets_a_snapshot() {
    let mut homes = homes(3);
    short_log(&mut homes);
    let mut replicas = start_all(&homes).await;
    let away = follower(&replicas).await;
    let place = replicas.iter().position(|replica| replica.node_id() == away.node_id()).unwrap();
    let had = away.status().last_log.unwrap();
    away.shutdown().await;
    drop((away, replicas.remove(place)));
    write_many(&replicas[0], 300).await;
    until("what it lacks is purged", || replicas.iter().all(|replica| replica.status().purged > Some(had)))
        .await;
    let back = homes[place].start().await;
    until("it has a snapshot from another node", || back.status().snapshots_installed >= 1).await;
    let committed =
        replicas[0].propose(Principal::Node(replicas[0].node_id()), Command::Checkpoint).await.unwrap();
    replicas.push(back);
    for replica in &replicas {
        until("the checkpoint is hashed", || {
            replica.status().checkpoint.is_some_and(|checkpoint| checkpoint.index == committed.index)
        })
        .await;
        assert_eq!(replica.status().checkpoint, replicas[0].status().checkpoint);
    }
    assert!(replicas.iter().any(|replica| replica.status().snapshots_sent > 0));
}

#[tokio::test]
async fn a_node_restarts_from_its_own_snapshot_and_the_rest_of_its_log() {
    let mut homes = homes(1);
    short_log(&mut homes);
    let replicas = start_all(&homes).await;
    write_many(&replicas[0], 130).await;
    until("a snapshot is built and the log is shortened", || replicas[0].status().purged > Some(0)).await;
    let before = replicas[0].state().applied();
    replicas[0].shutdown().await;
    drop(replicas);
    let replicas = start_all(&homes).await;
    replicas[0].read_index().await.unwrap();
    let status = replicas[0].status();
    assert_eq!(
        (status.snapshots_installed, status.snapshots_built),
        (0, 0),
        "nobody sent one, none was made"
    );
    assert!(status.snapshot > Some(0), "it began with its own");
    assert!(replicas[0].state().applied() > before, "all entries came back, and the new term's blank one");
    assert_eq!(super::harness::read(&replicas[0], &replicas[0]).as_deref(), Some("number 129"));
}
