//! The binary's configuration, from outside: what it prints, what it refuses, and with which exit code.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

/// `hapi-registry serve` with nothing but the given arguments and variables.
fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hapi-registry"));
    command.env_clear().arg("serve").args(arguments).envs(variables.iter().copied());
    command.output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("node.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const LEAST: &str =
    "issuer = \"https://registry.example\"\ncluster.secret_file = [\"/run/secrets/cluster\"]\n";

#[test]
fn flags_win_over_variables_over_the_file_and_what_is_printed_is_a_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &format!("{LEAST}[raft]\nkeep_entries = 1\n[log]\nlevel = \"warn\"\n"));
    let variables = [("HAPI_RAFT_KEEP_ENTRIES", "2"), ("HAPI_DATA_SLOTS", "true"), ("HAPI_CONFIG", &*file)];
    let first =
        serve(&["--print-config", "--raft-keep-entries", "3", "--join", "a:1", "--join", "b:2"], &variables);
    assert!(first.status.success(), "{}", stderr(&first));
    for line in ["keep_entries = 3", "level = \"warn\"", "data_slots = true", "join = [\"a:1\", \"b:2\"]"] {
        assert!(stdout(&first).contains(line), "{line} is not in\n{}", stdout(&first));
    }
    let again = write(folder.path(), stdout(&first));
    assert_eq!(stdout(&serve(&["--print-config", "--config", &again], &[])), stdout(&first));
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest() {
    let refused = serve(&["--print-config"], &[("HAPI_CLUSTER_JOINT", "a:1")]);
    assert_eq!(refused.status.code(), Some(2));
    let first = stderr(&refused).lines().next();
    assert_eq!(first, Some("error: unknown variable HAPI_CLUSTER_JOINT: did you mean HAPI_CLUSTER_JOIN?"));
}

#[test]
fn an_unknown_key_is_refused_with_file_and_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &format!("{LEAST}[peer]\nadvertize = \"n1:7080\"\n"));
    let refused = serve(&["--config", &file], &[]);
    assert_eq!(refused.status.code(), Some(2));
    let expected =
        format!("configuration file {file}: unknown key `peer.advertize`: did you mean `peer.advertise`?");
    assert!(stderr(&refused).contains(&expected), "{}", stderr(&refused));
}

#[test]
fn every_broken_rule_is_one_line() {
    let refused = serve(&[], &[("HAPI_LEASE_DURATION_MS", "1000")]);
    let keys: Vec<_> =
        stderr(&refused).lines().filter_map(|line| line.strip_prefix("error: ")?.split(':').next()).collect();
    assert_eq!(keys, ["issuer", "cluster.secret_file", "lease.duration_ms"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_port_in_use_is_named_with_its_key_before_anything_is_written() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = write(folder.path(), LEAST);
    let arguments = ["--config", &file, "--http-listen", &address, "--data-dir", data.to_str().unwrap()];
    let refused = serve(&arguments, &[]);
    assert_eq!(refused.status.code(), Some(2));
    let expected = format!(
        "error: http.listen: the port of {address} is in use already\n\
         hint: choose another address with --http-listen or HAPI_HTTP_LISTEN\n"
    );
    assert_eq!(stderr(&refused), expected);
    assert!(!data.exists());
}

#[test]
fn a_weak_secret_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let data = folder.path().join("data");
    let refused = serve(
        &["--secret-file", secret.to_str().unwrap(), "--data-dir", data.to_str().unwrap()],
        &[
            ("HAPI_ISSUER", "https://registry.example"),
            ("HAPI_HTTP_LISTEN", "127.0.0.1:0"),
            ("HAPI_PEER_LISTEN", "127.0.0.1:0"),
        ],
    );
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("is weak") && !stderr(&refused).contains("hunter2"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn faults_that_cannot_be_injected_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), LEAST);
    let data = folder.path().join("data");
    let arguments = ["--config", &file, "--data-dir", data.to_str().unwrap()];
    let refused = serve(&arguments, &[("HAPI_FAULTS", "clock.speed=2")]);
    let expected = if cfg!(feature = "fault-injection") {
        "error: HAPI_FAULTS: unknown fault `clock.speed`: known are clock.rate=RATE"
    } else {
        "error: HAPI_FAULTS: this build injects no faults"
    };
    assert!(stderr(&refused).starts_with(expected), "{}", stderr(&refused));
    assert_eq!(refused.status.code(), Some(2));
    assert!(!data.exists());
}

#[test]
fn a_build_that_injects_faults_says_so_in_its_version() {
    let version = Command::new(env!("CARGO_BIN_EXE_hapi-registry")).arg("--version").output().unwrap();
    assert_eq!(stdout(&version).contains("(fault injection)"), cfg!(feature = "fault-injection"));
}
