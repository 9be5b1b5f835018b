//! Who votes: what autopilot promises at every moment.

use crate::{
    caller::Caller,
    faults::{Faults, time_of_day},
};
use hapi_client::Method;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a node is asked.
const LOOK: Duration = Duration::from_millis(250);

/// While votes move, old and new voters both count, which may be an even number together.
const CHANGE: Duration = Duration::from_secs(5);

/// More voters than these are never.
const MOST: usize = 5;

/// Prints each change of the members, and notes what breaks a promise: an even number of voters that stays, or too
/// many of them.
pub(crate) async fn watch(mut caller: Caller, stopped: watch::Receiver<bool>, faults: Faults) {
    let (mut last, mut odd) = (String::new(), Instant::now());
    while !*stopped.borrow() {
        tokio::time::sleep(LOOK).await;
        // What nobody answers shows nothing; that somebody answers is for the others to demand.
        let Ok(status) = caller.client().request(Method::GET, "/v1/cluster", None).await else { continue };
        let (voters, learners) = (count(&status, "voter"), count(&status, "learner"));
        let now = format!("{voters} voters and {learners} learners");
        if now != last {
            println!("{} {now}", time_of_day());
            last.clone_from(&now);
        }
        // Noted once: it counts anew from here.
        if voters % 2 == 1 || voters == 0 {
            odd = Instant::now();
        } else if odd.elapsed() > CHANGE {
            faults.note(&format!("{now} for more than {CHANGE:?}"));
            odd = Instant::now();
        }
        if voters > MOST {
            faults.note(&now);
        }
    }
}

fn count(status: &Value, role: &str) -> usize {
    let members = status["members"].as_array().into_iter().flatten();
    members.filter(|member| member["role"] == role).count()
}
