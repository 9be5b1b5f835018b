//! Every key of the configuration: its name, variable, flag and meaning, in one table.

/// How the text of a variable or a flag is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As it stands.
    Text,
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Switch,
    /// Texts separated by commas.
    List,
    /// JSON in a variable or a flag; in the file what TOML has for it.
    Json,
}

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// The name in the file, dots between the tables.
    pub(crate) name: &'static str,
    /// How its text is read.
    pub(crate) kind: Kind,
    /// The flag, without its dashes. Forming and joining is what everybody types, so `cluster-` is left out.
    pub(crate) flag: &'static str,
    /// What stands for the value in the help.
    pub(crate) value: &'static str,
    /// What it means.
    pub(crate) help: &'static str,
}

/// Every key, in the order of the help.
pub(crate) const KEYS: &[Key] = &[
    text("data_dir", "data-dir", "DIR", "The folder of log, snapshots and keys"),
    switch(
        "data_slots",
        "data-slots",
        "Replicas on this host share `data_dir`: each takes the free slot-N folder in it that was used last",
    ),
    text(
        "issuer",
        "issuer",
        "URL",
        "The issuer in every descriptor, the same on every node: an https URL, or http on loopback",
    ),
    text("http.listen", "http-listen", "IP:PORT", "Where the public API listens"),
    text(
        "http.advertise",
        "http-advertise",
        "URL",
        "The base URL at which clients reach this node [default: made from the listener]",
    ),
    text(
        "http.tls_cert",
        "http-tls-cert",
        "FILE",
        "The certificate of the public port with its chain, in PEM. Read again on SIGHUP, and when it changes [default: no TLS]",
    ),
    text("http.tls_key", "http-tls-key", "FILE", "The key of that certificate, in PEM"),
    text(
        "http.client_ca",
        "http-client-ca",
        "FILE",
        "Ask clients for certificates, and verify them by the authorities in this PEM file",
    ),
    number(
        "http.max_connections",
        "http-max-connections",
        "N",
        "Close connections beyond so many; the file descriptors of the process bound them as well",
    ),
    number(
        "http.connections_per_address",
        "http-connections-per-address",
        "N",
        "Close connections beyond so many from one address (of IPv6, one network of 64 bits); 0 is any number, for a proxy \
         that all come through",
    ),
    number(
        "http.handshake_timeout_ms",
        "http-handshake-timeout-ms",
        "MS",
        "How long a TLS handshake may take",
    ),
    number(
        "http.header_timeout_ms",
        "http-header-timeout-ms",
        "MS",
        "How long a request's headers may take, and how long a connection of HTTP/1.1 may be silent",
    ),
    number("http.header_bytes", "http-header-bytes", "BYTES", "The most bytes of a request's headers"),
    number("http.body_timeout_ms", "http-body-timeout-ms", "MS", "How long a request's body may take"),
    number(
        "http.body_bytes",
        "http-body-bytes",
        "BYTES",
        "The most bytes of a body; most requests take far fewer, and only imports so many",
    ),
    number("http.json_depth", "http-json-depth", "N", "The deepest nesting of a JSON body, at most 128"),
    number(
        "http.request_timeout_ms",
        "http-request-timeout-ms",
        "MS",
        "How long the answer to a request may take to begin; writes wait up to a minute for every node",
    ),
    number(
        "http.idle_timeout_ms",
        "http-idle-timeout-ms",
        "MS",
        "End a connection of HTTP/2 on which nothing was asked for so long",
    ),
    number(
        "http.stall_timeout_ms",
        "http-stall-timeout-ms",
        "MS",
        "Cut off who takes nothing of an answer for so long",
    ),
    number(
        "http.requests_per_connection",
        "http-requests-per-connection",
        "N",
        "Requests at a time on a connection of HTTP/2",
    ),
    number(
        "http.resets_per_connection",
        "http-resets-per-connection",
        "N",
        "Cut off who takes back more requests than that before they were begun, on a connection of HTTP/2",
    ),
    number("http.max_streams", "http-max-streams", "N", "Streams of events at a time"),
    number(
        "http.streams_per_address",
        "http-streams-per-address",
        "N",
        "Streams of events at a time to one address; 0 is any number",
    ),
    number(
        "http.failed_auth_per_minute",
        "http-failed-auth-per-minute",
        "N",
        "Answer 429 to unknown credentials beyond so many from one address in a minute; known ones are not counted. 0 is any \
         number",
    ),
    text("peer.listen", "peer-listen", "IP:PORT", "Where other nodes are listened to"),
    text(
        "peer.advertise",
        "peer-advertise",
        "HOST:PORT",
        "Where other nodes reach this node [default: made from the listener]",
    ),
    list(
        "cluster.secret_file",
        "secret-file",
        "FILE",
        "The cluster secret: one file, or two with a comma. The first signs, both verify; the second may be missing or \
         empty. Read again on SIGHUP, and when they change",
    ),
    list(
        "cluster.join",
        "join",
        "HOST:PORT",
        "Where other nodes may be found; names are resolved anew at each try",
    ),
    number(
        "cluster.bootstrap_expect",
        "bootstrap-expect",
        "N",
        "Form a new cluster of N such nodes, unless one exists already",
    ),
    number(
        "cluster.max_voters",
        "max-voters",
        "N",
        "Learners become voters while there are fewer than N, an odd number up to 9; what the leader has counts",
    ),
    number(
        "cluster.dead_node_grace_ms",
        "dead-node-grace-ms",
        "MS",
        "A voter that is silent for so long gives its vote to a learner; what the leader has counts",
    ),
    number("raft.heartbeat_ms", "raft-heartbeat-ms", "MS", "How often a leader says that it is there"),
    number(
        "raft.election_timeout_min_ms",
        "raft-election-timeout-min-ms",
        "MS",
        "The shortest election time-out",
    ),
    number(
        "raft.election_timeout_max_ms",
        "raft-election-timeout-max-ms",
        "MS",
        "The longest election time-out",
    ),
    number(
        "raft.snapshot_entries",
        "raft-snapshot-entries",
        "N",
        "Build a snapshot after so many entries, or 16 MiB of them",
    ),
    number(
        "raft.keep_entries",
        "raft-keep-entries",
        "N",
        "Keep so many entries before a snapshot, up to 4 MiB, for followers that lag",
    ),
    number(
        "raft.install_timeout_ms",
        "raft-install-timeout-ms",
        "MS",
        "How long sending and installing a snapshot may take",
    ),
    number(
        "raft.promote_after_ms",
        "raft-promote-after-ms",
        "MS",
        "How long a new node keeps up before it becomes a voter",
    ),
    number(
        "disk.reserve_bytes",
        "disk-reserve-bytes",
        "BYTES",
        "Take no more writes while less is free for `data_dir`; what denies is taken down to a quarter of it",
    ),
    number(
        "lease.duration_ms",
        "lease-duration-ms",
        "MS",
        "The length of a serving lease, the same on every node: so long may a node issue on its own",
    ),
    number(
        "lease.handover_wait_ms",
        "lease-handover-wait-ms",
        "MS",
        "How long a connect waits on a node that has no lease and reaches no leader; at most 10000",
    ),
    text(
        "lease.clock",
        "lease-clock",
        "auto|trusted|untrusted",
        "Whether leases may rest on this machine's clocks: `auto` goes by the kernel's clock source; without \
         trust a quorum confirms every connect",
    ),
    text(
        "issuance_log.durability",
        "issuance-log-durability",
        "os|disk",
        "When a decision counts as logged: once the operating system has it, or once the disk has it",
    ),
    number(
        "issuance_log.rotate_bytes",
        "issuance-log-rotate-bytes",
        "BYTES",
        "Put the issuance log aside when it would grow beyond this",
    ),
    number(
        "issuance_log.keep_files",
        "issuance-log-keep-files",
        "N",
        "Keep so many issuance logs that were put aside",
    ),
    text(
        "issuance_log.on_failure",
        "issuance-log-on-failure",
        "refuse|ignore",
        "What becomes of a connect whose decision cannot be logged: `ignore` answers it nevertheless",
    ),
    text("log.format", "log-format", "text|json", "The form of a log line"),
    text("log.level", "log-level", "LEVEL", "A level, or a filter such as `info,hapi_raft=debug`"),
    text(
        "log.otlp_endpoint",
        "log-otlp-endpoint",
        "URL",
        "Send traces to this OTLP collector: the base URL of its HTTP port, such as http://collector:4318",
    ),
    Key {
        name: "log.otlp_sample_ratio",
        kind: Kind::Ratio,
        flag: "log-otlp-sample-ratio",
        value: "0..1",
        help: "The part of the requests without a `traceparent` that begin a trace; others go by their sender",
    },
    switch("console.enabled", "console-enabled", "Serve the web console at /console"),
    switch(
        "outbound.allow_private",
        "outbound-allow-private",
        "Let proofs of publishers, mirrors, and what else is fetched from others, lead to addresses that are not \
         public and to plain http",
    ),
    text(
        "outbound.dns_server",
        "outbound-dns-server",
        "IP:PORT",
        "Ask this name server for names outside [default: those of this machine]",
    ),
    list(
        "publisher_auth.methods",
        "publisher-auth-methods",
        "dns|http|oidc|github-oidc|github-at|none",
        "How publishers prove themselves without an API token, with commas; `none` lets anybody publish in \
         io.modelcontextprotocol.anonymous [default: not at all]",
    ),
    number(
        "publisher_auth.per_minute",
        "publisher-auth-per-minute",
        "N",
        "Verify so many proofs of publishers a minute, of all callers together",
    ),
    text("publisher_auth.github_api", "publisher-auth-github-api", "URL", "GitHub's API, for `github-at`"),
    text(
        "publisher_auth.github_client_id",
        "publisher-auth-github-client-id",
        "ID",
        "The client id of an OAuth application at GitHub with the device flow, by which `mcp-publisher login github` gets \
         its token; `/v0/health` says it",
    ),
    text(
        "publisher_auth.github_issuer",
        "publisher-auth-github-issuer",
        "URL",
        "The issuer of the tokens of GitHub Actions, for `github-oidc`; its metadata names the keys",
    ),
    text(
        "publisher_auth.github_audience",
        "publisher-auth-github-audience",
        "TEXT",
        "What tokens of GitHub Actions must be for: best the URL of this registry. One that other services share lets \
         those publish in their callers' names",
    ),
    Key {
        name: "publisher_auth.oidc",
        kind: Kind::Json,
        flag: "publisher-auth-oidc",
        value: "JSON",
        help: "Identity providers, for `oidc`: a list of {issuer, audience, jwks_url, rules: [{claim, value, namespaces}]}; \
               without `jwks_url` their metadata names the keys",
    },
];

const fn text(name: &'static str, flag: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Text, flag, value, help }
}

const fn number(name: &'static str, flag: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Number, flag, value, help }
}

const fn list(name: &'static str, flag: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::List, flag, value, help }
}

const fn switch(name: &'static str, flag: &'static str, help: &'static str) -> Key {
    Key { name, kind: Kind::Switch, flag, value: "true|false", help }
}

impl Key {
    /// The key of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The environment variable: exactly one for each key, since it is never split back into a name.
    pub(crate) fn variable(&self) -> String {
        format!("HAPI_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// The candidate that `unknown` was most likely meant to be.
pub(super) fn nearest(unknown: &str, candidates: impl IntoIterator<Item = String>) -> String {
    let distance = |known: &String| strsim::damerau_levenshtein(unknown, known);
    candidates.into_iter().min_by_key(distance).unwrap_or_default()
}
