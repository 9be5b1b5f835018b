//! Pages: text files of blocks, each a script, a line `----`, and what came of it.
//!
//! Lines that begin with `#` are for the reader; a block of nothing else is a heading.

use std::{fmt::Write as _, fs, path::PathBuf};

const RULE: &str = "----";

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"))
}

/// The names of all pages, in order.
pub(crate) fn all() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".txt"));
    names.sort();
    names
}

/// The lines of a page that are to be performed.
pub(crate) fn script_of(name: &str) -> Vec<String> {
    blocks(&read(name)).iter().flat_map(|block| script(block)).map(str::to_owned).collect()
}

/// Performs the page anew. Answers with what differs, or writes the page when `UPDATE` is set.
pub(crate) fn check(name: &str, mut perform: impl FnMut(&str) -> String) -> Option<String> {
    let page = read(name);
    let was = blocks(&page);
    let is: Vec<String> = was.iter().map(|block| replay(block, &mut perform)).collect();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(folder().join(name), is.join("\n\n") + "\n").unwrap();
        return None;
    }
    let mut report = String::new();
    for (was, is) in was.iter().zip(&is).filter(|(was, is)| was != is) {
        write!(report, "\n{name} says\n{was}\n\nbut it is\n{is}\n").unwrap();
    }
    (!report.is_empty()).then_some(report)
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn blocks(page: &str) -> Vec<&str> {
    page.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).collect()
}

fn script(block: &str) -> impl Iterator<Item = &str> {
    block.lines().take_while(|line| *line != RULE).filter(|line| !line.starts_with('#'))
}

/// The block as it should read.
fn replay(block: &str, perform: &mut impl FnMut(&str) -> String) -> String {
    let lines: Vec<String> = script(block)
        .map(&mut *perform)
        .map(|text| text.trim_end().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    let head = block.split(&format!("\n{RULE}")).next().unwrap_or(block);
    if script(block).next().is_none() {
        return head.to_owned();
    }
    format!("{head}\n{RULE}\n{}", lines.join("\n")).trim_end().to_owned()
}
