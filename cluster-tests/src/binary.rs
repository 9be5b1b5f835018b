//! Where the program under test is.

use crate::Site;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Which build of the program a node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binary {
    /// As it is shipped.
    #[default]
    Plain,
    /// With the feature `fault-injection`, which reads `HAPI_FAULTS`.
    Faulty,
}

impl Binary {
    /// The file: the one that the environment names, else the debug build, brought up to date.
    pub fn path(self) -> &'static Path {
        static PLAIN: OnceLock<PathBuf> = OnceLock::new();
        static FAULTY: OnceLock<PathBuf> = OnceLock::new();
        let (found, variable) = match self {
            Self::Plain => (&PLAIN, "HAPI_BINARY"),
            Self::Faulty => (&FAULTY, "HAPI_FAULTY_BINARY"),
        };
        found.get_or_init(|| std::env::var_os(variable).map_or_else(|| self.build(), PathBuf::from))
    }

    /// A command of that binary, with no setting of our own environment; in the network of `site`, if given, or else as
    /// what the words of `under` run.
    pub(crate) fn command(self, site: Option<&Site>, under: &[String]) -> Command {
        let mut command = match (site, under.split_first()) {
            (Some(site), _) => site.command(self.path()),
            (None, None) => Command::new(self.path()),
            (None, Some((program, arguments))) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(self.path());
                command
            }
        };
        let ours = std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| name.to_string_lossy().starts_with("HAPI_"));
        for name in ours {
            command.env_remove(name);
        }
        command
    }

    /// Both builds leave their result under one name, so each is copied away before anybody makes the other.
    fn build(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = target.join("harness");
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let lock = File::create(folder.join("lock")).expect("the target folder can be written");
        flock(&lock, FlockOperation::LockExclusive).expect("a file can be locked");
        let name = match self {
            Self::Plain => "plain-hapi-registry",
            Self::Faulty => "faulty-hapi-registry",
        };
        self.make(&root);
        // Renamed into place: a node of another test may be running the copy that was there before.
        let (made, coming) = (folder.join(name), folder.join(format!("{name}.{}", std::process::id())));
        fs::copy(target.join("debug/hapi-registry"), &coming).expect("the binary can be copied");
        fs::rename(&coming, &made).expect("the binary can be put in place");
        if self == Self::Faulty {
            // Tests of other packages take what lies under the usual name for the plain build.
            Self::Plain.make(&root);
        }
        made
    }

    /// Lets cargo bring the build up to date and put it under its usual name. The whole workspace and an example are
    /// named so that features are united as for its tests: else half of the dependencies would be built twice.
    fn make(self, root: &Path) {
        let features: &[_] = match self {
            Self::Plain => &[],
            Self::Faulty => &["--features", "hapi-registry/fault-injection"],
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--workspace", "--bin", "hapi-registry", "--example", "ceiling"])
            .args(features)
            .current_dir(root)
            .status()
            .unwrap_or_else(|error| panic!("cargo cannot be run: {error}"));
        assert!(status.success(), "hapi-registry does not build {features:?}");
    }
}

/// The binary as it is shipped.
pub fn binary() -> &'static Path {
    Binary::Plain.path()
}

/// The binary that reads `HAPI_FAULTS`.
pub fn faulty_binary() -> &'static Path {
    Binary::Faulty.path()
}

/// A command of the plain binary, with no setting of our own environment.
pub fn command() -> Command {
    command_under(&[])
}

/// The same, as what the words of `under` run.
pub fn command_under(under: &[String]) -> Command {
    Binary::Plain.command(None, under)
}
