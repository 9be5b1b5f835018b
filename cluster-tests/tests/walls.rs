//! The walls of the house: who may declare a dependency on whom.
//!
//! The tables say what is allowed, and `cargo metadata` what is declared. Dependencies of tests are left out: they
//! are in no binary. `deny.toml` says the same for those who have cargo-deny.

#![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// One of our crates, and those of ours that it may use.
struct House {
    name: &'static str,
    may_use: &'static [&'static str],
    why: &'static str,
}

const HOUSES: &[House] = &[
    House {
        name: "hapi-descriptor",
        may_use: &[],
        why: "whoever verifies a descriptor must need nothing but its format",
    },
    House {
        name: "hapi-guard",
        may_use: &["hapi-descriptor"],
        why: "a guard sits inside other people's servers and knows nodes only by what they publish",
    },
    House {
        name: "hapi-client",
        may_use: &["hapi-descriptor"],
        why: "a client knows nodes only by their public API",
    },
    House {
        name: "hapi-registry-state",
        may_use: &["hapi-descriptor"],
        why: "the state machine is pure: nothing that runs is below it",
    },
    House { name: "hapi-storage", may_use: &[], why: "storage keeps entries without knowing what they say" },
    House {
        name: "hapi-raft",
        may_use: &["hapi-registry-state", "hapi-storage"],
        why: "consensus joins the state machine and its storage, and knows neither descriptors nor the public API",
    },
    House {
        name: "hapi-registry",
        may_use: &[
            "hapi-raft",
            "hapi-registry-state",
            "hapi-descriptor",
            "hapi-client",
            // For `dev`, whose walk-through needs an MCP server that runs.
            "hapi-guard",
            "hapi-almanac",
        ],
        why: "a node reaches the disk through its replica only",
    },
    House {
        name: "hapi-almanac",
        may_use: &["hapi-guard"],
        why: "an example shows what other people's servers need, and they have nothing but the guard",
    },
    House {
        name: "hapi-cluster-tests",
        may_use: &["hapi-client", "hapi-descriptor", "hapi-guard"],
        why: "the cluster is tested through its public doors",
    },
];

/// Who may declare a crate from outside.
enum Fence {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Fence {
    fn admits(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(&name),
            Self::AllBut(names) => !names.contains(&name),
        }
    }
}

use Fence::{AllBut, Only};

const FENCES: &[(&str, Fence, &str)] = &[
    ("sled", Only(&["hapi-storage"]), "its traps are handled in one place"),
    ("openraft", Only(&["hapi-storage", "hapi-raft"]), "its types change with every release"),
    (
        "ed25519-dalek",
        Only(&["hapi-descriptor"]),
        "one crate signs and verifies, so that one crate is to be reviewed",
    ),
    (
        "rcgen",
        Only(&["hapi-raft", "hapi-cluster-tests"]),
        "nodes make certificates for each other only; those of callers are made by tests",
    ),
    (
        "axum",
        AllBut(&["hapi-descriptor", "hapi-registry-state", "hapi-storage"]),
        "format, state machine and storage know no HTTP",
    ),
    (
        "tokio",
        AllBut(&["hapi-descriptor", "hapi-registry-state"]),
        "the core is called and never runs: no runtime, no timer, no task",
    ),
    (
        "rand",
        Only(&["hapi-registry", "hapi-cluster-tests"]),
        "chance comes in as an argument, so that replicas agree and tests replay",
    ),
    ("figment", Only(&["hapi-registry"]), "settings are read in one place and passed on as data"),
    ("opentelemetry_sdk", Only(&["hapi-registry"]), "spans are made anywhere and exported in one place"),
    ("clap", Only(&["hapi-registry", "hapi-almanac"]), "only programs have a command line"),
];

/// `from` declares a dependency on `to`.
struct Edge {
    from: String,
    to: String,
}

impl Edge {
    fn new(from: &str, to: &str) -> Self {
        Self { from: from.into(), to: to.into() }
    }

    /// Which wall the edge goes through, if it goes through one.
    fn violation(&self) -> Option<String> {
        self.between_houses().or_else(|| self.through_fence())
    }

    fn between_houses(&self) -> Option<String> {
        house(&self.to)?;
        let Some(from) = house(&self.from) else {
            return Some(format!("{} has no row in the table of walls: say what it may use", self.from));
        };
        let allowed = from.may_use.contains(&self.to.as_str());
        (!allowed).then(|| {
            let Self { from: name, to } = self;
            format!("{name} must not use {to}: {}. It may use {:?}", from.why, from.may_use)
        })
    }

    fn through_fence(&self) -> Option<String> {
        let (name, fence, why) = FENCES.iter().find(|(name, ..)| *name == self.to)?;
        (!fence.admits(&self.from)).then(|| format!("{} must not declare {name}: {why}", self.from))
    }
}

fn house(name: &str) -> Option<&'static House> {
    HOUSES.iter().find(|house| house.name == name)
}

fn packages() -> Vec<Package> {
    MetadataCommand::new().no_deps().exec().expect("cargo describes the workspace").packages
}

fn edges(packages: &[Package]) -> Vec<Edge> {
    let declared = |package: &Package| {
        let built =
            package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        built.map(|dependency| Edge::new(&package.name, &dependency.name)).collect::<Vec<_>>()
    };
    packages.iter().flat_map(declared).collect()
}

#[test]
fn no_crate_goes_through_a_wall() {
    let violations: Vec<_> = edges(&packages()).iter().filter_map(Edge::violation).collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn the_table_knows_every_crate_and_no_other() {
    let mut declared: Vec<_> = packages().iter().map(|package| package.name.to_string()).collect();
    let mut known: Vec<_> = HOUSES.iter().map(|house| house.name.to_owned()).collect();
    declared.sort();
    known.sort();
    assert_eq!(declared, known);
}

#[test]
fn every_fence_is_around_something() {
    let edges = edges(&packages());
    for (name, ..) in FENCES {
        assert!(
            edges.iter().any(|edge| edge.to == *name),
            "nothing declares {name}: its fence guards nothing"
        );
    }
}

#[test]
fn what_goes_through_a_wall_is_reported_with_the_reason() {
    let made_up = [
        ("hapi-guard", "hapi-raft", "other people's servers"),
        ("hapi-client", "hapi-registry-state", "public API"),
        ("hapi-descriptor", "hapi-client", "nothing but its format"),
        ("hapi-registry", "hapi-storage", "through its replica only"),
        ("hapi-cluster-tests", "hapi-raft", "public doors"),
        ("hapi-newcomer", "hapi-descriptor", "no row in the table"),
        ("hapi-registry", "sled", "traps"),
        ("hapi-registry", "openraft", "change with every release"),
        ("hapi-registry-state", "tokio", "never runs"),
        ("hapi-storage", "axum", "no HTTP"),
        ("hapi-raft", "rand", "replicas agree"),
    ];
    for (from, to, reason) in made_up {
        let violation = Edge::new(from, to).violation();
        let violation = violation.unwrap_or_else(|| panic!("{from} → {to} goes unnoticed"));
        assert!(violation.contains(reason) && violation.contains(from), "{violation}");
    }
}

#[test]
fn what_goes_through_a_door_is_not() {
    for (from, to) in [
        ("hapi-raft", "hapi-storage"),
        ("hapi-storage", "sled"),
        ("hapi-guard", "tokio"),
        ("hapi-registry", "serde"),
    ] {
        assert_eq!(Edge::new(from, to).violation(), None, "{from} → {to}");
    }
}
