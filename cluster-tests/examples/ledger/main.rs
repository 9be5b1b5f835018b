//! Uses a cluster whose nodes come and go, and accounts for every answer. `scripts/scenarios/scale/run` changes the
//! cluster meanwhile.
//!
//! `ledger use ADDRESSES LEDGER` connects and publishes without a rest, and watches who votes, until SIGTERM. Every
//! publication that was acknowledged is written to LEDGER. It ends with 1 if a connect failed, if writes stood still, or
//! if the voters were ever others than autopilot promises.
//!
//! `ledger verify ADDRESSES LEDGER` ends with 0 once every node has every publication of LEDGER, and all states are
//! equal.
//!
//! ADDRESSES is a file with the base URL of a node on each line; it is read anew again and again, since a container
//! that was started again has another port. Tokens come from `HAPI_CLIENT_TOKEN`, `HAPI_PUBLISHER_TOKEN` and
//! `HAPI_OPERATOR_TOKEN`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used, reason = "a program for scenarios")]

mod addresses;
mod caller;
mod connects;
mod faults;
mod publications;
mod verify;
mod voters;

use addresses::Addresses;
use caller::Caller;
use connects::Connects;
use faults::Faults;
use publications::Publications;
use std::{env, path::Path, process::ExitCode, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// So many clients connect, each on its own, spread over the nodes.
const CLIENTS: usize = 4;

/// So many publishers.
const PUBLISHERS: usize = 2;

/// How long what is under way may take when all is to end.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

fn token(role: &str) -> String {
    let name = format!("HAPI_{role}_TOKEN");
    env::var(&name).unwrap_or_else(|_| panic!("{name} is not set"))
}

async fn use_cluster(addresses: &Addresses, path: &Path) -> ExitCode {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be handled");
    let (faults, publications) = (Faults::default(), Publications::create(path));
    let connects = Connects::default();
    let publisher = |place| Caller::new(addresses, token("PUBLISHER"), place);
    publications.publish_first(&mut publisher(0)).await;
    let (stop, stopped) = watch::channel(false);
    let mut workers = JoinSet::new();
    for place in 0..CLIENTS {
        let caller = Caller::new(addresses, token("CLIENT"), place);
        workers.spawn(connects.clone().run(caller, stopped.clone(), faults.clone()));
    }
    for place in 0..PUBLISHERS {
        workers.spawn(publications.clone().run(publisher(place), place, stopped.clone(), faults.clone()));
    }
    let watching = Caller::new(addresses, token("OPERATOR"), 0);
    workers.spawn(voters::watch(watching, stopped, faults.clone()));
    println!("the cluster is in use");
    terminate.recv().await;
    stop.send_replace(true);
    let ended = tokio::time::timeout(LAST_ANSWERS, async {
        while let Some(worker) = workers.join_next().await {
            worker.expect("a worker ends in order");
        }
    });
    ended.await.expect("the last answers come in time");
    println!("{connects}\n{publications}");
    faults.conclude()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [verb, addresses, ledger] = arguments.as_slice() else {
        eprintln!("ledger use|verify ADDRESSES LEDGER");
        return ExitCode::from(2);
    };
    let addresses = Addresses::follow(addresses.into());
    match verb.as_str() {
        "use" => use_cluster(&addresses, Path::new(ledger)).await,
        _ => verify::verify(&addresses, Path::new(ledger)).await,
    }
}
