//! What must not happen, and did.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

/// The time of day, UTC, as the scenario prints it too.
pub(crate) fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let (seconds, millis) = (now.as_secs() % 86_400, now.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Collects faults; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<usize>>);

impl Faults {
    /// Notes a fault, and says it at once, so that it stands beside what was done to the cluster.
    pub(crate) fn note(&self, fault: &str) {
        println!("{} FAULT: {fault}", time_of_day());
        *self.0.lock().expect("no panic while it is held") += 1;
    }

    pub(crate) fn conclude(&self) -> ExitCode {
        match *self.0.lock().expect("no panic while it is held") {
            0 => ExitCode::SUCCESS,
            count => {
                println!("{count} faults");
                ExitCode::FAILURE
            }
        }
    }
}
