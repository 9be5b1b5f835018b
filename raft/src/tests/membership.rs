//! Growing, and knowing each other while growing.

use super::harness::{
    Home, follower, formed, homes, introduce, leader, read, start_all, until, within, write,
};
use crate::{Ending, Replica, Role};
use hapi_registry_state::{Command, NodeId, Principal};
use std::collections::BTreeSet;

fn newcomer(homes: &[Home]) -> Home {
    let mut home = Home::new(None);
    home.join = vec![homes[0].address()];
    home
}

fn voters(replica: &Replica) -> usize {
    replica.status().members.iter().filter(|member| member.is_voter).count()
}

fn voter_ids(replica: &Replica) -> BTreeSet<NodeId> {
    let members = replica.status().members;
    members.iter().filter(|member| member.is_voter).map(|member| member.id).collect()
}

/// Lets the home's leader give up voters that are silent for two seconds, and have three at most.
fn impatient(mut home: Home) -> Home {
    home.tuning.max_voters = 3;
    home.tuning.dead_node_grace_ms = 2_000;
    home
}

/// Shuts down one that follows; yields its place.
async fn lose(replicas: &mut Vec<Replica>) -> usize {
    let gone = follower(replicas).await.node_id();
    let place = replicas.iter().position(|replica| replica.node_id() == gone).unwrap();
    replicas.remove(place).shutdown().await;
    place
}

#[tokio::test]
async fn a_learner_takes_the_place_of_a_dead_voter_which_comes_back_as_a_learner() {
    let mut homes: Vec<Home> = homes(3).into_iter().map(impatient).collect();
    let mut replicas = start_all(&homes).await;
    let place = lose(&mut replicas).await;
    let gone = homes.remove(place);
    let spare = impatient(newcomer(&homes));
    replicas.push(spare.start().await);
    formed(&replicas[2..]).await;
    let living: BTreeSet<NodeId> = replicas.iter().map(Replica::node_id).collect();
    until("the learner votes and the dead one does not", || {
        replicas.iter().all(|replica| voter_ids(replica) == living)
    })
    .await;
    write(&replicas[0], "after").await;
    let back = gone.start().await;
    until("it follows", || read(&back, &replicas[0]).as_deref() == Some("after")).await;
    until("it knows that it only learns", || back.status().role == Role::Learner).await;
    assert_eq!(voter_ids(&back), living);
}

/// As [`impatient`], with the program that removes dead nodes.
fn newer(home: Home) -> Home {
    impatient(home).running("0.2.0")
}

#[tokio::test]
async fn a_removed_node_is_told_so_and_its_home_joins_as_another() {
    let mut homes: Vec<Home> = homes(3).into_iter().map(newer).collect();
    let mut replicas = start_all(&homes).await;
    for replica in &replicas {
        write(replica, "on the roster").await;
    }
    let place = lose(&mut replicas).await;
    let gone = homes.remove(place);
    replicas.push(newer(newcomer(&homes)).start().await);
    formed(&replicas[2..]).await;
    until("the dead one is no member", || {
        replicas.iter().all(|replica| replica.status().members.len() == 3 && voters(replica) == 3)
    })
    .await;

    let back = gone.start().await;
    let old = back.node_id();
    assert_eq!(within("it is told", back.ended()).await, Ending::Removed(old));
    back.shutdown().await;
    drop(back);
    let anew = gone.start().await;
    formed(std::slice::from_ref(&anew)).await;
    assert_ne!(anew.node_id(), old);
    assert!(gone.dir.path().join(format!("removed-{old}/db")).exists());
    until("it follows", || read(&anew, &replicas[0]).as_deref() == Some("on the roster")).await;
}

#[tokio::test]
async fn while_one_member_runs_an_older_program_no_dead_node_is_removed() {
    let mut homes: Vec<Home> = homes(5).into_iter().map(newer).collect();
    homes[0].version = "0.1.0";
    let mut replicas = start_all(&homes).await;
    for replica in &replicas {
        write(replica, "on the roster").await;
    }
    let older = replicas[0].node_id();
    for _ in 0..2 {
        let place = replicas
            .iter()
            .position(|replica| replica.node_id() != older && replica.status().role != Role::Leader);
        replicas.remove(place.unwrap()).shutdown().await;
    }
    until("the dead have no votes", || replicas.iter().all(|replica| voters(replica) == 3)).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(replicas[0].status().members.len(), 5, "a program of 0.1 would refuse the removal and differ");
}

