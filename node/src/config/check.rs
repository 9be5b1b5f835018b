//! The rules that values keep among each other. Each rule is a function that says what is wrong.

use super::{Config, Http, Raft};
use crate::{
    listen::LEAST_HEADER,
    publisher_auth::{Method, OidcIssuer},
};
use hapi_raft::MOST_FOUNDERS;
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

/// The longest wait for a hand-over: clients give up sooner than that, and each that waits takes memory.
const LONGEST_HANDOVER_WAIT_MS: u64 = 10_000;

/// Every commit waits for a majority of the voters: more than nine would only be slower.
const MOST_VOTERS: usize = 9;

/// Every rule that `config` breaks, one sentence each, with the key first.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let rules = [
        issuer(&config.issuer),
        config.http.advertise.as_deref().and_then(http_advertise),
        public_tls(&config.http),
        public_bounds(&config.http),
        config.peer.advertise.as_deref().and_then(|address| host_port("peer.advertise", address)),
        secret_files(config.cluster.secret_file.len()),
        config.cluster.join.iter().find_map(|address| host_port("cluster.join", address)),
        bootstrap_expect(config),
        max_voters(config.cluster.max_voters),
        dead_node_grace(config),
        heartbeat(&config.raft),
        election(&config.raft),
        positive("raft.snapshot_entries", config.raft.snapshot_entries),
        positive("raft.keep_entries", config.raft.keep_entries),
        positive("raft.install_timeout_ms", config.raft.install_timeout_ms),
        lease(config),
        handover_wait(config.lease.handover_wait_ms),
        positive("issuance_log.rotate_bytes", config.issuance_log.rotate_bytes),
        level(&config.log.level),
        config.log.otlp_endpoint.as_deref().and_then(otlp_endpoint),
        otlp_sample_ratio(config.log.otlp_sample_ratio),
        positive("publisher_auth.per_minute", config.publisher_auth.per_minute.into()),
        methods(config),
        outside(config, "publisher_auth.github_api", &config.publisher_auth.github_api),
        outside(config, "publisher_auth.github_issuer", &config.publisher_auth.github_issuer),
        config.publisher_auth.oidc.iter().find_map(|issuer| oidc(config, issuer)),
    ];
    rules.into_iter().flatten().collect()
}

/// RFC 8414 §2 asks for https without query and fragment. Plain http on loopback is for development: nobody
/// can listen there but the machine itself.
fn issuer(issuer: &str) -> Option<String> {
    if issuer.is_empty() {
        return Some("issuer: not set: give the URL that every node of the cluster issues under".into());
    }
    let wrong = |why: &str| Some(format!("issuer: `{issuer}` {why}"));
    let Ok(url) = Url::parse(issuer) else { return wrong("is not an absolute URL") };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return wrong("must be https: plain http is only for loopback"),
        _ => return wrong("must be an https URL"),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("must have no query and no fragment");
    }
    (!url.username().is_empty() || url.password().is_some()).then(|| "issuer: must name no user".into())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn http_advertise(text: &str) -> Option<String> {
    let usable = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    (!usable).then(|| format!("http.advertise: `{text}` is not a base URL such as http://node1.example:8080"))
}

/// Half of it would be no TLS at all, and nobody would notice before a client does.
fn public_tls(http: &Http) -> Option<String> {
    let lacks = match (&http.tls_cert, &http.tls_key, &http.client_ca) {
        (Some(_), None, _) => "http.tls_key: not set, and http.tls_cert is",
        (None, Some(_), _) => "http.tls_cert: not set, and http.tls_key is",
        (None, None, Some(_)) => "http.client_ca: needs http.tls_cert and http.tls_key",
        _ => return None,
    };
    Some(lacks.into())
}

