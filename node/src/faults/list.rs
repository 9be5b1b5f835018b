//! The faults as data: how they are written, and what they do to clocks.

use super::FaultError;
use hapi_raft::{Mutant, Reading};
use hapi_registry_state::Timestamp;
use std::{str::FromStr, time::Duration};

/// All faults, as they are written.
const KNOWN: &str = "clock.rate=RATE, clock.offset_ms=MS, wall.offset_ms=MS, wall.jump_ms=MS@AGE_MS, \
                     mutant=NAME, issue.delay_ms=MS";

/// The fastest clock: a mistyped rate must not look like a fault that was found.
const FASTEST: f64 = 10.0;

/// The faults of one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Faults {
    /// Boot and raw clock run at this rate from the start on.
    rate: Option<f64>,
    /// Added to boot and raw clock, in milliseconds.
    offset_ms: i64,
    /// Added to the wall clock, in milliseconds.
    wall_offset_ms: i64,
    /// By how many milliseconds the wall clock jumps, and at which age of the process.
    wall_jump: Option<(i64, Duration)>,
    /// The rule that is left out.
    pub(super) mutant: Option<Mutant>,
    /// How long a connect rests between its signature and the last look at the state.
    pub(super) issue_delay: Option<Duration>,
}

impl Faults {
    /// Reads faults that are separated by commas.
    pub(super) fn parse(text: &str) -> Result<Self, FaultError> {
        let mut faults = Self::default();
        for fault in text.split(',').map(str::trim).filter(|fault| !fault.is_empty()) {
            faults.add(fault)?;
        }
        Ok(faults)
    }

    fn add(&mut self, fault: &str) -> Result<(), FaultError> {
        let (name, value) = fault.split_once('=').unwrap_or((fault, ""));
        match name {
            "clock.rate" => self.rate = Some(rate(fault, value)?),
            "clock.offset_ms" => self.offset_ms = number(fault, value)?,
            "wall.offset_ms" => self.wall_offset_ms = number(fault, value)?,
            "wall.jump_ms" => self.wall_jump = Some(jump(fault, value)?),
            "mutant" => self.mutant = Some(mutant(value)?),
            "issue.delay_ms" => self.issue_delay = Some(Duration::from_millis(number(fault, value)?)),
            _ => return Err(FaultError(format!("unknown fault `{name}`: known are {KNOWN}"))),
        }
        Ok(())
    }

    /// What the clocks of a process show that was started at `start`.
    pub(super) fn clocks(&self, reading: Reading, start: &Reading) -> Reading {
        let age = reading.boot.saturating_sub(start.boot);
        Reading {
            boot: self.steady(reading.boot, start.boot),
            raw: self.steady(reading.raw, start.raw),
            wall: self.wall(reading.wall, age),
        }
    }

    /// What the wall clock of a process of that age shows.
    pub(super) fn wall(&self, now: Timestamp, age: Duration) -> Timestamp {
        let jumped = self.wall_jump.filter(|(_, at)| age >= *at).map_or(0, |(ms, _)| ms);
        Timestamp(
            now.0.saturating_add_signed(self.wall_offset_ms.saturating_add(jumped).saturating_mul(1_000)),
        )
    }

    /// A clock that never goes back, whatever the faults.
    fn steady(&self, now: Duration, start: Duration) -> Duration {
        let elapsed = now.saturating_sub(start);
        let counted = self.rate.map_or(elapsed, |rate| elapsed.mul_f64(rate));
        let offset = Duration::from_millis(self.offset_ms.unsigned_abs());
        match self.offset_ms {
            0.. => start + counted + offset,
            _ => (start + counted).saturating_sub(offset),
        }
    }
}

fn number<N: FromStr>(fault: &str, value: &str) -> Result<N, FaultError> {
    value.parse().map_err(|_| FaultError(format!("`{fault}`: want a whole number of milliseconds")))
}

fn rate(fault: &str, value: &str) -> Result<f64, FaultError> {
    let rate = value.parse().ok().filter(|rate| *rate > 0.0 && *rate <= FASTEST);
    rate.ok_or_else(|| {
        FaultError(format!("`{fault}`: want a rate above 0 and up to {FASTEST}, such as 1.08"))
    })
}

fn jump(fault: &str, value: &str) -> Result<(i64, Duration), FaultError> {
    let parts = value.split_once('@').ok_or_else(|| {
        FaultError(format!("`{fault}`: want by how much and at which age, such as 5000@10000"))
    })?;
    Ok((number(fault, parts.0)?, Duration::from_millis(number(fault, parts.1)?)))
}

fn mutant(name: &str) -> Result<Mutant, FaultError> {
    Mutant::of_nodes().find(|mutant| snake_case(*mutant) == name).ok_or_else(|| {
        let known = Mutant::of_nodes().map(snake_case).collect::<Vec<_>>().join(", ");
        FaultError(format!("unknown mutant `{name}`: known are {known}"))
    })
}

