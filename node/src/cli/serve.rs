//! `serve`: one node of a cluster.

mod flags;
mod listen;
mod logging;
pub(super) mod shutdown;
pub(super) mod slots;

use super::{Failure, say};
use crate::config::{self, Config, LogFormat};
use crate::faults::{self, FaultError};
use crate::secret_files::SecretError;
use crate::serve::{self, ServeError};
use hapi_raft::{IdentityError, StartError};
use hapi_registry_state::NodeId;
use slots::Slot;
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Run one node.
///
/// Every setting below is a flag, a variable and a key of the file, in this order of precedence. A key or a
/// `HAPI_` variable that nothing knows is an error. What changes decisions is no setting of a node but of the
/// cluster: see `hapi-registry settings`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry serve --config node.toml --bootstrap-expect 3 --join node1:7080,node2:7080,node3:7080
      Forms a cluster with two more such nodes, or joins the one that they have formed.")]
pub(crate) struct Serve {
    /// A TOML file with settings
    #[arg(long, value_name = "FILE", env = "HAPI_CONFIG")]
    config: Option<PathBuf>,
    /// Print the settings in force as a TOML file, and exit; no secret is among them
    #[arg(long)]
    print_config: bool,
    /// Stop as on SIGTERM when stdin ends: `dev` holds the other end, and its death, however sudden, is then
    /// ours
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
    #[command(flatten)]
    flags: flags::Flags,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut layers = config::layers(self.config.as_deref(), std::env::vars())?;
        layers.extend(self.flags.layers);
        let config = Config::resolve(&layers)?;
        if self.print_config {
            return say(&config.to_toml().map_err(|error| Failure::usage(error.to_string()))?);
        }
        logging::start(&config.log)?;
        use_small_pages();
        faults::install(&std::env::var_os(faults::VARIABLE).unwrap_or_default().to_string_lossy())?;
        let format = config.log.format;
        let ended = run_node(config, shutdown::requested(self.exit_with_stdin)?).await;
        ended.map_err(|failure| if format == LogFormat::Json { failure.log() } else { failure })
    }
}

/// Memory comes in pages of 4 KiB from here on. The allocator spreads small pieces over the whole of what it has from the
/// system; with pages of 2 MiB (Linux's transparent huge pages) a node holds some 70 MB more than it uses.
fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay allowed: this process may hold more memory than it uses");
    }
}

async fn run_node(mut config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    // Held until the end: the lock on the slot is what keeps other replicas of this host out of it.
    let slot = config.data_slots.then(|| slots::claim(&config.data_dir)).transpose()?;
    if let Some(slot) = &slot {
        tracing::info!(path = %slot.path.display(), "this replica has a slot of the shared folder");
        config.data_dir.clone_from(&slot.path);
    }
    let listeners = listen::bind(&mut config)?;
    let addresses = [("HAPI_HTTP_LISTEN", config.http.listen), ("HAPI_PEER_LISTEN", config.peer.listen)];
    let served = tokio::select! {
        served = serve::run(config, listeners, shutdown) => served,
        never = show_use(slot.as_ref()) => match never {},
    };
    match served {
        Err(ServeError::Removed(node)) => Err(begin_anew(node, addresses)),
        ended => Ok(ended?),
    }
}

/// Replaces this process by a new one of the same program with the same arguments, which puts the old data aside and
/// joins as a new node, at the same addresses. Nothing else of this life is left then: no lock, no task, no lease.
/// Returns only if that fails.
fn begin_anew(node: NodeId, addresses: [(&str, SocketAddr); 2]) -> Failure {
    let addresses = addresses.map(|(variable, address)| (variable, address.to_string()));
    let error = Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).envs(addresses).exec();
    Failure::refused(format!(
        "the cluster has removed node {node}, and no new process could be started: {error}"
    ))
    .hint("start it again: its data is put aside then, and it joins as a new node")
}

/// What can be done when the system does not let this process at a file in its data folder.
fn access(failure: Failure, source: &io::Error) -> Failure {
    match source.kind() {
        ErrorKind::PermissionDenied => failure.hint(format!(
            "this node runs as user {user}, who must own the data folder and everything in it: \
             `chown --recursive {user} DIR`",
            user = user()
        )),
        ErrorKind::StorageFull => failure.hint("free some space there, or enlarge the file system"),
        _ => failure,
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

async fn show_use(slot: Option<&Slot>) -> Infallible {
    match slot {
        Some(slot) => slot.show_use().await,
        None => pending().await,
    }
}

impl From<FaultError> for Failure {
    fn from(error: FaultError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let failure = Self::usage(error.to_string());
        match error {
            SecretError::File { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                failure.hint(format!("let user {} read it, and nobody else", user()))
            }
            _ => failure.hint("name the file with --secret-file or HAPI_CLUSTER_SECRET_FILE"),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Secret(error) => error.into(),
            ServeError::Keys { source, .. } | ServeError::IssuanceLog { source, .. } => {
                access(Self::refused(message), &source)
            }
            ServeError::Start(StartError::Identity(IdentityError::File { source, .. })) => {
                access(Self::refused(message), &source)
            }
            _ => Self::refused(message),
        }
    }
}
