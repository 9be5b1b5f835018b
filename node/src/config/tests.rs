#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use figment::value::{Dict, Value};

/// The least that a node must be told.
const LEAST: &str = r#"
issuer = "https://registry.example"
cluster.secret_file = ["/run/secrets/cluster"]
"#;

fn file(text: &str) -> Result<Layer, ConfigError> {
    Layer::toml("node.toml".into(), text)
}

fn variables(pairs: &[(&str, &str)]) -> Result<Vec<Layer>, ConfigError> {
    Layer::variables(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

fn flag(name: &str, text: &str) -> Layer {
    Layer::flag(Key::named(name).unwrap(), text.into())
}

fn with(more: &str) -> Result<Config, ConfigError> {
    Config::resolve(&[file(LEAST).unwrap(), file(more)?])
}

fn problem(more: &str) -> String {
    with(more).unwrap_err().to_string()
}

#[test]
fn the_least_configuration_is_enough() {
    let config = with("").unwrap();
    assert_eq!(config.http.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.cluster.bootstrap_expect, None);
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let mut layers =
        vec![file(LEAST).unwrap(), file("raft.heartbeat_ms = 50\nlog.level = \"warn\"").unwrap()];
    layers.extend(variables(&[("HAPI_RAFT_HEARTBEAT_MS", "60"), ("HAPI_LOG_FORMAT", "json")]).unwrap());
    layers.push(flag("raft.heartbeat_ms", "70"));
    let config = Config::resolve(&layers).unwrap();
    assert_eq!(config.raft.heartbeat_ms, 70);
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "warn"));
    assert_eq!(Config::resolve(&layers[..layers.len() - 1]).unwrap().raft.heartbeat_ms, 60);
}

#[test]
fn a_list_is_replaced_as_a_whole() {
    let mut layers = vec![file(LEAST).unwrap(), file(r#"cluster.join = ["a:1", "b:2"]"#).unwrap()];
    layers.extend(
        variables(&[("HAPI_CLUSTER_JOIN", "c:3, d:4,"), ("HAPI_CLUSTER_SECRET_FILE", "x,y")]).unwrap(),
    );
    let cluster = Config::resolve(&layers).unwrap().cluster;
    assert_eq!(cluster.join, ["c:3", "d:4"]);
    assert_eq!(cluster.secret_file, [PathBuf::from("x"), PathBuf::from("y")]);
}

#[test]
fn an_unknown_key_names_its_file_and_the_nearest_key() {
    assert_eq!(
        file("[http]\nlissten = \"127.0.0.1:1\"").unwrap_err().to_string(),
        "configuration file node.toml: unknown key `http.lissten`: did you mean `http.listen`?"
    );
    assert_eq!(
        file("heartbeat_ms = 3").unwrap_err().to_string(),
        "configuration file node.toml: unknown key `heartbeat_ms`: did you mean `raft.heartbeat_ms`?"
    );
}

#[test]
fn an_unknown_variable_names_the_nearest_one() {
    assert_eq!(
        variables(&[("HAPI_HTTP_LISTN", "127.0.0.1:1")]).unwrap_err().to_string(),
        "unknown variable HAPI_HTTP_LISTN: did you mean HAPI_HTTP_LISTEN?"
    );
    assert_eq!(
        variables(&[("HAPI_TOKENS", "x")]).unwrap_err().to_string(),
        "unknown variable HAPI_TOKENS: did you mean HAPI_TOKEN?"
    );
}

#[test]
fn variables_of_others_and_empty_ones_are_passed_over() {
    let pairs = [("PATH", "/bin"), ("HAPI_TOKEN", "x"), ("HAPI_FAULTS", "y"), ("HAPI_LEASE_DURATION_MS", "")];
    assert_eq!(variables(&pairs).unwrap().len(), 0);
}

#[test]
fn a_value_of_the_wrong_type_names_where_it_came_from() {
    let mut layers = vec![file(LEAST).unwrap()];
    layers.extend(variables(&[("HAPI_RAFT_HEARTBEAT_MS", "soon")]).unwrap());
    insta::assert_snapshot!(
        Config::resolve(&layers).unwrap_err(),
        @r#"HAPI_RAFT_HEARTBEAT_MS: `raft.heartbeat_ms`: invalid type: found string "soon", expected u64"#
    );
    insta::assert_snapshot!(
        Config::resolve(&[file(LEAST).unwrap(), flag("http.listen", "here")]).unwrap_err(),
        @"--http-listen: `http.listen`: invalid socket address syntax"
    );
    insta::assert_snapshot!(
        problem("[log]\nformat = \"xml\""),
        @"node.toml: `log.format`: unknown variant: found `xml`, expected ``text` or `json``"
    );
}

#[test]
fn a_ratio_may_be_written_without_a_point() {
    let mut layers = vec![file(LEAST).unwrap(), file("log.otlp_sample_ratio = 1").unwrap()];
    assert_eq!(Config::resolve(&layers).unwrap().log.otlp_sample_ratio, 1.0);
    layers.extend(variables(&[("HAPI_LOG_OTLP_SAMPLE_RATIO", "0.25")]).unwrap());
    assert_eq!(Config::resolve(&layers).unwrap().log.otlp_sample_ratio, 0.25);
    layers.extend(variables(&[("HAPI_LOG_OTLP_SAMPLE_RATIO", "most")]).unwrap());
    insta::assert_snapshot!(
        Config::resolve(&layers).unwrap_err(),
        @r#"HAPI_LOG_OTLP_SAMPLE_RATIO: `log.otlp_sample_ratio`: invalid type: found string "most", expected f64"#
    );
}

#[test]
fn identity_providers_are_a_list_in_the_file_and_json_elsewhere() {
    let toml = r#"
        [[publisher_auth.oidc]]
        issuer = "https://idp.example"
        audience = "registry"
        [[publisher_auth.oidc.rules]]
        claim = "groups"
        value = "platform"
        namespaces = ["com.example", "com.example.*"]
    "#;
    let json = r#"[{"issuer":"https://idp.example","audience":"registry","rules":[
        {"claim":"groups","value":"platform","namespaces":["com.example","com.example.*"]}]}]"#;
    let by_file = with(toml).unwrap().publisher_auth;
    let mut layers = vec![file(LEAST).unwrap()];
    layers.extend(
        variables(&[("HAPI_PUBLISHER_AUTH_OIDC", json), ("HAPI_PUBLISHER_AUTH_METHODS", "oidc, github-at")])
            .unwrap(),
    );
    let config = Config::resolve(&layers).unwrap();
    assert_eq!(config.publisher_auth.oidc, by_file.oidc);
    assert_eq!(config.publisher_auth.methods, [Method::Oidc, Method::GithubAt]);
    let printed = config.to_toml().unwrap();
    assert_eq!(Config::resolve(&[file(&printed).unwrap()]).unwrap(), config);
    let glob = toml.replace("com.example.*", "com example");
    assert!(problem(&glob).contains("can match no server name"), "{}", problem(&glob));
}

