//! Python, with other people's packages in pinned versions.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The interpreter with the pinned packages: the one that `HAPI_PYTHON` names, else one made for this repository.
/// Says loudly when there is none; the test that asked then skips.
pub fn python() -> Option<PathBuf> {
    if let Some(path) = env::var_os("HAPI_PYTHON") {
        return Some(path.into());
    }
    made(&[])
}

/// An interpreter of its own with the packages that a script of these tests asks for, beside it in its folder. Says
/// loudly when there is none; the test that asked then skips.
pub fn python_for(folder: &str) -> Option<PathBuf> {
    made(&[python_script(folder).join("requirements.txt")])
}

fn made(requirements: &[PathBuf]) -> Option<PathBuf> {
    let made =
        Command::new(in_repository("scripts/python-venv")).args(requirements).output().expect("bash runs");
    if made.status.success() {
        let path = String::from_utf8(made.stdout).expect("a path that Python lives at is text");
        return Some(path.trim().into());
    }
    let reason = String::from_utf8_lossy(&made.stderr);
    eprintln!(
        "SKIPPED: no Python with the packages of {requirements:?}, or of cluster-tests/python/requirements.txt: {reason}"
    );
    None
}

/// A script of these tests.
pub fn python_script(name: &str) -> PathBuf {
    in_repository("cluster-tests/python").join(name)
}

/// A script of the examples.
pub fn python_example(name: &str) -> PathBuf {
    in_repository("examples/python").join(name)
}

/// A file or folder of this repository.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
