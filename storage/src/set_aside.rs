//! Putting the content of a data folder aside, so that the same folder can be begun anew.
//!
//! First it is written down that the content is to go ([`condemn`]); at the next start it goes ([`set_aside`]).
//! Between the two nothing may be lost or half gone, whenever the process ends: the note is removed last, and
//! until then every start finishes the move.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    OpenError,
    folder::{self, Folder},
};

/// The note: its first line is the name under which the rest is kept, the others are for whoever lives here next.
const NOTE: &str = "set-aside";

/// Where the latter are found afterwards, among the things put aside.
const LEGACY: &str = "legacy";

/// What every folder of things put aside begins with.
const PREFIX: &str = "removed-";

/// Held by processes or written by this module: it stays where it is.
const STAYS: [&str; 3] = ["lock", "slot.lock", NOTE];

/// Writes down that the content of `dir` is to be put aside at the next start, as `removed-<name>`, and what whoever
/// lives there afterwards is to know: lines for [`legacy`].
///
/// # Errors
/// Fails when the disk refuses; nothing is noted then.
pub fn condemn(dir: &Path, name: &str, legacy: &[String]) -> io::Result<()> {
    let temporary = dir.join("set-aside.new");
    let lines: Vec<&str> = [name].into_iter().chain(legacy.iter().map(String::as_str)).collect();
    fs::write(&temporary, lines.join("\n"))?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, dir.join(NOTE))?;
    folder::sync(dir)
}

/// Puts the content of `dir` aside if that was written down, and yields where it is now.
///
/// # Errors
/// Refuses a folder that is in use, or in which files cannot be moved; the next start tries again.
pub fn set_aside(dir: &Path) -> Result<Option<PathBuf>, OpenError> {
    if !dir.join(NOTE).exists() {
        return Ok(None);
    }
    let _locked = Folder::lock(dir)?;
    let moved = move_content(dir).map_err(|source| OpenError::Unwritable { dir: dir.to_owned(), source })?;
    Ok(Some(moved))
}

/// If something was put aside in `dir` before, the lines that were left with it.
///
/// # Errors
/// Fails when the disk refuses.
pub fn legacy(dir: &Path) -> io::Result<Option<Vec<String>>> {
    let mut found = None;
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if is_put_aside(&entry.file_name()) {
            let text = fs::read_to_string(entry.path().join(LEGACY)).unwrap_or_default();
            found.get_or_insert_with(Vec::new).extend(text.lines().map(str::to_owned));
        }
    }
    Ok(found)
}

fn move_content(dir: &Path) -> io::Result<PathBuf> {
    let note = fs::read_to_string(dir.join(NOTE))?;
    let (name, legacy) = note.split_once('\n').unwrap_or((&note, ""));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(io::Error::other(format!("the file {NOTE} does not hold a name: {name:?}")));
    }
    let target = dir.join(format!("{PREFIX}{name}"));
    fs::create_dir_all(&target)?;
    fs::write(target.join(LEGACY), legacy)?;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !STAYS.iter().any(|stays| name == *stays) && !is_put_aside(&name) {
            fs::rename(dir.join(&name), target.join(&name))?;
        }
    }
    folder::sync(&target)?;
    folder::sync(dir)?;
    fs::remove_file(dir.join(NOTE))?;
    folder::sync(dir)?;
    Ok(target)
}

fn is_put_aside(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lock", "slot.lock", "watermark", "peer.key"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir_all(dir.path().join("snapshots")).unwrap();
        fs::write(dir.path().join("snapshots/one"), "1").unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_was_condemned_is_put_aside_and_all_of_it() {
        let dir = used();
        assert_eq!(set_aside(dir.path()).unwrap(), None);
        assert_eq!(legacy(dir.path()).unwrap(), None);
        condemn(dir.path(), "00ff", &["one:1".to_owned(), "two:2".to_owned()]).unwrap();
        let target = set_aside(dir.path()).unwrap().unwrap();
        assert_eq!(names(&target), ["legacy", "peer.key", "snapshots", "watermark"]);
        assert_eq!(fs::read_to_string(target.join("snapshots/one")).unwrap(), "1");
        assert_eq!(names(dir.path()), ["lock", "removed-00ff", "slot.lock"]);
        assert_eq!(legacy(dir.path()).unwrap(), Some(vec!["one:1".to_owned(), "two:2".to_owned()]));
        assert_eq!(set_aside(dir.path()).unwrap(), None, "once");
    }

    #[test]
    fn a_move_that_a_crash_cut_short_is_finished() {
        let dir = used();
        condemn(dir.path(), "00ff", &[]).unwrap();
        let target = dir.path().join("removed-00ff");
        fs::create_dir(&target).unwrap();
        fs::rename(dir.path().join("watermark"), target.join("watermark")).unwrap();
        assert_eq!(set_aside(dir.path()).unwrap(), Some(target.clone()));
        assert_eq!(names(&target), ["legacy", "peer.key", "snapshots", "watermark"]);
    }

    #[test]
    fn a_second_life_is_put_aside_beside_the_first() {
        let dir = used();
        condemn(dir.path(), "01", &[]).unwrap();
        set_aside(dir.path()).unwrap();
        fs::write(dir.path().join("watermark"), "2").unwrap();
        condemn(dir.path(), "02", &[]).unwrap();
        set_aside(dir.path()).unwrap();
        assert_eq!(names(dir.path()), ["lock", "removed-01", "removed-02", "slot.lock"]);
        assert_eq!(fs::read_to_string(dir.path().join("removed-02/watermark")).unwrap(), "2");
    }

    #[test]
    fn a_folder_that_a_process_has_open_and_a_note_that_leads_elsewhere_are_refused() {
        let dir = used();
        condemn(dir.path(), "01", &[]).unwrap();
        let open = Folder::lock(dir.path()).unwrap();
        assert!(matches!(set_aside(dir.path()), Err(OpenError::Locked { .. })));
        drop(open);
        fs::write(dir.path().join(NOTE), "../elsewhere").unwrap();
        assert!(matches!(set_aside(dir.path()), Err(OpenError::Unwritable { .. })));
    }
}