/// `NoFloor` is `no_floor`.
fn snake_case(mutant: Mutant) -> String {
    let mut name = String::new();
    for letter in format!("{mutant:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn at(boot: u64, raw: u64, wall: u64) -> Reading {
        let ms = Duration::from_millis;
        Reading { boot: ms(boot), raw: ms(raw), wall: Timestamp(wall * 1_000) }
    }

    fn seen(faults: &str, reading: Reading) -> Reading {
        Faults::parse(faults).unwrap().clocks(reading, &at(1_000, 500, 0))
    }

    #[test]
    fn all_faults_are_read() {
        let text = "clock.rate=1.08, clock.offset_ms=5000,wall.offset_ms=-1500,wall.jump_ms=5000@10000,\
                    mutant=no_drift_margin,issue.delay_ms=20,";
        let faults = Faults {
            rate: Some(1.08),
            offset_ms: 5_000,
            wall_offset_ms: -1_500,
            wall_jump: Some((5_000, Duration::from_secs(10))),
            mutant: Some(Mutant::NoDriftMargin),
            issue_delay: Some(Duration::from_millis(20)),
        };
        assert_eq!(Faults::parse(text).unwrap(), faults);
        assert_eq!(Faults::parse(" ").unwrap(), Faults::default());
    }

    #[test]
    fn every_mutant_has_a_name() {
        for mutant in Mutant::of_nodes() {
            let text = format!("mutant={}", snake_case(mutant));
            assert_eq!(Faults::parse(&text).unwrap().mutant, Some(mutant), "{text}");
        }
    }

    #[test]
    fn what_is_no_fault_is_answered_with_what_is() {
        let refusals = [
            "clock.speed=2",
            "clock.rate=fast",
            "clock.rate=-1",
            "clock.rate=NaN",
            "wall.jump_ms=5000",
            "issue.delay_ms=-1",
            "wall.offset_ms",
        ]
        .map(|text| Faults::parse(text).unwrap_err().to_string());
        insta::assert_snapshot!(refusals.join("\n"), @"
        HAPI_FAULTS: unknown fault `clock.speed`: known are clock.rate=RATE, clock.offset_ms=MS, wall.offset_ms=MS, wall.jump_ms=MS@AGE_MS, mutant=NAME, issue.delay_ms=MS
        HAPI_FAULTS: `clock.rate=fast`: want a rate above 0 and up to 10, such as 1.08
        HAPI_FAULTS: `clock.rate=-1`: want a rate above 0 and up to 10, such as 1.08
        HAPI_FAULTS: `clock.rate=NaN`: want a rate above 0 and up to 10, such as 1.08
        HAPI_FAULTS: `wall.jump_ms=5000`: want by how much and at which age, such as 5000@10000
        HAPI_FAULTS: `issue.delay_ms=-1`: want a whole number of milliseconds
        HAPI_FAULTS: `wall.offset_ms`: want a whole number of milliseconds
        ");
    }

    #[test]
    fn an_unknown_mutant_is_answered_with_all_there_are() {
        let refusal = Faults::parse("mutant=no_flour").unwrap_err().to_string();
        let known =
            "HAPI_FAULTS: unknown mutant `no_flour`: known are no_wait_after_start, no_quorum_round, ";
        assert!(refusal.starts_with(known) && refusal.contains("no_session_open"), "{refusal}");
    }

    #[test]
    fn a_rate_counts_from_the_start_on() {
        assert_eq!(seen("clock.rate=1.5", at(1_000, 500, 7)), at(1_000, 500, 7));
        assert_eq!(seen("clock.rate=1.5", at(2_000, 1_500, 7)), at(2_500, 2_000, 7));
        assert_eq!(seen("clock.rate=0.5", at(2_000, 1_500, 7)), at(1_500, 1_000, 7));
    }

    #[test]
    fn offsets_are_added_each_to_its_clock() {
        assert_eq!(seen("clock.offset_ms=40", at(2_000, 1_500, 7)), at(2_040, 1_540, 7));
        assert_eq!(seen("clock.offset_ms=-600", at(2_000, 500, 7)), at(1_400, 0, 7));
        assert_eq!(seen("wall.offset_ms=-5", at(2_000, 1_500, 7)), at(2_000, 1_500, 2));
    }

    #[test]
    fn the_wall_clock_jumps_at_its_age() {
        let faults = "wall.offset_ms=1,wall.jump_ms=50@1000";
        assert_eq!(seen(faults, at(1_999, 0, 7)).wall, Timestamp(8_000));
        assert_eq!(seen(faults, at(2_000, 0, 7)).wall, Timestamp(58_000));
    }
}