/// A bound of 0 would be a node that answers nobody, where it does not mean any number.
fn public_bounds(http: &Http) -> Option<String> {
    let positive = [
        ("max_connections", http.max_connections as u64),
        ("handshake_timeout_ms", http.handshake_timeout_ms),
        ("header_timeout_ms", http.header_timeout_ms),
        ("body_timeout_ms", http.body_timeout_ms),
        ("body_bytes", http.body_bytes as u64),
        ("request_timeout_ms", http.request_timeout_ms),
        ("idle_timeout_ms", http.idle_timeout_ms),
        ("stall_timeout_ms", http.stall_timeout_ms),
        ("requests_per_connection", http.requests_per_connection.into()),
        ("max_streams", http.max_streams as u64),
    ];
    let zero = positive.iter().find(|(_, value)| *value == 0);
    let zero = zero.map(|(name, _)| format!("http.{name}: must be positive"));
    zero.or_else(|| match (http.json_depth, http.header_bytes) {
        (0 | 129.., _) => Some(format!("http.json_depth: {} must be from 1 to 128", http.json_depth)),
        (_, bytes) if bytes < LEAST_HEADER => {
            Some(format!("http.header_bytes: {bytes} must be at least {LEAST_HEADER}"))
        }
        _ => None,
    })
}

