//! How much of this node one caller, or all of them, may take up; the values come from `http.*` in the settings.
//!
//! Whoever goes beyond a bound is counted in `hapi_http_limited_total`, and in no log: a flood must not fill it.

mod arrival;
mod counters;
mod guesses;
mod places;

pub(crate) use arrival::{Arrival, Certificate, Origin};
pub(crate) use counters::{Counters, Limit};
pub(crate) use guesses::Guesses;
pub(crate) use places::{Full, Place, Places};

use crate::{config, listen, problem::Problem};
use std::net::IpAddr;

/// All bounds, and what is taken up of them now.
pub(crate) struct Limits {
    pub(crate) settings: config::Http,
    pub(crate) counters: Counters,
    /// Connections to the public port.
    pub(crate) connections: Places,
    /// Answers that never end by themselves: server-sent events.
    pub(crate) streams: Places,
    guesses: Guesses,
}

impl Limits {
    pub(crate) fn new(settings: &config::Http) -> prometheus::Result<Self> {
        Ok(Self {
            counters: Counters::new()?,
            connections: Places::new(
                listen::raise(settings.max_connections),
                settings.connections_per_address,
            ),
            streams: Places::new(settings.max_streams, settings.streams_per_address),
            guesses: Guesses::new(settings.failed_auth_per_minute),
            settings: settings.clone(),
        })
    }

    /// A place for an answer that goes on until its reader leaves.
    pub(crate) fn stream(&self, address: IpAddr) -> Result<Place, Problem> {
        self.streams.take(address).map_err(|full| {
            self.counters.count(match full {
                Full::All => Limit::Streams,
                Full::Address => Limit::StreamsPerAddress,
            });
            Problem::unavailable("too_many_streams", "this node has no place for another stream from there")
        })
    }

    /// Counts a credential that this node does not know. Beyond the bound nothing is asked of other nodes for it, and the
    /// answer tells nothing of it.
    pub(crate) fn guess(&self, address: IpAddr) -> Result<(), Problem> {
        self.guesses.count(address).map_err(|wait| {
            self.counters.count(Limit::FailedAuthentications);
            Problem::rate_limited("too many credentials that nobody knows came from there", wait)
        })
    }

    /// Puts into the metrics what is taken up now.
    pub(crate) fn show(&self) {
        let number = |places: &Places| i64::try_from(places.taken()).unwrap_or(i64::MAX);
        self.counters.connections.set(number(&self.connections));
        self.counters.streams.set(number(&self.streams));
    }
}
