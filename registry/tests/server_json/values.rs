//! What documents, names and versions are as values: what they keep, how they order, what the log carries.

use crate::rules::document;
use hapi_registry_state::{
    ClientId, Glob, Rules, ServerJson, ServerName, ServerRef, Strictness, TenantId, Transport, Variable,
    Version,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::cmp::Ordering;

const RULES: Rules = Rules { strictness: Strictness::Publish, allow_insecure_endpoints: false };

fn parse(raw: &str) -> ServerJson {
    ServerJson::parse(raw.as_bytes(), RULES).unwrap().server
}

#[test]
fn the_text_is_kept_byte_for_byte_with_fields_that_nobody_knows() {
    let raw = document(r#"{"x-unknown": {"b": 1.50, "a": [null]}, "title": "Weather"}"#);
    let raw = format!(" {raw:#}\n");
    let server = parse(&raw);
    assert_eq!(server.raw(), raw.as_bytes());
    assert_eq!(server.sha256(), <[u8; 32]>::from(Sha256::digest(&raw)));
    assert_eq!((server.name().as_str(), server.version().as_str()), ("ai.acme/weather", "1.0.0"));
    assert_eq!((server.title(), server.description()), (Some("Weather"), "Forecasts for any place"));
    assert!(!server.has_packages());
}

#[test]
fn what_is_no_text_or_too_long_a_text_is_refused_before_it_is_read() {
    let reference = |raw: &[u8]| {
        let issues = ServerJson::parse(raw, RULES).unwrap_err();
        assert_eq!(issues.len(), 1, "{issues:?}");
        (issues[0].reference.clone(), issues[0].message.clone())
    };
    assert_eq!(reference(b"").0, "invalid-json");
    assert_eq!(reference(b"{\"name\": \"\xff\"}").0, "not-utf-8");
    let size = |bytes: usize| format!("{{\"x\": \"{}\"}}", "a".repeat(bytes - 9));
    let sizes = [256 * 1024, 256 * 1024 + 1].map(size);
    assert_eq!(sizes.each_ref().map(String::len), [262_144, 262_145]);
    assert!(ServerJson::parse(sizes[0].as_bytes(), RULES).unwrap_err().len() > 1, "it was read");
    assert_eq!(reference(sizes[1].as_bytes()).1, "the document has 262145 bytes: at most 262144 are allowed");
}

#[test]
fn the_publishers_metadata_has_at_most_four_kib_however_it_is_indented() {
    let with = |bytes: usize| {
        let provided = json!({"tool": "a".repeat(bytes - r#"{"tool":""}"#.len())});
        let members = json!({"_meta": {"io.modelcontextprotocol.registry/publisher-provided": provided}});
        format!("{:#}", document(&members.to_string()))
    };
    assert!(ServerJson::parse(with(4096).as_bytes(), RULES).is_ok());
    let issues = ServerJson::parse(with(4097).as_bytes(), RULES).unwrap_err();
    assert_eq!(issues[0].reference, "publisher-metadata-too-large");
}

#[test]
fn issues_have_the_wire_form_that_clients_know() {
    let raw = document(r#"{"remotes": [{"type": "streamable-http", "url": "http://acme.ai"}]}"#).to_string();
    let issues = hapi_registry_state::validate(raw.as_bytes(), RULES);
    let expected = json!([{
        "type": "semantic",
        "path": "remotes[0].url",
        "message": "the URL must begin with `https://`, not with `http:`",
        "severity": "error",
        "reference": "invalid-remote-url",
    }]);
    assert_eq!(serde_json::to_value(issues).unwrap(), expected);
}

#[test]
fn remotes_keep_their_order_and_their_variables() {
    let server = parse(
        &document(
            r#"{"remotes": [
        {"type": "sse", "url": "https://mcp.acme.ai/sse"},
        {"type": "streamable-http", "url": "https://mcp.acme.ai/{region}/mcp", "variables":
            {"region": {"choices": ["eu", "us"], "default": "eu", "isRequired": true, "isSecret": false}}}
    ]}"#,
        )
        .to_string(),
    );
    let [sse, http] = server.remotes() else { panic!("two remotes: {:?}", server.remotes()) };
    assert_eq!((sse.transport, http.transport), (Transport::Sse, Transport::StreamableHttp));
    assert_eq!(http.url.as_str(), "https://mcp.acme.ai/{region}/mcp");
    let region = Variable {
        choices: vec!["eu".into(), "us".into()],
        default: Some("eu".into()),
        is_required: true,
        is_secret: false,
    };
    assert_eq!(http.variables, [("region".to_owned(), region)].into());
}

#[test]
fn the_log_carries_a_document_unchanged() {
    let connect = json!({"connect": {"jwks_uri": "https://acme.ai/jwks", "tls_pin_sha256": "ab".repeat(32)}});
    let members = json!({
        "remotes": [{"type": "streamable-http", "url": "https://{r}.acme.ai/{t}", "variables":
            {"r": {"choices": ["eu", "us"]}, "t": {"default": "free"}}}],
        "_meta": {"io.modelcontextprotocol.registry/publisher-provided": connect},
    });
    let server = parse(&document(&members.to_string()).to_string());
    assert_eq!(server.connect().jwks_uri.as_deref(), Some("https://acme.ai/jwks"));
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&server, config).unwrap();
    let (back, read): (ServerJson, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!((&back, read), (&server, bytes.len()));
    assert_eq!(bincode::serde::encode_to_vec(&back, config).unwrap(), bytes);
}

#[test]
fn reading_data_back_judges_nothing_again_but_names_stay_names() {
    let config = bincode::config::standard();
    let encoded = |text: &str| bincode::serde::encode_to_vec(text, config).unwrap();
    let name = |text| bincode::serde::decode_from_slice::<ServerName, _>(&encoded(text), config);
    assert!(name("ai.acme/weather").is_ok());
    assert!(name("weather").is_err());
    let version = |text| bincode::serde::decode_from_slice::<Version, _>(&encoded(text), config);
    assert!(version("{{VERSION}}").is_ok(), "an imported version must come back from a snapshot");
    assert!(version("").is_err());
}

#[test]
fn only_what_may_never_change_moves_the_immutable_digest() {
    let digest = |members: &str| parse(&document(members).to_string()).immutable_digest();
    let sound = digest("{}");
    assert_eq!(digest(r#"{"description": "Other words", "title": "Weather", "x": 1}"#), sound);
    assert_eq!(digest(r#"{"packages": []}"#), sound);
    assert_eq!(
        digest(r#"{"remotes": [{"url": "https://mcp.acme.ai/weather", "type": "streamable-http"}]}"#),
        sound
    );
    let package =
        r#"{"packages": [{"registryType": "npm", "identifier": "w", "transport": {"type": "stdio"}}]}"#;
    let url = r#"{"remotes": [{"type": "streamable-http", "url": "https://mcp.acme.ai/weather2"}]}"#;
    let header = r#"{"remotes": [{"type": "streamable-http", "url": "https://mcp.acme.ai/weather",
        "headers": [{"name": "X-Key"}]}]}"#;
    for other in [r#"{"version": "1.0.1"}"#, r#"{"name": "ai.acme/rain"}"#, package, url, header] {
        assert_ne!(digest(other), sound, "{other}");
    }
}

#[test]
fn the_later_version_wins_by_precedence_then_time_then_text() {
    let compare = |a: (&str, u64), b: (&str, u64)| {
        let version = |text| Version::parse_imported(text).unwrap();
        let (x, y) = (version(a.0), version(b.0));
        Version::compare((&x, a.1), (&y, b.1))
    };
    let ascending = [
        [("auto", 1), ("{{VERSION}}", 2)],
        [("2025.10.23.1321", 9), ("0.0.1", 1)],
        [("1.0.0-rc.2", 9), ("1.0.0-rc.10", 1)],
        [("1.0.0-rc.1", 9), ("v1.0.0", 1)],
        [("1.9.0", 9), ("1.10.0", 1)],
        [("1.0.0+a", 1), ("1.0.0", 2)],
        [("1.0.0", 1), ("v1.0.0", 1)],
    ];
    for [earlier, later] in ascending {
        assert_eq!(compare(earlier, later), Ordering::Less, "{earlier:?} {later:?}");
        assert_eq!(compare(later, earlier), Ordering::Greater, "{later:?} {earlier:?}");
    }
}

#[test]
fn only_semantic_versions_without_a_prerelease_are_stable() {
    let stable = |text| Version::parse_imported(text).unwrap().is_stable();
    assert!(["1.0.0", "v2.1.0", "1.0.0+build.5"].into_iter().all(stable));
    assert!(!["1.0.0-rc.1", "1.0", "auto", "V1.0.0", "01.0.0"].into_iter().any(stable));
}

#[test]
fn strict_parsing_refuses_ranges_and_templates_and_nothing_else() {
    let ranges = "^1.2.3 ~1 >=1.0.0 <2 >1 =1.0.0 1.x 1.2.* * x 1.X.0 v1.* 1.x-beta 1||2 {{VERSION}} ${V}";
    for text in ranges.split(' ').chain(["1.0.0 - 2.0.0", "1.2 || 1.3", "latest", "", "1.0\0", "1\n"]) {
        assert!(Version::parse(text).is_err(), "{text:?}");
    }
    for text in ["1.0.0", "auto", "mcp", "2025.10.23.1321", "1.0.1º", "1.0.0-x.1", "xyz", "1.0 beta", "a-b"]
    {
        assert_eq!(Version::parse(text).unwrap().as_str(), text);
    }
    assert!(Version::parse(&"é".repeat(255)).is_ok());
    assert!(Version::parse(&"1".repeat(256)).is_err());
}

#[test]
fn imported_versions_may_be_ranges_but_never_latest() {
    assert!(["^1.0", "1.x", "{{VERSION}}"].into_iter().all(|text| Version::parse_imported(text).is_ok()));
    assert!(["latest", "", "1\u{7f}"].into_iter().all(|text| Version::parse_imported(text).is_err()));
}

#[test]
fn a_server_name_is_two_words_around_one_slash() {
    let longest = format!("{}/{}", "a".repeat(99), "b".repeat(100));
    for text in ["a/b", "ai.acme/weather", "io.github.User-1/My_server.v2", &longest] {
        let name = ServerName::parse(text).unwrap();
        assert_eq!(format!("{}/{}", name.namespace(), name.name()), text);
    }
    let wrong =
        ["", "/", "a", "a/", "/b", "a/b/c", ".a/b", "a./b", "a/-b", "a/b_", "a_b/c", "a b/c", "ä/b", "a/b\0"];
    for text in wrong.into_iter().chain([&*format!("{longest}b")]) {
        assert!(ServerName::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn ids_are_short_and_lower_case() {
    for text in ["a", "0", "desktop.acme-1", &"a".repeat(63)] {
        assert!(ClientId::parse(text).is_ok() && TenantId::parse(text).is_ok(), "{text}");
    }
    for text in ["", "A", ".a", "-a", "a_b", "a/b", "ä", &"a".repeat(64)] {
        assert!(ClientId::parse(text).is_err() && TenantId::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_reference_reads_back_as_it_prints() {
    for text in
        ["ai.acme/weather", "ai.acme/weather@1.0.0", "ai.acme/weather@{{VERSION}}", "ai.acme/weather@a@b"]
    {
        assert_eq!(text.parse::<ServerRef>().unwrap().to_string(), text);
    }
}

#[test]
fn a_star_crosses_slashes_and_case_counts() {
    let matches = |glob: &str, name: &str| Glob::parse(glob).unwrap().matches(name);
    for (glob, name) in [
        ("*", "ai.acme/weather"),
        ("**", "ai.acme/weather"),
        ("ai.acme/weather", "ai.acme/weather"),
        ("ai.*", "ai.acme/weather"),
        ("*/weather", "ai.acme/weather"),
        ("*acme*", "ai.acme/weather"),
        ("a*e/*r", "ai.acme/weather"),
        ("ai.acme/weather*", "ai.acme/weather"),
    ] {
        assert!(matches(glob, name), "{glob} {name}");
    }
    for (glob, name) in [
        ("AI.*", "ai.acme/weather"),
        ("ai.acme", "ai.acme/weather"),
        ("*weather*weather", "ai.acme/weather"),
        ("ab*ba", "aba"),
        ("ai.acme/*", "ai.acme"),
    ] {
        assert!(!matches(glob, name), "{glob} {name}");
    }
    assert!(["", "a?", "[a]", "a b", "ä"].into_iter().all(|text| Glob::parse(text).is_err()));
    assert!(Glob::parse(&"*".repeat(201)).is_err());
}
