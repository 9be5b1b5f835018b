//! Node-local configuration: flags over `HAPI_*` variables over a TOML file over defaults.
//!
//! Only what concerns one node stands here. Whatever changes a decision is a replicated setting of the
//! cluster.

mod advertise;
mod check;
mod error;
mod key;
mod layer;

pub(crate) use error::ConfigError;
pub(crate) use key::{KEYS, Key, Kind};
pub(crate) use layer::Layer;

use crate::clock_source::ClockTrust;
use crate::issuance_log::{self, Durability, OnFailure};
use crate::publisher_auth::{Method, OidcIssuer};
use figment::Figment;
use figment::providers::Serialized;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Everything that one node is told at its start. It holds no secret: secrets are named by file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The folder of log, snapshots and keys.
    pub(crate) data_dir: PathBuf,
    /// Whether `data_dir` is shared by several replicas on one host, each of which takes a folder in it.
    pub(crate) data_slots: bool,
    /// The issuer URL in every descriptor; the same on every node.
    pub(crate) issuer: String,
    /// The public API.
    pub(crate) http: Http,
    /// The plane on which nodes talk to each other.
    pub(crate) peer: Peer,
    /// How nodes find and trust each other.
    pub(crate) cluster: Cluster,
    /// Timings and sizes of Raft.
    pub(crate) raft: Raft,
    /// The room that is kept on the disk.
    pub(crate) disk: Disk,
    /// Serving leases.
    pub(crate) lease: Lease,
    /// The log of every decision of this node.
    pub(crate) issuance_log: IssuanceLog,
    /// What is written to stderr, and traces.
    pub(crate) log: Log,
    /// The pages for browsers.
    pub(crate) console: Console,
    /// What this node fetches from others.
    pub(crate) outbound: Outbound,
    /// How publishers prove who they are without an API token.
    pub(crate) publisher_auth: PublisherAuth,
}

/// The public API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The base URL at which clients reach this node; absent means made from the listening address.
    pub(crate) advertise: Option<String>,
    /// The certificate of the public port with what leads to its authority, in PEM; absent means no TLS.
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key.
    pub(crate) tls_key: Option<PathBuf>,
    /// The authorities of clients' certificates; absent means that none is asked for.
    pub(crate) client_ca: Option<PathBuf>,
    /// Connections at a time; further ones are closed at once.
    pub(crate) max_connections: usize,
    /// Connections at a time from one address; 0 is any number.
    pub(crate) connections_per_address: usize,
    /// How long a TLS handshake may take.
    pub(crate) handshake_timeout_ms: u64,
    /// How long a client may take to send a request's headers; a connection of HTTP/1.1 is silent no longer either.
    pub(crate) header_timeout_ms: u64,
    /// The most bytes of a request's headers.
    pub(crate) header_bytes: usize,
    /// How long a client may take to send a body.
    pub(crate) body_timeout_ms: u64,
    /// The most bytes of a body, whatever it is sent to.
    pub(crate) body_bytes: usize,
    /// The deepest nesting of a JSON body.
    pub(crate) json_depth: usize,
    /// How long the answer to a request may take to begin.
    pub(crate) request_timeout_ms: u64,
    /// A connection of HTTP/2 without a new request is to end after that.
    pub(crate) idle_timeout_ms: u64,
    /// A client that takes nothing of an answer for so long is cut off.
    pub(crate) stall_timeout_ms: u64,
    /// Requests at a time on a connection of HTTP/2.
    pub(crate) requests_per_connection: u32,
    /// Requests that a client may have taken back before they were begun, on a connection of HTTP/2.
    pub(crate) resets_per_connection: usize,
    /// Streams of events at a time.
    pub(crate) max_streams: usize,
    /// Streams of events at a time to one address; 0 is any number.
    pub(crate) streams_per_address: usize,
    /// Unknown credentials from one address in a minute; 0 is any number.
    pub(crate) failed_auth_per_minute: u32,
}

/// The plane on which nodes talk to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The `host:port` at which nodes reach this node; absent means made from the listening address.
    pub(crate) advertise: Option<String>,
}

/// How nodes find and trust each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    /// Files with the cluster secret: one, or two. The first signs, both verify; the second may be missing or empty.
    pub(crate) secret_file: Vec<PathBuf>,
    /// Where other nodes may be found, `host:port`.
    pub(crate) join: Vec<String>,
    /// How many nodes form a new cluster; absent means only to join one that exists.
    pub(crate) bootstrap_expect: Option<u16>,
    /// Learners become voters while there are fewer than these.
    pub(crate) max_voters: usize,
    /// For how long a voter may be silent before a learner takes its place.
    pub(crate) dead_node_grace_ms: u64,
}

