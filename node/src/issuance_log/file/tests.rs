#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use crate::issuance_log::OnFailure;
use std::{os::unix::fs::PermissionsExt, path::Path};

fn settings(folder: &Path) -> Settings {
    Settings {
        folder: folder.join("issuance"),
        durability: Durability::Os,
        rotate_bytes: 10,
        keep_files: 2,
        on_failure: OnFailure::Refuse,
    }
}

fn open(settings: Settings) -> io::Result<LogFile> {
    LogFile::open(settings, IntCounter::new("rotations", "rotations").unwrap())
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("issuance").join(name)).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder.join("issuance")).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Waits until the log has rested; says what the first try after that gave.
fn after_rest(log: &mut LogFile, lines: &[u8]) -> io::Result<()> {
    let until = log.rest.unwrap().until;
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    log.append(lines)
}

#[test]
fn folder_and_file_are_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    open(settings(folder.path())).unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("issuance"), mode("issuance/issuance.jsonl")), (0o700, 0o600));
}

#[test]
fn a_full_file_is_put_aside_and_the_oldest_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(settings(folder.path())).unwrap();
    for lines in ["1234\n", "5678\n", "a\n", "more than ten\n", "b\n", "c\n"] {
        log.append(lines.as_bytes()).unwrap();
    }
    assert_eq!(names(folder.path()), ["issuance.2.jsonl", "issuance.3.jsonl", "issuance.jsonl"]);
    assert_eq!(read(folder.path(), "issuance.2.jsonl"), "a\n");
    assert_eq!(read(folder.path(), "issuance.3.jsonl"), "more than ten\n");
    assert_eq!(read(folder.path(), "issuance.jsonl"), "b\nc\n");
    assert_eq!(log.rotations.get(), 3);
}

#[test]
fn a_lower_bound_holds_from_the_start_and_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(settings(folder.path())).unwrap();
    for _ in 0..4 {
        log.append(b"0123456789\n").unwrap();
    }
    drop(log);
    let mut log = open(Settings { keep_files: 1, ..settings(folder.path()) }).unwrap();
    assert_eq!(names(folder.path()), ["issuance.3.jsonl", "issuance.jsonl"]);
    log.append(b"0123456789\n").unwrap();
    assert_eq!(names(folder.path()), ["issuance.4.jsonl", "issuance.jsonl"]);
}

#[test]
fn nothing_is_put_aside_where_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(Settings { keep_files: 0, ..settings(folder.path()) }).unwrap();
    log.append(b"0123456789\n").unwrap();
    log.append(b"a\n").unwrap();
    assert_eq!(names(folder.path()), ["issuance.jsonl"]);
    assert_eq!(read(folder.path(), "issuance.jsonl"), "a\n");
}

#[test]
fn a_torn_line_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(settings(folder.path())).unwrap();
    log.append(b"{}\n{\"at").unwrap();
    drop(log);
    for _ in 0..2 {
        open(settings(folder.path())).unwrap();
    }
    let mut log = open(Settings { rotate_bytes: 100, ..settings(folder.path()) }).unwrap();
    log.append(b"[]\n").unwrap();
    assert_eq!(read(folder.path(), "issuance.jsonl"), "{}\n{\"at\n[]\n");
}

#[test]
fn a_short_write_is_cut_back_to_what_was_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(Settings { rotate_bytes: 100, ..settings(folder.path()) }).unwrap();
    log.append(b"one\n").unwrap();
    let short = |file: &mut File, lines: &[u8]| {
        file.write_all(&lines[..6])?;
        Err(ErrorKind::StorageFull.into())
    };
    assert_eq!(log.append_by(b"two\nthree\n", short).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(read(folder.path(), "issuance.jsonl"), "one\n");
    assert!(log.append(b"too soon\n").is_err());
    after_rest(&mut log, b"four\n").unwrap();
    assert_eq!(read(folder.path(), "issuance.jsonl"), "one\nfour\n");
    assert!(log.rest.is_none());
}

#[test]
fn rests_grow_up_to_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(settings(folder.path())).unwrap();
    let mut rests = Vec::new();
    for _ in 0..8 {
        log.give_up();
        rests.push(log.rest.unwrap().length);
    }
    assert_eq!((rests[0], rests[1]), (FIRST_REST, FIRST_REST * 2));
    assert_eq!(rests[7], LONGEST_REST);
}

#[test]
fn a_rotation_that_fails_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(Settings { keep_files: 1, ..settings(folder.path()) }).unwrap();
    // No file can be removed here, not even by root.
    let obstacle = folder.path().join("issuance/issuance.1.jsonl");
    fs::create_dir(&obstacle).unwrap();
    log.append(b"0123456789\n").unwrap();
    log.append(b"a\n").unwrap_err();
    fs::remove_dir(&obstacle).unwrap();
    after_rest(&mut log, b"b\n").unwrap();
    assert_eq!(read(folder.path(), "issuance.1.jsonl"), "0123456789\n");
    assert_eq!(read(folder.path(), "issuance.jsonl"), "b\n");
}

#[test]
fn a_folder_that_is_a_file_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("issuance"), "").unwrap();
    assert!(open(settings(folder.path())).is_err());
}
