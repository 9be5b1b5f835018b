#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use clap::error::ErrorKind;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(line.split(' '));
    matches.and_then(|matches| Cli::from_arg_matches(&matches))
}

fn refusal(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

/// Every command that can be run, with the words that lead to it.
fn leaves(command: &clap::Command, path: &str, into: &mut Vec<(String, clap::Command)>) {
    let path = format!("{path} {}", command.get_name());
    if !command.is_subcommand_required_set() {
        into.push((path.trim().to_owned(), command.clone()));
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        leaves(inner, &path, into);
    }
}

fn all() -> Vec<(String, clap::Command)> {
    let mut all = Vec::new();
    leaves(&command(), "", &mut all);
    all
}

#[test]
fn the_definition_of_all_verbs_is_sound() {
    command().debug_assert();
}

#[test]
fn every_command_has_a_sentence_an_example_and_the_exit_codes() {
    for (path, mut command) in all() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 10, "{path}: {about}");
        let help = command.render_long_help().to_string();
        let example = help.split("Example:\n").nth(1).unwrap_or_default();
        assert!(example.contains(&path), "{path}:\n{help}");
        assert!(help.contains("hard stop: the cluster forbids"), "{path}:\n{help}");
    }
}

#[test]
fn the_verbs_are_those_that_are_documented() {
    let paths: Vec<_> =
        all().into_iter().map(|(path, _)| path.trim_start_matches("hapi-registry ").to_owned()).collect();
    insta::assert_snapshot!(paths.join("\n"), @r"
    serve
    dev
    bootstrap
    publish
    publisher-token dns
    publisher-token http
    validate
    import
    mirror
    mirror add
    mirror list
    mirror status
    mirror remove
    servers list
    servers search
    servers get
    servers versions
    servers edit
    servers set-status
    connect
    verify
    introspect
    revocations
    moderate suspend
    moderate quarantine
    moderate revoke
    moderate reinstate
    moderate approve
    moderate verify
    moderate unverify
    moderate requests
    moderate confirm
    moderate reject
    moderate list
    tokens create
    tokens list
    tokens show
    tokens revoke
    identity-providers put
    identity-providers list
    identity-providers show
    identity-providers remove
    clients put
    clients list
    clients show
    tenants put
    tenants list
    namespaces private
    namespaces public
    keys list
    keys rotate
    keys retire
    keys revoke
    settings get
    settings set
    audit
    audit export
    audit verify
    events
    webhooks list
    webhooks create
    webhooks change
    webhooks remove
    cluster status
    cluster checkpoint
    cluster secrets
    cluster remove
    cluster transfer-leader
    cluster seal
    backup
    restore
    restore confirm
    recover
    health
    doctor
    load
    completions
    man
    ");
}

#[test]
fn a_token_is_never_an_argument() {
    for (path, command) in all() {
        assert!(command.get_arguments().all(|arg| arg.get_long() != Some("token")), "{path}");
    }
}

#[test]
fn a_node_may_be_named_several_times_or_with_commas() {
    let line = "hapi-registry servers search weather --node http://a --node http://b,http://c";
    let parsed = format!("{:?}", parse(line).unwrap());
    assert!(parsed.contains(r#"nodes: ["http://a", "http://b", "http://c"]"#), "{parsed}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    for (line, part) in [
        ("hapi-registry moderate suspend ai.acme --reason x", "KIND/ID"),
        ("hapi-registry moderate suspend server/ai.acme --reason x", "ai.acme"),
        ("hapi-registry moderate suspend server/ai.acme/pay", "--reason"),
        ("hapi-registry tokens create --role king", "king"),
        ("hapi-registry tokens create --role client --client a --expires-in soon", "30d"),
        ("hapi-registry connect a/b --var region", "NAME=VALUE"),
        ("hapi-registry settings set governed", "KEY=VALUE"),
        ("hapi-registry verify x --jwks keys.json", "--issuer"),
        ("hapi-registry load --server weather", "no slash"),
        ("hapi-registry dev --nodes 0", "1..=9"),
        ("hapi-registry clients put Billing", "Billing"),
        ("hapi-registry namespaces private a/b", "namespace"),
        ("hapi-registry keys revoke abc", "--reason"),
        ("hapi-registry mirror remove Official", "Official"),
        ("hapi-registry mirror add --include a?b", "a?b"),
        ("hapi-registry audit --limit 0", "1.."),
        ("hapi-registry audit --limit 9 --follow", "cannot be used"),
        ("hapi-registry webhooks create Pager --url https://a.example", "Pager"),
        ("hapi-registry events --limit 9 --follow", "cannot be used"),
        ("hapi-registry audit verify --jwks keys.json", "--issuer"),
        ("hapi-registry completions tcsh", "fish"),
    ] {
        assert!(refusal(line).contains(part), "{line}: {}", refusal(line));
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn a_key_whose_thumbprint_begins_with_a_hyphen_can_be_named() {
    let parsed = format!("{:?}", parse("hapi-registry keys revoke -zbLsXh8 --reason stolen").unwrap());
    assert!(parsed.contains(r#"key: "-zbLsXh8", reason: "stolen""#), "{parsed}");
}

#[test]
fn a_mistyped_verb_is_answered_with_the_nearest() {
    let error = parse("hapi-registry serv").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSubcommand);
    assert!(error.to_string().contains("serve"), "{error}");
}