/// Timings and sizes of Raft.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raft {
    /// How often a leader says that it is there.
    pub(crate) heartbeat_ms: u64,
    /// The shortest election time-out.
    pub(crate) election_timeout_min_ms: u64,
    /// The longest election time-out.
    pub(crate) election_timeout_max_ms: u64,
    /// A snapshot is built after so many entries.
    pub(crate) snapshot_entries: u64,
    /// So many entries before a snapshot stay in the log.
    pub(crate) keep_entries: u64,
    /// How long sending and installing a snapshot may take.
    pub(crate) install_timeout_ms: u64,
    /// For how long a new node must have kept up before it becomes a voter.
    pub(crate) promote_after_ms: u64,
}

/// The room that is kept on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disk {
    /// Writes are refused while less is free for the data folder.
    pub(crate) reserve_bytes: u64,
}

/// Serving leases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lease {
    /// How long a lease lasts. Nodes agree on it when they join.
    pub(crate) duration_ms: u64,
    /// How long a connect waits for a lease or a leader, on a node that has neither.
    pub(crate) handover_wait_ms: u64,
    /// Whether leases may rest on the clocks of this machine.
    pub(crate) clock: ClockTrust,
}

/// The log of every decision of this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuanceLog {
    /// When a line counts as written.
    pub(crate) durability: Durability,
    /// A file that would grow beyond this is put aside first.
    pub(crate) rotate_bytes: u64,
    /// So many files that were put aside are kept.
    pub(crate) keep_files: u32,
    /// What becomes of a connect whose line cannot be written.
    pub(crate) on_failure: OnFailure,
}

/// What is written to stderr, and traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// The form of a line.
    pub(crate) format: LogFormat,
    /// A level, or a filter such as `info,hapi_raft=debug`.
    pub(crate) level: String,
    /// The base URL of an OTLP collector that gets the spans of traces; absent means that none are made.
    pub(crate) otlp_endpoint: Option<String>,
    /// The part of the requests that begin a trace, of those that are not part of one already.
    pub(crate) otlp_sample_ratio: f64,
}

/// The web console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Console {
    /// Whether this node serves it.
    pub(crate) enabled: bool,
}

/// What this node fetches from others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outbound {
    /// Whether addresses that are not public, and plain http, may be asked.
    pub(crate) allow_private: bool,
    /// The name server to ask; absent means those of this machine.
    pub(crate) dns_server: Option<SocketAddr>,
}

/// How publishers prove who they are without an API token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublisherAuth {
    /// The ways that are open; none by default, so that nobody publishes whom no operator has let.
    pub(crate) methods: Vec<Method>,
    /// So many proofs are verified in a minute, of all callers together.
    pub(crate) per_minute: u32,
    /// The base URL of GitHub's API.
    pub(crate) github_api: String,
    /// The issuer of the tokens of GitHub Actions.
    pub(crate) github_issuer: String,
    /// What these tokens must be for.
    pub(crate) github_audience: Option<String>,
    /// The id of the OAuth application by which clients get tokens of GitHub.
    pub(crate) github_client_id: Option<String>,
    /// Identity providers whose tokens are taken.
    pub(crate) oidc: Vec<OidcIssuer>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line, for a collector.
    Json,
}

