//! The verbs that need no cluster, from outside; and how all others fail without one.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hapi-registry"));
    command.env_clear().args(arguments).envs(variables.iter().copied());
    command.output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The URL of a port at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn document(folder: &Path, remote: &str) -> String {
    let path = folder.join("server.json");
    let text = format!(
        r#"{{
            "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
            "name": "ai.acme/weather", "description": "The weather.", "version": "1.0.0",
            "remotes": [{{"type": "streamable-http", "url": "{remote}"}}]
        }}"#
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_document_is_judged_without_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let good = run(&["validate", &document(folder.path(), "https://weather.acme.example/mcp")], &[]);
    assert_eq!((good.status.code(), stdout(&good)), (Some(0), "valid\n"), "{}", stderr(&good));
    let file = document(folder.path(), "http://weather.acme.example/mcp");
    let bad = run(&["validate", &file], &[("HAPI_OUTPUT", "json")]);
    let report: serde_json::Value = serde_json::from_str(stdout(&bad)).unwrap();
    assert_eq!((bad.status.code(), &report["valid"]), (Some(1), &serde_json::json!(false)));
    assert_eq!(report["issues"][0]["path"], "remotes[0].url");
    let lenient = run(&["validate", &file, "--allow-insecure-endpoints"], &[]);
    assert!(lenient.status.success(), "{}", stdout(&lenient));
}

#[test]
fn nobody_answering_is_exit_code_3_and_a_failed_health_check_1() {
    let node = nobody();
    let listed = run(&["servers", "list"], &[("HAPI_NODES", &node)]);
    assert_eq!(listed.status.code(), Some(3));
    assert!(stderr(&listed).starts_with("error: no node can be reached"), "{}", stderr(&listed));
    assert!(stderr(&listed).contains("\nhint: "), "{}", stderr(&listed));
    let health = run(&["health", "--url", &node], &[]);
    assert_eq!(health.status.code(), Some(1));
    let load =
        run(&["load", "--server", "a.b/c", "--requests", "2", "--connections", "1", "--node", &node], &[]);
    assert_eq!(load.status.code(), Some(3), "{}", stderr(&load));
}

#[test]
fn a_file_that_holds_no_token_is_sent_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id_ed25519");
    std::fs::write(&file, "-----BEGIN OPENSSH PRIVATE KEY-----").unwrap();
    let refused = run(&["tokens", "list", "--token-file", file.to_str().unwrap()], &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!stderr(&refused).contains("OPENSSH"), "{}", stderr(&refused));
}

#[test]
fn a_failed_bootstrap_leaves_no_token_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, token) = (folder.path().join("secret"), folder.path().join("token"));
    std::fs::write(&secret, "q3Zs0Yb7vF1xJp9uK2mWc8RtLh4NdAe6gXiOoTzVwBk=\n").unwrap();
    let peer = nobody().replace("http://", "");
    let failed = run(
        &[
            "bootstrap",
            "--peer",
            &peer,
            "--secret-file",
            secret.to_str().unwrap(),
            "--token-file",
            token.to_str().unwrap(),
        ],
        &[],
    );
    assert_eq!(failed.status.code(), Some(3), "{}", stderr(&failed));
    assert!(!token.exists() && stdout(&failed).is_empty());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let program = env!("CARGO_BIN_EXE_hapi-registry");
    let line =
        format!("{program} serve --print-config --issuer https://a.example --secret-file x; echo $? >&2");
    let shell = Command::new("sh").args(["-c", &format!("({line}) | true")]).env_clear().output().unwrap();
    assert_eq!(stderr(&shell).trim(), "0");
}

#[test]
fn every_shell_is_given_the_names_of_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell], &[]);
        assert!(script.status.success(), "{}", stderr(&script));
        let names = ["transfer-leader", "token-file", "completions"];
        assert!(names.iter().all(|name| stdout(&script).contains(name)), "{shell}");
    }
}

#[test]
fn bash_completes_a_verb_by_its_script() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    std::fs::write(&file, run(&["completions", "bash"], &[]).stdout).unwrap();
    let line = r#"source "$0"; COMP_WORDS=(hapi-registry cluster tr) COMP_CWORD=2
        function=$(complete -p hapi-registry | sed 's/.*-F \([^ ]*\) .*/\1/')
        "$function" hapi-registry tr cluster; echo "${COMPREPLY[@]}""#;
    let bash = Command::new("bash").args(["-c", line]).arg(&file).output().unwrap();
    assert_eq!(stdout(&bash).trim(), "transfer-leader", "{}", stderr(&bash));
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_each_verb() {
    let page = run(&["man"], &[]);
    assert!(page.status.success() && stdout(&page).contains(".TH hapi-registry 1"), "{}", stderr(&page));
    let text = stdout(&page);
    assert!(text.contains("hard stop") && !text.contains("registry\\-help"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let written = run(&["man", "--dir", pages.to_str().unwrap()], &[]);
    assert_eq!((written.status.code(), stdout(&written)), (Some(0), ""), "{}", stderr(&written));
    let page = std::fs::read_to_string(pages.join("hapi-registry-cluster-seal.1")).unwrap();
    assert!(page.contains("hapi\\-registry cluster seal 17") && page.contains("HAPI_NODES"), "{page}");
    assert!(pages.join("hapi-registry.1").exists() && !pages.join("hapi-registry-help.1").exists());
    let refused = run(&["man", "--dir", "/proc/nowhere"], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
}

#[test]
fn help_goes_to_stdout_and_lists_the_exit_codes() {
    let help = run(&["connect", "--help"], &[]);
    assert!(help.status.success());
    assert!(
        stdout(&help).contains("Exit codes:") && stdout(&help).contains("hard stop"),
        "{}",
        stdout(&help)
    );
    assert_eq!(run(&["conect"], &[]).status.code(), Some(2));
}