#[test]
fn the_issuance_log_lies_in_the_data_folder_and_fails_closed() {
    let settings = with("data_dir = \"/data\"").unwrap().issuance_log();
    assert_eq!(settings.folder, PathBuf::from("/data/issuance"));
    assert_eq!((settings.durability, settings.on_failure), (Durability::Os, OnFailure::Refuse));
    let more = "[issuance_log]\ndurability = \"disk\"\non_failure = \"ignore\"\nkeep_files = 0";
    let settings = with(more).unwrap().issuance_log();
    assert_eq!((settings.durability, settings.on_failure), (Durability::Disk, OnFailure::Ignore));
    assert_eq!((settings.rotate_bytes, settings.keep_files), (67_108_864, 0));
}

#[test]
fn the_words_of_a_choice_are_told() {
    insta::assert_snapshot!(
        problem("lease.clock = \"maybe\""),
        @"node.toml: `lease.clock`: unknown variant: found `maybe`, expected `one of `auto`, `trusted`, `untrusted``"
    );
    let mut layers = vec![file(LEAST).unwrap()];
    layers.extend(
        variables(&[("HAPI_LEASE_CLOCK", "untrusted"), ("HAPI_LEASE_HANDOVER_WAIT_MS", "0")]).unwrap(),
    );
    let lease = Config::resolve(&layers).unwrap().lease;
    assert_eq!((lease.clock, lease.handover_wait_ms), (ClockTrust::Untrusted, 0));
}