impl Config {
    /// Puts the layers over the defaults, the later over the earlier, and checks the result as a whole.
    ///
    /// # Errors
    /// A value of the wrong type, by the name of its layer; or every rule that the result breaks.
    pub(crate) fn resolve(layers: &[Layer]) -> Result<Self, ConfigError> {
        let defaults = Figment::from(Serialized::defaults(Self::default()));
        let figment = layers.iter().fold(defaults, |figment, layer| figment.merge(layer));
        let config: Self = figment.extract().map_err(ConfigError::from_figment)?;
        let problems = check::problems(&config);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// The configuration as a TOML file that gives it back.
    pub(crate) fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The base URL at which clients reach this node. Once the listener is bound, `http.listen` must hold its
    /// real address.
    pub(crate) fn http_advertise(&self) -> String {
        let given = self.http.advertise.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        let scheme = if self.http.tls_cert.is_some() { "https" } else { "http" };
        given.unwrap_or_else(|| format!("{scheme}://{}", advertise::reachable(self.http.listen)))
    }

    /// The `host:port` at which nodes reach this node. Once the listener is bound, `peer.listen` must hold
    /// its real address.
    pub(crate) fn peer_advertise(&self) -> String {
        self.peer.advertise.clone().unwrap_or_else(|| advertise::reachable(self.peer.listen))
    }

    /// What the issuance log is told. It lies in the data folder.
    pub(crate) fn issuance_log(&self) -> issuance_log::Settings {
        issuance_log::Settings {
            folder: self.data_dir.join("issuance"),
            durability: self.issuance_log.durability,
            rotate_bytes: self.issuance_log.rotate_bytes,
            keep_files: self.issuance_log.keep_files,
            on_failure: self.issuance_log.on_failure,
        }
    }
}

/// The layers of a real process, lowest first: the file if one is named, then the variables. Flags go on top.
///
/// # Errors
/// A file that cannot be read, and the first key or variable that nothing knows, with the nearest known one.
pub(crate) fn layers(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = Vec::new();
    layers.extend(file.map(Layer::file).transpose()?);
    layers.extend(Layer::variables(variables)?);
    Ok(layers)
}

/// At `info` openraft tells of every vote and every append. What it and sled have to say of a disk that fails, a node says
/// itself with its last words, and with what to do about it.
const LEVEL: &str = "info,openraft=warn,openraft::core::raft_core=off,openraft::storage=off,sled=off";

/// Loopback addresses: a node that was told nothing is reachable from its own machine only.
impl Default for Config {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let raft = hapi_raft::RaftTuning::default();
        Self {
            data_dir: "/var/lib/hapi-registry".into(),
            data_slots: false,
            issuer: String::new(),
            http: http(loopback(8080)),
            peer: Peer { listen: loopback(7080), advertise: None },
            cluster: Cluster {
                secret_file: Vec::new(),
                join: Vec::new(),
                bootstrap_expect: None,
                max_voters: raft.max_voters,
                dead_node_grace_ms: raft.dead_node_grace_ms,
            },
            raft: Raft {
                heartbeat_ms: raft.heartbeat_ms,
                election_timeout_min_ms: raft.election_timeout_min_ms,
                election_timeout_max_ms: raft.election_timeout_max_ms,
                snapshot_entries: raft.snapshot_entries,
                keep_entries: raft.keep_entries,
                install_timeout_ms: raft.install_timeout_ms,
                promote_after_ms: raft.promote_after_ms,
            },
            disk: Disk { reserve_bytes: raft.disk_reserve_bytes },
            lease: Lease { duration_ms: 3_000, handover_wait_ms: 1_000, clock: ClockTrust::Auto },
            issuance_log: IssuanceLog {
                durability: Durability::Os,
                rotate_bytes: 64 << 20,
                keep_files: 8,
                on_failure: OnFailure::Refuse,
            },
            log: Log {
                format: LogFormat::Text,
                level: LEVEL.into(),
                otlp_endpoint: None,
                // Clients that trace decide for themselves; of all others a few suffice to see what is usual.
                otlp_sample_ratio: 0.01,
            },
            console: Console { enabled: true },
            outbound: Outbound { allow_private: false, dns_server: None },
            publisher_auth: PublisherAuth {
                methods: Vec::new(),
                per_minute: 300,
                github_api: "https://api.github.com".into(),
                github_issuer: "https://token.actions.githubusercontent.com".into(),
                github_audience: None,
                github_client_id: None,
                oidc: Vec::new(),
            },
        }
    }
}

/// One address may have a quarter of the connections: a proxy in front needs fewer, and nobody takes all of them.
fn http(listen: SocketAddr) -> Http {
    Http {
        listen,
        advertise: None,
        tls_cert: None,
        tls_key: None,
        client_ca: None,
        max_connections: 16_384,
        connections_per_address: 4_096,
        handshake_timeout_ms: 5_000,
        header_timeout_ms: 10_000,
        header_bytes: 64 << 10,
        body_timeout_ms: 30_000,
        body_bytes: 16 << 20,
        json_depth: 64,
        request_timeout_ms: 90_000,
        idle_timeout_ms: 60_000,
        stall_timeout_ms: 30_000,
        requests_per_connection: 100,
        resets_per_connection: 20,
        max_streams: 4_096,
        streams_per_address: 1_024,
        failed_auth_per_minute: 600,
    }
}

#[cfg(test)]
mod tests;