#[tokio::test]
async fn a_program_two_minor_versions_apart_is_not_taken_in() {
    let mut homes = homes(1);
    let other = newcomer(&homes).running("0.3.0");
    introduce(&mut homes);
    let _replicas = start_all(&homes).await;
    let replica = other.start().await;
    let reason = within("it fails", replica.ended()).await.to_string();
    assert!(reason.contains("it runs version 0.3.0") && reason.contains("runs 0.1.0"), "{reason}");
}

#[tokio::test]
async fn two_dead_of_five_lose_their_votes_and_one_dead_of_three_does_not() {
    let mut homes: Vec<Home> = homes(5).into_iter().map(impatient).collect();
    let mut replicas = start_all(&homes).await;
    for _ in 0..2 {
        homes.remove(lose(&mut replicas).await);
    }
    until("three vote", || replicas.iter().all(|replica| voters(replica) == 3)).await;
    homes.remove(lose(&mut replicas).await);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(voters(&replicas[0]), 3, "two would survive no loss either");
    write(&replicas[0], "two of three").await;
}

#[tokio::test]
async fn one_newcomer_stays_a_learner_and_two_become_voters() {
    let mut homes = homes(3);
    let mut replicas = start_all(&homes).await;
    write(&replicas[0], "before").await;
    homes.push(newcomer(&homes));
    replicas.push(homes[3].start().await);
    formed(&replicas[3..]).await;
    within("a read", replicas[3].read_index()).await.unwrap();
    assert_eq!(read(&replicas[3], &replicas[0]).as_deref(), Some("before"));
    assert_eq!(voters(&replicas[0]), 3, "a fourth voter would make the number even");
    let by = Principal::Node(replicas[3].node_id());
    replicas[3].propose(by, Command::Checkpoint).await.unwrap();

    homes.push(newcomer(&homes));
    replicas.push(homes[4].start().await);
    formed(&replicas[4..]).await;
    until("five vote", || replicas.iter().all(|replica| voters(replica) == 5)).await;

    homes.push(newcomer(&homes));
    replicas.push(homes[5].start().await);
    formed(&replicas[5..]).await;
    until("six are members", || replicas.iter().all(|replica| replica.status().members.len() == 6)).await;
    write(&replicas[5], "the sixth only learns").await;
    assert_eq!(voters(&replicas[0]), 5);
    assert_eq!(replicas[5].status().role, Role::Learner);
    let lags = leader(&replicas).await.status().members;
    assert!(lags.iter().all(|member| member.lag.is_some()), "the leader knows the lag of everyone");
}

#[tokio::test]
async fn a_member_that_was_away_believes_a_leader_it_never_met_once_others_vouch() {
    let mut homes = homes(3);
    let mut replicas = start_all(&homes).await;
    let away = replicas.remove(2);
    let away_id = away.node_id();
    away.shutdown().await;
    drop(away);
    let away_home = homes.remove(2);
    for _ in 0..2 {
        let home = newcomer(&homes);
        replicas.push(home.start().await);
        homes.push(home);
    }
    formed(&replicas).await;
    until("five vote", || voters(&replicas[0]) == 5).await;
    let new = replicas[2].node_id();
    lead(&replicas, 2).await;
    let back = away_home.start().await;
    assert_eq!(back.node_id(), away_id);
    until("it follows the leader it had never heard of", || back.status().leader == Some(new)).await;
    write(&back, "back").await;
}

/// Lets the replica at `place` lead.
async fn lead(replicas: &[Replica], place: usize) {
    let heir = replicas[place].node_id();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while leader(replicas).await.node_id() != heir {
        assert!(tokio::time::Instant::now() < deadline, "leadership was not handed over");
        // An election may come in between: then once more.
        let _ = leader(replicas).await.transfer_leader(Some(heir)).await;
    }
}
