//! The command line: one verb a file. Each verb parses its own arguments and says what it did.

mod audit;
mod authority;
mod backup;
mod bootstrap;
mod clients;
mod cluster;
mod completions;
mod connect;
mod dev;
mod doctor;
mod events;
mod failure;
mod health;
mod identity_providers;
mod import;
mod introspect;
mod keys;
mod man;
mod mirror;
mod moderate;
mod namespaces;
mod new_token;
mod output;
mod percent;
mod presented;
mod progress;
mod publish;
mod publisher_token;
mod recover;
mod remote;
mod restore;
mod revocations;
mod sample;
mod seal;
mod secret_file;
mod serve;
mod servers;
mod session;
mod settings;
mod span;
pub(crate) mod table;
mod tenants;
mod tokens;
mod validate;
mod verify;
mod webhooks;

pub(crate) use failure::Failure;
pub(crate) use output::{Output, say};
pub(crate) use remote::Remote;

use crate::faults;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// A distributed MCP registry that is a Connect Authority: it says what exists, and whether a client may
/// connect to it right now.
#[derive(Debug, Parser)]
#[command(name = "hapi-registry", version = faults::VERSION, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Example:
  hapi-registry dev
      A cluster of three nodes with sample data on this machine.")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Dev(dev::Dev),
    Bootstrap(bootstrap::Bootstrap),
    Publish(publish::Publish),
    #[command(subcommand)]
    PublisherToken(publisher_token::PublisherToken),
    Validate(validate::Validate),
    Import(import::Import),
    Mirror(mirror::MirrorVerb),
    #[command(subcommand)]
    Servers(servers::Servers),
    Connect(connect::Connect),
    Verify(verify::Verify),
    Introspect(introspect::Introspect),
    Revocations(revocations::Revocations),
    #[command(subcommand)]
    Moderate(moderate::Moderate),
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    #[command(subcommand)]
    IdentityProviders(identity_providers::IdentityProviders),
    #[command(subcommand)]
    Clients(clients::Clients),
    #[command(subcommand)]
    Tenants(tenants::Tenants),
    #[command(subcommand)]
    Namespaces(namespaces::Namespaces),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Settings(settings::Settings),
    Audit(audit::Audit),
    Events(events::Events),
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Recover(recover::Recover),
    Health(health::Health),
    Doctor(doctor::Doctor),
    Load(crate::load::Load),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Verb {
    async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(verb) => verb.run().await,
            Self::Dev(verb) => verb.run().await,
            Self::Bootstrap(verb) => verb.run().await,
            Self::Publish(verb) => verb.run().await,
            Self::PublisherToken(verb) => verb.run().await,
            Self::Validate(verb) => verb.run(),
            Self::Import(verb) => verb.run().await,
            Self::Mirror(verb) => verb.run().await,
            Self::Servers(verb) => verb.run().await,
            Self::Connect(verb) => verb.run().await,
            Self::Verify(verb) => verb.run().await,
            Self::Introspect(verb) => verb.run().await,
            Self::Revocations(verb) => verb.run().await,
            Self::Moderate(verb) => verb.run().await,
            Self::Tokens(verb) => verb.run().await,
            Self::IdentityProviders(verb) => verb.run().await,
            Self::Clients(verb) => verb.run().await,
            Self::Tenants(verb) => verb.run().await,
            Self::Namespaces(verb) => verb.run().await,
            Self::Keys(verb) => verb.run().await,
            Self::Settings(verb) => verb.run().await,
            Self::Audit(verb) => verb.run().await,
            Self::Events(verb) => verb.run().await,
            Self::Webhooks(verb) => verb.run().await,
            Self::Cluster(verb) => verb.run().await,
            Self::Backup(verb) => verb.run().await,
            Self::Restore(verb) => verb.run().await,
            Self::Recover(verb) => verb.run().await,
            Self::Health(verb) => verb.run().await,
            Self::Doctor(verb) => verb.run().await,
            Self::Load(verb) => verb.run().await,
            Self::Completions(verb) => verb.run(),
            Self::Man(verb) => verb.run(),
        }
    }

    /// A node uses all cores. What only talks to nodes needs one thread, and leaves the cores to them.
    fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        match self {
            Self::Serve(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
            _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        }
    }
}

/// Parses the command line, does what it says, and gives the exit code that [`failure::EXIT_CODES`] promises.
pub(crate) fn run() -> ExitCode {
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let verb = match parsed {
        Ok(cli) => cli.verb,
        // Prints help and usage errors itself, and exits with 0 or 2 as we promise.
        Err(error) => error.exit(),
    };
    match start(verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn start(verb: Verb) -> Result<(), Failure> {
    let runtime = verb.runtime().map_err(|error| Failure::refused(format!("no runtime: {error}")))?;
    let result = runtime.block_on(verb.run());
    // A name that is still being resolved, or a read of stdin, must not hold up the end.
    runtime.shutdown_background();
    result
}

/// The whole command, with the exit codes at the end of every long help.
fn command() -> clap::Command {
    with_exit_codes(Cli::command())
}

fn with_exit_codes(command: clap::Command) -> clap::Command {
    let example = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    command.after_long_help(format!("{example}{}", failure::EXIT_CODES)).mut_subcommands(with_exit_codes)
}

#[cfg(test)]
mod tests;
