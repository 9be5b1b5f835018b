//! The walk-through: lines to copy into another terminal, each with what to expect.

use super::folder::Folder;
use super::plan::Plan;
use super::tokens::variable;
use crate::cli::{Failure, sample};
use hapi_registry_state::Role;
use std::path::Path;

/// What a granted connect answers.
const GRANTED: &str = r#"200, "descriptor":"eyJ…""#;

/// A call of a tool as MCP 2026-07-28 has it: one request that says all there is to say.
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"moon_phase","arguments":{"date":"2025-03-14"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"curl","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// One line to run.
struct Step {
    /// What it shows.
    about: String,
    /// A line for any POSIX shell that needs nothing of the lines before.
    line: String,
    /// What comes back.
    expect: &'static str,
}

/// The walk-through. Lines to run begin with two spaces, a dollar sign and a space.
pub(super) fn text(folder: &Folder, plan: &Plan) -> Result<String, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::refused(format!("the path of this program cannot be told: {error}")))?;
    let walk = Walk {
        program: quoted(&program),
        tokens: quoted(&folder.tokens()),
        descriptor: quoted(&folder.descriptor()),
        plan,
    };
    let steps = walk
        .steps()
        .into_iter()
        .map(|step| format!("{}\n  $ {}\n    # → {}\n\n", step.about, step.line, step.expect));
    let (urls, root) = (plan.urls().join("  "), folder.root().display());
    let console =
        plan.urls().first().map(|url| format!("The console, for whoever has a token: {url}/console\n"));
    let console = console.unwrap_or_default();
    let head =
        format!("\nThe cluster is ready: {urls}\n{console}Logs and data are in {root}. Ctrl-C stops it.");
    let joining = match plan.nodes.len() - usize::from(plan.formed_by) {
        0 => String::new(),
        later => {
            format!("\nThe last {later} joined later: a new one issues when its key is known for a minute.")
        }
    };
    Ok(format!("{head}{joining}\n\nTry this in another terminal:\n\n{}", steps.collect::<String>()))
}

struct Walk<'a> {
    program: String,
    tokens: String,
    descriptor: String,
    plan: &'a Plan,
}

impl Walk<'_> {
    fn steps(&self) -> Vec<Step> {
        self.find().into_iter().chain(self.govern()).collect()
    }

    /// What clients do.
    fn find(&self) -> [Step; 5] {
        let (one, two, program) = (self.plan.url(1), self.plan.url(2), &self.program);
        let connect = format!("connect {} --node {one} --output json", sample::STAR);
        let keep =
            format!("connect {} --node {one} --ttl 120 | tail -n 1 >{}", sample::STAR, self.descriptor);
        let verify = format!("{program} verify - --node {two}");
        [
            step(
                "Search the catalog.",
                format!("curl -s '{one}/v0.1/servers?search=almanac'"),
                r#"200, with "connectable":true"#,
            ),
            step(
                "The same as a table.",
                format!("{program} servers search almanac --node {one}"),
                "example.hapi/almanac, verified and connectable",
            ),
            step("Ask node 1 whether this client may connect.", self.connect(&one), GRANTED),
            step(
                "Verify a descriptor of node 1 with the keys that node 2 publishes.",
                format!("{} {program} {connect} | {verify}", self.with(Role::Client)),
                "valid",
            ),
            step(
                "Take a descriptor to the MCP server itself, which asks nobody, and call a tool.",
                format!("{} {program} {keep} && {}", self.with(Role::Client), self.call()),
                r#"200, "phase":"full moon""#,
            ),
        ]
    }

    /// What moderators do, and what comes of it on every node.
    fn govern(&self) -> [Step; 6] {
        let (one, two, three) = (self.plan.url(1), self.plan.url(2), self.plan.url(3));
        let status = format!("{} cluster status --node {two}", self.program);
        [
            step("Suspend the server on node 2.", self.moderate("suspend", &two), "suspend: done at index N"),
            step("Ask node 3.", self.connect(&three), r#"403, "code":"server_revoked""#),
            step(
                "Call the tool with the descriptor that is still out: within a second the server refuses it.",
                format!("sleep 1; {}", self.call()),
                r#"403, "code":"descriptor_revoked" (401 once its two minutes are over)"#,
            ),
            step("Reinstate it on node 1.", self.moderate("reinstate", &one), "reinstate: done at index N"),
            step("Ask node 3 again.", self.connect(&three), GRANTED),
            step(
                "Look at the cluster.",
                format!("{} {status}", self.with(Role::Auditor)),
                "one line for each node, one of them the leader",
            ),
        ]
    }

    /// Reads the tokens and makes that of `role` the caller's.
    fn with(&self, role: Role) -> String {
        format!(". {} && export HAPI_TOKEN=\"${}\" &&", self.tokens, variable(role))
    }

    fn connect(&self, node: &str) -> String {
        format!(
            ". {} && curl -s -w '\\n%{{http_code}}\\n' -H \"Authorization: Bearer ${}\" \
             -H 'Content-Type: application/json' -d '{{\"server_ref\":\"{}\"}}' {node}/v1/connect",
            self.tokens,
            variable(Role::Client),
            sample::STAR
        )
    }

    /// Calls the tool with the descriptor that was kept.
    fn call(&self) -> String {
        format!(
            "curl -s -w '\\n%{{http_code}}\\n' -H \"MCP-Connect: $(cat {})\" -H 'Content-Type: application/json' \
             -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' \
             -H 'Mcp-Method: tools/call' -H 'Mcp-Name: moon_phase' -d '{CALL}' {}",
            self.descriptor,
            self.plan.almanac_url()
        )
    }

    fn moderate(&self, act: &str, node: &str) -> String {
        let with = self.with(Role::Moderator);
        format!(
            "{with} {} moderate {act} server/{} --reason 'trying it out' --node {node}",
            self.program,
            sample::STAR
        )
    }
}

fn step(about: &str, line: String, expect: &'static str) -> Step {
    Step { about: about.to_owned(), line, expect }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+".contains(char);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn every_line_to_run_stands_alone_and_says_what_to_expect() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), false).unwrap();
        let plan = Plan::of(&folder, None, 7400).unwrap();
        let text = text(&folder, &plan).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let runs: Vec<_> = (0..lines.len()).filter(|at| lines[*at].starts_with("  $ ")).collect();
        assert_eq!(runs.len(), 11);
        for at in runs {
            assert!(lines[at + 1].starts_with("    # → "), "{}", lines[at]);
            let uses_token = lines[at].contains("_TOKEN");
            assert_eq!(uses_token, lines[at].contains("tokens.env && "), "{}", lines[at]);
        }
    }

    #[test]
    fn a_shell_reads_every_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(&dir.path().join("it's mine"), false).unwrap();
        let text = text(&folder, &Plan::of(&folder, None, 7400).unwrap()).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("  $ ")) {
            let checked = std::process::Command::new("sh").args(["-n", "-c", line]).status().unwrap();
            assert!(checked.success(), "{line}");
        }
    }

    #[test]
    fn a_path_with_a_quote_is_quoted() {
        assert_eq!(quoted(Path::new("/a/b-1.0")), "/a/b-1.0");
        assert_eq!(quoted(Path::new("/it's mine")), r"'/it'\''s mine'");
    }
}
