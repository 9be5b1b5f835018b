//! What no input may break.

use crate::real_data;
use hapi_registry_state::{
    Endpoint, Glob, Rules, ServerJson, Severity, Strictness, UrlTemplate, Variable, Version, validate,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The obvious matcher, exponential and right.
fn naive(glob: &[u8], name: &[u8]) -> bool {
    match (glob, name) {
        ([], []) => true,
        ([b'*', glob @ ..], name) => {
            naive(glob, name)
                || name.split_first().is_some_and(|(_, rest)| naive(&[b"*", glob].concat(), rest))
        }
        ([a, glob @ ..], [b, name @ ..]) => a == b && naive(glob, name),
        _ => false,
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let strictness = prop_oneof![Just(Strictness::Publish), Just(Strictness::Import)];
    (strictness, any::<bool>())
        .prop_map(|(strictness, allow_insecure_endpoints)| Rules { strictness, allow_insecure_endpoints })
}

/// A template over three variables, of pieces that have tripped URL parsers before.
fn template() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "{a}", "{b}", "{c}", ".", "..", "%2e", "%2E", "%2", "a", "?", "&", "=", "@", ":", "//", "%41",
    ]);
    let host = prop::sample::select(vec!["h.example", "{h}.example", "h.example:{p}", "H.EXAMPLE.", "{h}"]);
    (host, prop::collection::vec(piece, 0..8))
        .prop_map(|(host, tail)| format!("https://{host}/{}", tail.concat()))
}

fn declared() -> BTreeMap<String, Variable> {
    let choices = |choices: &[&str]| Variable {
        choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
        ..Variable::default()
    };
    let free = ["a", "b", "c"].map(|name| (name.to_owned(), Variable::default()));
    let fixed = [("h", choices(&["eu.x", "us.x"])), ("p", choices(&["1", "443"]))];
    free.into_iter().chain(fixed.map(|(name, variable)| (name.to_owned(), variable))).collect()
}

fn values() -> impl Strategy<Value = BTreeMap<String, String>> {
    let value = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "a",
            ".",
            "..",
            "/",
            "../",
            "2e",
            "e",
            "@evil.com",
            "?x",
            "#",
            "\\",
            "%2e%2e"
        ])
        .prop_map(str::to_owned),
    ];
    (value.clone(), value.clone(), value, "eu.x|us.x|evil.com", "1|443|80").prop_map(|(a, b, c, h, p)| {
        [("a", a), ("b", b), ("c", c), ("h", h), ("p", p)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    })
}

fn version() -> impl Strategy<Value = (Version, u64)> {
    let text =
        prop_oneof!["v?[0-2]\\.[0-2]\\.[0-2](-(a|[0-9]|rc\\.[0-9]{1,2}))?(\\+[ab])?", "[a-c0-2.]{1,5}"];
    (text.prop_filter_map("a version", |text| Version::parse_imported(&text).ok()), 0..3u64)
}

proptest! {
    #[test]
    fn no_bytes_make_parsing_panic(raw in prop::collection::vec(any::<u8>(), 0..200), rules in rules()) {
        let errors = validate(&raw, rules).iter().filter(|issue| issue.severity == Severity::Error).count();
        prop_assert_eq!(ServerJson::parse(&raw, rules).is_err(), errors > 0);
    }

    #[test]
    fn a_glob_matches_as_the_obvious_matcher_does(glob in "[ab/*]{1,8}", name in "[ab/]{0,10}") {
        let matches = Glob::parse(&glob).unwrap().matches(&name);
        prop_assert_eq!(matches, naive(glob.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn versions_are_totally_ordered(a in version(), b in version(), c in version()) {
        let compare = |x: &(Version, u64), y: &(Version, u64)| Version::compare((&x.0, x.1), (&y.0, y.1));
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
        if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
            prop_assert!(compare(&a, &c).is_le(), "{a:?} {b:?} {c:?}");
        }
    }

    #[test]
    fn normalising_is_done_once_and_for_all(text in "https?://[A-Za-z.]{1,8}(:[0-9]{1,4})?(/[a-zA-Z0-9%.~@:?&=-]{0,6}){0,4}") {
        if let Ok(endpoint) = Endpoint::parse(&text) {
            prop_assert_eq!(endpoint.as_written(), &*text);
            let again = Endpoint::parse(endpoint.normalised()).unwrap();
            prop_assert_eq!(again.normalised(), endpoint.normalised());
            prop_assert!(endpoint.normalised().starts_with(endpoint.origin()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_values_lead_away_from_the_template(text in template(), values in values()) {
        let Ok(template) = UrlTemplate::parse(&text, &declared(), false) else { return Ok(()) };
        let Ok(endpoint) = template.expand(&values, &declared()) else { return Ok(()) };
        // Judged by the `url` crate alone, not by our own normalisation.
        let written = url::Url::parse(endpoint.as_written()).unwrap();
        let hosts = ["h.example", "H.EXAMPLE.", "eu.x", "us.x", "eu.x.example", "us.x.example"].map(str::to_lowercase);
        prop_assert!(hosts.contains(&written.host_str().unwrap().to_owned()), "{}", written);
        prop_assert_eq!((written.username(), written.password(), written.fragment()), ("", None, None));
        prop_assert!(template.origin_choices().iter().any(|origin| origin == endpoint.origin()));
        prop_assert!(template.matches(&endpoint));
        let literal = text[..text.find('{').unwrap_or(text.len())].replace("H.EXAMPLE.", "h.example");
        if text.contains("/{") && !literal.contains('%') && literal.len() > "https://h.example/".len() {
            prop_assert!(endpoint.normalised().starts_with(&literal), "{} {:?}", text, endpoint);
        }
    }
}

#[test]
fn no_change_of_a_real_entry_makes_parsing_panic() {
    let Some(list) = real_data::registry() else { return };
    let documents = real_data::documents(&list);
    let changed = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), rules());
    proptest!(|((document, at, byte, rules) in changed)| {
        let mut bytes = document.get(&documents).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(parsed) = ServerJson::parse(&bytes, rules) {
            prop_assert_eq!(parsed.server.raw(), &bytes[..]);
        }
        prop_assert!(ServerJson::parse(&bytes[..at], rules).is_err(), "a cut text was taken");
    });
}
