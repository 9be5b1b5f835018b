//! Where the program under test is.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The `hapi-registry` binary: the one that `HAPI_BINARY` names, else the debug build, brought up to date.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("HAPI_BINARY") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// A command of that binary, with no setting of our own environment.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    let ours =
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("HAPI_"));
    for name in ours {
        command.env_remove(name);
    }
    command
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "hapi-registry"])
        .current_dir(&root)
        .status()
        .unwrap_or_else(|error| panic!("cargo cannot be run: {error}"));
    assert!(status.success(), "hapi-registry does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("debug/hapi-registry")
}