fn host_port(key: &str, address: &str) -> Option<String> {
    let usable = address.rsplit_once(':').is_some_and(|(host, port)| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_fits = bare.is_some() || (!host.is_empty() && !host.contains([':', '/', '@']));
        host_fits && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    (!usable).then(|| format!("{key}: `{address}` is not HOST:PORT, such as node1.example:7080"))
}

fn secret_files(count: usize) -> Option<String> {
    match count {
        0 => Some("cluster.secret_file: not set: name the file with the cluster secret".into()),
        1 | 2 => None,
        _ => Some(format!("cluster.secret_file: {count} files: at most two secrets are valid at a time")),
    }
}

fn bootstrap_expect(config: &Config) -> Option<String> {
    match config.cluster.bootstrap_expect {
        Some(0) => Some("cluster.bootstrap_expect: must be at least 1".into()),
        Some(expect) if expect > MOST_FOUNDERS => {
            Some(format!("cluster.bootstrap_expect: must be at most {MOST_FOUNDERS}; further nodes join"))
        }
        _ => None,
    }
}

/// An even number of voters survives no more losses than the odd one below it.
fn max_voters(most: usize) -> Option<String> {
    let fits = (1..=MOST_VOTERS).contains(&most) && !most.is_multiple_of(2);
    (!fits).then(|| format!("cluster.max_voters: {most} must be an odd number from 1 to {MOST_VOTERS}"))
}

/// A leader is lost and another one elected, a lease runs out: none of that is a dead node.
fn dead_node_grace(config: &Config) -> Option<String> {
    let grace = config.cluster.dead_node_grace_ms;
    let (lease, election) = (config.lease.duration_ms, config.raft.election_timeout_max_ms);
    let least = election.saturating_mul(2).saturating_add(lease);
    (grace <= least).then(|| {
        format!(
            "cluster.dead_node_grace_ms: {grace} must be more than {least}, which is twice \
             raft.election_timeout_max_ms ({election}) and lease.duration_ms ({lease})"
        )
    })
}

/// One lost heartbeat must not be an election.
fn heartbeat(raft: &Raft) -> Option<String> {
    let (heartbeat, min) = (raft.heartbeat_ms, raft.election_timeout_min_ms);
    if heartbeat == 0 {
        return Some("raft.heartbeat_ms: must be positive".into());
    }
    (min <= heartbeat.saturating_mul(2)).then(|| {
        format!(
            "raft.election_timeout_min_ms: {min} must be more than twice raft.heartbeat_ms, \
             which is {heartbeat}"
        )
    })
}

/// The time-outs of two candidates must have room to differ.
fn election(raft: &Raft) -> Option<String> {
    let (min, max) = (raft.election_timeout_min_ms, raft.election_timeout_max_ms);
    (max <= min).then(|| {
        format!(
            "raft.election_timeout_max_ms: {max} must be more than raft.election_timeout_min_ms, \
             which is {min}"
        )
    })
}

fn positive(key: &str, value: u64) -> Option<String> {
    (value == 0).then(|| format!("{key}: must be positive"))
}

/// A lease must outlive the loss of a leader, or issuing stops at every failover: followers wait the longest
/// election time-out, then one more for the election, then up to a quarter of the lease until the next
/// renewal. 500 ms are left for the network and for a busy machine.
fn lease(config: &Config) -> Option<String> {
    let duration = config.lease.duration_ms;
    let election = config.raft.election_timeout_max_ms;
    let least = election.saturating_mul(2).saturating_add(duration / 4).saturating_add(500);
    (duration <= least).then(|| {
        format!(
            "lease.duration_ms: {duration} must be more than {least}, which is twice \
             raft.election_timeout_max_ms ({election}), a quarter of the lease and 500 ms"
        )
    })
}

fn handover_wait(wait: u64) -> Option<String> {
    (wait > LONGEST_HANDOVER_WAIT_MS)
        .then(|| format!("lease.handover_wait_ms: {wait} must be at most {LONGEST_HANDOVER_WAIT_MS}"))
}

fn level(level: &str) -> Option<String> {
    let error = EnvFilter::try_new(level).err()?;
    Some(format!("log.level: `{level}` is no level or filter: {error}"))
}

/// A credential belongs into OTEL_EXPORTER_OTLP_HEADERS: settings are printed.
fn otlp_endpoint(text: &str) -> Option<String> {
    let usable = Url::parse(text).is_ok_and(|url| {
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let is_base = url.query().is_none() && url.fragment().is_none();
        is_web && is_base && url.username().is_empty() && url.password().is_none()
    });
    (!usable).then(|| {
        "log.otlp_endpoint: not a base URL such as http://collector.example:4318, without user and query"
            .into()
    })
}

fn otlp_sample_ratio(ratio: f64) -> Option<String> {
    (!(0.0..=1.0).contains(&ratio))
        .then(|| format!("log.otlp_sample_ratio: {ratio} must be from 0, for none, to 1, for all"))
}

/// A method without what it needs would refuse everybody, and nobody would know why.
fn methods(config: &Config) -> Option<String> {
    let settings = &config.publisher_auth;
    let lacks = |method, absent, what| {
        let is_open = settings.methods.contains(&method);
        (is_open && absent).then(|| format!("publisher_auth.methods: `{}` needs {what}", method.as_str()))
    };
    let audience = settings.github_audience.as_deref().unwrap_or_default();
    lacks(Method::Oidc, settings.oidc.is_empty(), "an identity provider in publisher_auth.oidc")
        .or_else(|| lacks(Method::GithubOidc, audience.is_empty(), "publisher_auth.github_audience"))
}

/// Whoever can stand between could answer in the other's name.
fn outside(config: &Config, key: &str, text: &str) -> Option<String> {
    let usable = Url::parse(text).is_ok_and(|url| {
        let is_web = url.scheme() == "https" || (url.scheme() == "http" && config.outbound.allow_private);
        is_web
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    (!usable).then(|| {
        format!(
            "{key}: `{text}` is not an https URL without user and query; http needs outbound.allow_private"
        )
    })
}

fn oidc(config: &Config, issuer: &OidcIssuer) -> Option<String> {
    let wrong = |why: &str| Some(format!("publisher_auth.oidc: `{}` {why}", issuer.issuer));
    if issuer.audience.is_empty() {
        return wrong("has no audience: a token for any other service would do");
    }
    if issuer.rules.is_empty()
        || issuer.rules.iter().any(|rule| rule.claim.is_empty() || rule.namespaces.is_empty())
    {
        return wrong("needs rules with a claim and namespaces: without them its tokens grant nothing");
    }
    let jwks_url = issuer.jwks_url.as_deref();
    outside(config, "publisher_auth.oidc", &issuer.issuer)
        .or_else(|| jwks_url.and_then(|url| outside(config, "publisher_auth.oidc", url)))
}
