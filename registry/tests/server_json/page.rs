//! Pages: text files of blocks, each an input, a line `----`, and what came of it.
//!
//! Lines that begin with `#` are for the reader. `UPDATE=1` writes what came of each input into the
//! file, to be read as a diff.

use std::{fmt::Write as _, fs, path::PathBuf};

/// Runs every block of the page `name` and compares.
pub(crate) fn check(name: &str, run: impl Fn(&str) -> String) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server_json/pages")).join(name);
    let page = fs::read_to_string(&path).unwrap();
    let rerun: Vec<String> = page.trim_end().split("\n\n").map(|block| rerun(block, &run)).collect();
    let rerun = rerun.join("\n\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(&path, &rerun).unwrap();
    }
    let differing =
        rerun.split("\n\n").zip(page.trim_end().split("\n\n")).filter(|(is, was)| is.trim_end() != *was);
    let report = differing.fold(String::new(), |mut report, (is, was)| {
        write!(report, "\n--- the page says\n{was}\n+++ but it is\n{is}\n").unwrap();
        report
    });
    assert!(report.is_empty(), "{name}:{report}");
}

/// The block as it should read.
fn rerun(block: &str, run: impl Fn(&str) -> String) -> String {
    let (script, _) = block.split_once("\n----").unwrap_or_else(|| panic!("a block without `----`: {block}"));
    let lines = script.lines().filter(|line| !line.starts_with('#'));
    let input = lines.collect::<Vec<_>>().join("\n");
    format!("{script}\n----\n{}", run(&input).trim_end())
}
