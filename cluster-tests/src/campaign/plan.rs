//! How much is tried, and from which seed.

/// The extent of a run, from the environment.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many suspensions there are to be in all cases together.
    suspensions: usize,
    /// What chance starts from.
    pub seed: u64,
}

impl Plan {
    /// `HAPI_SUSPENSIONS`, else 30, and `HAPI_SEED`, else a random one; says both, so that a run can be
    /// repeated.
    pub fn from_environment() -> Self {
        let plan =
            Self { suspensions: number("HAPI_SUSPENSIONS", 30), seed: number("HAPI_SEED", rand::random()) };
        eprintln!("HAPI_SUSPENSIONS={} HAPI_SEED={}", plan.suspensions, plan.seed);
        plan
    }

    /// The share of one of `cases`; at least two, since a single one may prove nothing.
    pub fn per_case(&self, cases: usize) -> usize {
        self.suspensions.div_ceil(cases).max(2)
    }
}

fn number<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    }
}
