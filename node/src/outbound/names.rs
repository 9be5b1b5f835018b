//! Names, looked up inside the process: a static binary in an empty container has no system resolver.

use super::{OutboundError, address};
use crate::config;
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, rdata::TXT},
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long one server may take to answer, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// The name server that was set cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`outbound.dns_server`: {0}")]
pub(crate) struct NamesError(NetError);

/// The names of the world outside, and whether they may lead inside.
pub(super) struct Names {
    /// Without one only numeric addresses can be reached.
    resolver: Option<TokioResolver>,
    allow_private: bool,
}

impl Names {
    pub(super) fn new(settings: &config::Outbound) -> Result<Self, NamesError> {
        let resolver = match settings.dns_server {
            Some(server) => Some(at(server).map_err(NamesError)?),
            None => system(),
        };
        Ok(Self { resolver, allow_private: settings.allow_private })
    }

    /// The TXT records of `name`, each with its pieces put together.
    pub(super) async fn texts(&self, name: &str) -> Result<Vec<String>, OutboundError> {
        let found = match self.resolver(name)?.txt_lookup(absolute(name)).await {
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            found => found.map_err(|error| failed(name, error.to_string()))?,
        };
        let texts = found.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(text) => Some(whole(text)),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The addresses of `host`, every one of which may be connected to.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, OutboundError> {
        let found = self.resolver(host)?.lookup_ip(absolute(host)).await;
        let found: Vec<_> = found.map_err(|error| failed(host, error.to_string()))?.iter().collect();
        check(host, &found, self.allow_private)?;
        Ok(found)
    }

    fn resolver(&self, name: &str) -> Result<&TokioResolver, OutboundError> {
        self.resolver.as_ref().ok_or_else(|| failed(name, "no name server is configured".into()))
    }
}

/// One address that leads inside spoils a name: whoever mixes both means the one that was not looked at.
pub(super) fn check(host: &str, found: &[IpAddr], allow_private: bool) -> Result<(), OutboundError> {
    if found.is_empty() {
        return Err(failed(host, "it has no address".into()));
    }
    match found.iter().find(|ip| !allow_private && !address::is_public(**ip)) {
        None => Ok(()),
        Some(address) => Err(OutboundError::Private { host: host.into(), address: *address }),
    }
}

impl Resolve for Names {
    /// What this yields is what is connected to: nobody looks the name up again.
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.resolver.clone();
        let names = Self { resolver, allow_private: self.allow_private };
        Box::pin(async move {
            let found = names.addresses(name.as_str()).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// A name with a dot is a whole one: the search list of this machine would lead a stranger's name inside.
fn absolute(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}

fn whole(text: &TXT) -> String {
    let pieces: Vec<u8> = text.txt_data.iter().flat_map(|piece| piece.iter().copied()).collect();
    String::from_utf8_lossy(&pieces).into_owned()
}

fn failed(host: &str, reason: String) -> OutboundError {
    OutboundError::Lookup { host: host.into(), reason }
}

/// The name servers of this machine.
fn system() -> Option<TokioResolver> {
    let built = Resolver::builder_tokio().and_then(|mut builder| {
        limit(builder.options_mut());
        builder.options_mut().use_hosts_file = ResolveHosts::Always;
        builder.build()
    });
    if let Err(error) = &built {
        tracing::warn!(%error, "no name server is configured: no name outside can be looked up");
    }
    built.ok()
}

fn at(server: SocketAddr) -> Result<TokioResolver, NetError> {
    let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    ways.iter_mut().for_each(|way| way.port = server.port());
    let server = NameServerConfig::new(server.ip(), true, ways);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    limit(builder.options_mut());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    builder.build()
}

/// Nothing is remembered: a record that was just written, or taken away, counts at once.
fn limit(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.timeout = PATIENCE;
    options.attempts = ATTEMPTS;
}