#[test]
fn a_file_that_is_no_toml_is_named_with_the_place() {
    let message = file("issuer = https").unwrap_err().to_string();
    assert!(message.starts_with("configuration file node.toml: TOML parse error at line 1"), "{message}");
    let missing = Layer::file(Path::new("/nowhere/node.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("configuration file /nowhere/node.toml: No such file"), "{missing}");
}

#[test]
fn what_is_printed_gives_the_same_configuration_back() {
    let config = with(
        "data_slots = true\n[http]\nlisten = \"[::]:80\"\nadvertise = \"https://node1.example\"\n\
         [cluster]\njoin = [\"node:7080\"]\nbootstrap_expect = 3\n[log]\nformat = \"json\"",
    )
    .unwrap();
    let printed = config.to_toml().unwrap();
    assert_eq!(Config::resolve(&[file(&printed).unwrap()]).unwrap(), config);
}

#[test]
fn every_rule_has_a_sentence_that_names_the_key() {
    for (values, sentence) in [
        (r#"issuer = """#, "issuer: not set: give the URL that every node of the cluster issues under"),
        (r#"issuer = "registry""#, "issuer: `registry` is not an absolute URL"),
        (r#"issuer = "ftp://a.example""#, "issuer: `ftp://a.example` must be an https URL"),
        (
            r#"issuer = "http://a.example""#,
            "issuer: `http://a.example` must be https: plain http is only for loopback",
        ),
        (
            r#"issuer = "https://a.example/?x=1""#,
            "issuer: `https://a.example/?x=1` must have no query and no fragment",
        ),
        (r#"issuer = "https://me:pw@a.example""#, "issuer: must name no user"),
        (
            r#"http.advertise = "node1""#,
            "http.advertise: `node1` is not a base URL such as http://node1.example:8080",
        ),
        (
            r#"peer.advertise = "node1""#,
            "peer.advertise: `node1` is not HOST:PORT, such as node1.example:7080",
        ),
        (
            r#"cluster.join = ["a:1", "::1:80"]"#,
            "cluster.join: `::1:80` is not HOST:PORT, such as node1.example:7080",
        ),
        ("cluster.secret_file = []", "cluster.secret_file: not set: name the file with the cluster secret"),
        (
            r#"cluster.secret_file = ["a", "b", "c"]"#,
            "cluster.secret_file: 3 files: at most two secrets are valid at a time",
        ),
        ("cluster.bootstrap_expect = 0", "cluster.bootstrap_expect: must be at least 1"),
        ("cluster.bootstrap_expect = 10", "cluster.bootstrap_expect: must be at most 9; further nodes join"),
        ("cluster.max_voters = 0", "cluster.max_voters: 0 must be an odd number from 1 to 9"),
        ("cluster.max_voters = 4", "cluster.max_voters: 4 must be an odd number from 1 to 9"),
        ("cluster.max_voters = 11", "cluster.max_voters: 11 must be an odd number from 1 to 9"),
        (
            "cluster.dead_node_grace_ms = 4600",
            "cluster.dead_node_grace_ms: 4600 must be more than 4600, which is twice \
             raft.election_timeout_max_ms (800) and lease.duration_ms (3000)",
        ),
        ("raft.heartbeat_ms = 0", "raft.heartbeat_ms: must be positive"),
        (
            "raft.heartbeat_ms = 200",
            "raft.election_timeout_min_ms: 400 must be more than twice raft.heartbeat_ms, which is 200",
        ),
        (
            "raft.election_timeout_max_ms = 400",
            "raft.election_timeout_max_ms: 400 must be more than raft.election_timeout_min_ms, which is 400",
        ),
        ("raft.keep_entries = 0", "raft.keep_entries: must be positive"),
        (
            "lease.duration_ms = 2800",
            "lease.duration_ms: 2800 must be more than 2800, which is twice raft.election_timeout_max_ms (800), \
             a quarter of the lease and 500 ms",
        ),
        ("lease.handover_wait_ms = 10001", "lease.handover_wait_ms: 10001 must be at most 10000"),
        ("issuance_log.rotate_bytes = 0", "issuance_log.rotate_bytes: must be positive"),
        (
            r#"log.otlp_endpoint = "collector:4318""#,
            "log.otlp_endpoint: not a base URL such as http://collector.example:4318, without user and query",
        ),
        (
            r#"log.otlp_endpoint = "https://me:pw@collector.example""#,
            "log.otlp_endpoint: not a base URL such as http://collector.example:4318, without user and query",
        ),
        ("publisher_auth.per_minute = 0", "publisher_auth.per_minute: must be positive"),
        (
            r#"publisher_auth.methods = ["dns", "oidc"]"#,
            "publisher_auth.methods: `oidc` needs an identity provider in publisher_auth.oidc",
        ),
        (
            r#"publisher_auth.methods = ["github-oidc"]"#,
            "publisher_auth.methods: `github-oidc` needs publisher_auth.github_audience",
        ),
        (
            r#"publisher_auth.github_api = "http://github.example""#,
            "publisher_auth.github_api: `http://github.example` is not an https URL without user and query; http needs \
             outbound.allow_private",
        ),
        (
            r#"publisher_auth.oidc = [{ issuer = "https://idp.example", audience = "", rules = [] }]"#,
            "publisher_auth.oidc: `https://idp.example` has no audience: a token for any other service would do",
        ),
        (
            r#"publisher_auth.oidc = [{ issuer = "https://idp.example", audience = "a", rules = [] }]"#,
            "publisher_auth.oidc: `https://idp.example` needs rules with a claim and namespaces: without them its tokens \
             grant nothing",
        ),
        ("log.otlp_sample_ratio = 1.5", "log.otlp_sample_ratio: 1.5 must be from 0, for none, to 1, for all"),
        ("log.otlp_sample_ratio = nan", "log.otlp_sample_ratio: NaN must be from 0, for none, to 1, for all"),
    ] {
        assert_eq!(problem(values), sentence, "{values}");
    }
    assert!(problem(r#"log.level = "a=b=c""#).starts_with("log.level: `a=b=c` is no level or filter"));
}

#[test]
fn all_broken_rules_are_reported_at_once() {
    assert_eq!(problem("raft.keep_entries = 0\nlease.duration_ms = 1").lines().count(), 2);
}

#[test]
fn plain_http_is_an_issuer_on_loopback_only() {
    for host in ["127.0.0.1:7401", "localhost", "[::1]:80"] {
        assert!(with(&format!("issuer = \"http://{host}\"")).is_ok(), "{host}");
    }
}

#[test]
fn the_table_of_keys_is_the_configuration() {
    let mut config = Config::default();
    (config.http.advertise, config.peer.advertise) = (Some(String::new()), Some(String::new()));
    (config.http.tls_cert, config.http.tls_key) = (Some(PathBuf::new()), Some(PathBuf::new()));
    config.http.client_ca = Some(PathBuf::new());
    config.cluster.bootstrap_expect = Some(1);
    config.log.otlp_endpoint = Some(String::new());
    config.outbound.dns_server = Some(([127, 0, 0, 1], 53).into());
    config.publisher_auth.github_audience = Some(String::new());
    config.publisher_auth.github_client_id = Some(String::new());
    let mut known: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    let mut fields = Vec::new();
    collect("", &toml::from_str(&config.to_toml().unwrap()).unwrap(), &mut fields);
    known.sort();
    fields.sort();
    assert_eq!(known, fields);
}

#[test]
fn half_of_tls_and_bounds_that_let_nobody_in_are_refused() {
    for (more, said) in [
        ("http.tls_cert = \"a\"", "http.tls_key: not set, and http.tls_cert is"),
        ("http.tls_key = \"a\"", "http.tls_cert: not set, and http.tls_key is"),
        ("http.client_ca = \"a\"", "http.client_ca: needs http.tls_cert and http.tls_key"),
        ("http.max_connections = 0", "http.max_connections: must be positive"),
        ("http.stall_timeout_ms = 0", "http.stall_timeout_ms: must be positive"),
        ("http.json_depth = 129", "http.json_depth: 129 must be from 1 to 128"),
        ("http.header_bytes = 100", "http.header_bytes: 100 must be at least 8192"),
    ] {
        assert!(problem(more).contains(said), "{more}: {}", problem(more));
    }
    let any =
        "http.connections_per_address = 0\nhttp.streams_per_address = 0\nhttp.failed_auth_per_minute = 0";
    assert!(with(any).is_ok());
}

#[test]
fn no_two_keys_share_a_variable_or_a_flag() {
    let distinct = |names: Vec<String>| names.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(distinct(KEYS.iter().map(Key::variable).collect()), KEYS.len());
    assert_eq!(distinct(KEYS.iter().map(|key| key.flag.to_owned()).collect()), KEYS.len());
}

#[test]
fn an_advertised_address_is_taken_as_it_is_and_else_made_from_the_listener() {
    let mut config = Config::default();
    assert_eq!(config.http_advertise(), "http://127.0.0.1:8080");
    config.http.tls_cert = Some("cert.pem".into());
    assert_eq!(config.http_advertise(), "https://127.0.0.1:8080");
    config.http.advertise = Some("https://node1.example/".into());
    assert_eq!(config.http_advertise(), "https://node1.example");
    config.peer.listen = "0.0.0.0:7080".parse().unwrap();
    let everywhere = config.peer_advertise();
    assert!(everywhere.ends_with(":7080") && !everywhere.starts_with("0.0.0.0"), "{everywhere}");
}

#[test]
fn a_flag_is_its_key_with_dashes() {
    for key in KEYS {
        assert_eq!(key.flag, key.name.trim_start_matches("cluster.").replace(['.', '_'], "-"));
    }
}

fn collect(prefix: &str, table: &Dict, into: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Dict(_, inner) => collect(&format!("{prefix}{name}."), inner, into),
            _ => into.push(format!("{prefix}{name}")),
        }
    }
}
