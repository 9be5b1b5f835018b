//! How clusters come to be.

use super::harness::{Home, formed, homes, introduce, leader, read, start_all, until, within, write};
use crate::{Stage, StartError};
use std::time::Duration;

#[tokio::test]
async fn three_nodes_that_expect_three_form_one_cluster() {
    let homes = homes(3);
    let replicas = start_all(&homes).await;
    leader(&replicas).await;
    let id = replicas[0].cluster_id();
    assert!(id.is_some());
    for replica in &replicas {
        until("it is a member", || matches!(replica.status().stage, Stage::Member { .. })).await;
        assert_eq!(replica.cluster_id(), id);
        let members = replica.status().members;
        assert_eq!(members.len(), 3);
        assert!(members.iter().all(|member| member.is_voter));
    }
}

#[tokio::test]
async fn a_single_node_needs_no_names() {
    let home = Home::new(Some(1));
    let replica = home.start().await;
    formed(std::slice::from_ref(&replica)).await;
    write(&replica, "alone").await;
    assert_eq!(read(&replica, &replica).as_deref(), Some("alone"));
}

#[tokio::test]
async fn two_of_three_wait_for_the_third() {
    let homes = homes(3);
    let two = [homes[0].start().await, homes[1].start().await];
    let early = tokio::time::timeout(Duration::from_secs(1), two[0].formed()).await;
    assert!(early.is_err(), "a cluster was formed without the third node");
    let third = homes[2].start().await;
    formed(&[two[0].clone(), two[1].clone(), third]).await;
}

#[tokio::test]
async fn a_crash_while_forming_does_not_hinder_it() {
    let mut homes = homes(3);
    let first = homes[0].start().await;
    let second = homes[1].start().await;
    let id = second.node_id();
    drop(second);
    homes[1].move_house();
    introduce(&mut homes);
    let third = homes[2].start().await;
    let second = again(&homes[1]).await;
    assert_eq!(second.node_id(), id, "a node keeps its id");
    drop(first);
    let first = again(&homes[0]).await;
    let replicas = [first, second, third];
    formed(&replicas).await;
    assert!(replicas.iter().all(|replica| replica.status().members.len() == 3));
}

#[tokio::test]
async fn a_node_that_gave_no_word_has_none_to_take_back() {
    let homes = homes(3);
    let replica = homes[0].start().await;
    assert_eq!(replica.forget_invitation().await, Ok(false));
    assert_eq!(replica.status().stage, Stage::Searching);
}

/// Starts a home whose last process may still hold the data folder for a moment.
async fn again(home: &Home) -> crate::Replica {
    let start = async {
        loop {
            match home.try_start().await {
                Ok(replica) => return replica,
                Err(StartError::Storage(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    within("the data folder is free", start).await
}

#[tokio::test]
async fn all_nodes_restart_with_new_addresses_and_keep_what_they_had() {
    let mut homes = homes(3);
    let replicas = start_all(&homes).await;
    let ids: Vec<_> = replicas.iter().map(|replica| replica.node_id()).collect();
    let cluster = replicas[0].cluster_id();
    write(&replicas[1], "before").await;
    for replica in &replicas {
        replica.shutdown().await;
    }
    drop(replicas);
    for home in &mut homes {
        home.move_house();
    }
    introduce(&mut homes);
    let replicas = start_all(&homes).await;
    assert_eq!(replicas.iter().map(|replica| replica.node_id()).collect::<Vec<_>>(), ids);
    assert_eq!(replicas[0].cluster_id(), cluster);
    within("a read", replicas[0].read_index()).await.unwrap();
    assert_eq!(read(&replicas[0], &replicas[1]).as_deref(), Some("before"));
    write(&replicas[2], "after").await;
    until("the membership shows the new addresses", || {
        let members = replicas[0].status().members;
        homes.iter().all(|home| members.iter().any(|member| member.record.peer == home.address()))
    })
    .await;
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let home = Home::new(Some(0));
    assert!(matches!(home.try_start().await, Err(StartError::Config(_))));
    let mut home = Home::new(Some(1));
    home.tuning.keep_entries = 0;
    assert!(matches!(home.try_start().await, Err(StartError::Config(_))));
    let mut home = Home::new(Some(1));
    home.secrets.clear();
    assert!(matches!(home.try_start().await, Err(StartError::Tls(_))));
}

#[tokio::test]
async fn a_lost_or_foreign_peer_key_is_refused_by_name() {
    let home = Home::new(Some(1));
    let replica = home.start().await;
    formed(std::slice::from_ref(&replica)).await;
    replica.shutdown().await;
    drop(replica);
    let key = home.dir.path().join("peer.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(&key).unwrap();
    let error = home.try_start().await.err().unwrap().to_string();
    assert!(error.contains("is missing"), "{error}");
    let other = Home::new(Some(1));
    other.start().await.shutdown().await;
    std::fs::copy(other.dir.path().join("peer.key"), &key).unwrap();
    let error = home.try_start().await.err().unwrap().to_string();
    assert!(error.contains("is not the key"), "{error}");
}
