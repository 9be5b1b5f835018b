//! Files that hold a secret: written for their owner alone.

use super::Failure;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;

/// Writes a new file with `text` and a line end.
///
/// # Errors
/// A file of that name that exists already is left alone.
pub(crate) fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let options = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).to_owned();
    let written = options.open(path).and_then(|mut file| {
        file.write_all(format!("{}\n", text.trim_end()).as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::usage(format!("cannot create {}: {error}", path.display())))
}

/// Replaces the text of a file that [`create`] has made; its mode stays.
pub(crate) fn fill(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, format!("{}\n", text.trim_end()))
        .map_err(|error| Failure::refused(format!("cannot write {}: {error}", path.display())))
}

/// The text of a file, without white space around it.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().to_owned())
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_for_its_owner_and_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create(&path, "one").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = create(&path, "two").unwrap_err();
        assert!(refused.message.contains("exists"), "{}", refused.message);
        assert_eq!(read(&path).unwrap(), "one");
        fill(&path, "three").unwrap();
        assert_eq!(read(&path).unwrap(), "three");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
