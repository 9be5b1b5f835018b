//! From `host:port` to addresses.
//!
//! Names are looked up inside the process: a static binary in an empty container has no system resolver.

use hickory_resolver::{Resolver, TokioResolver, config::ResolveHosts};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use thiserror::Error;

/// Why an address leads nowhere.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// Not `host:port`.
    #[error("`{0}` is not host:port")]
    Form(String),
    /// The name is not known, or no name server answers.
    #[error("{host}: {reason}")]
    Lookup {
        /// The name.
        host: String,
        /// What the resolver says.
        reason: String,
    },
}

/// Looks names up anew each time: a service name stands for other addresses from one minute to the next.
#[derive(Clone)]
pub(crate) struct Names(Option<TokioResolver>);

impl Names {
    /// Reads the system's name servers. Without any, numeric addresses still work.
    pub(crate) fn system() -> Self {
        let built = Resolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.cache_size = 0;
            options.timeout = Duration::from_secs(1);
            options.attempts = 2;
            options.use_hosts_file = ResolveHosts::Always;
            builder.build()
        });
        if let Err(error) = &built {
            tracing::warn!(%error, "no name server is configured: only numeric addresses can be reached");
        }
        Self(built.ok())
    }

    /// All addresses of `target`, at least one.
    pub(crate) async fn lookup(&self, target: &str) -> Result<Vec<SocketAddr>, ResolveError> {
        let (host, port) = split(target).ok_or_else(|| ResolveError::Form(target.into()))?;
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![(ip, port).into()]);
        }
        let failed = |reason: String| ResolveError::Lookup { host: host.into(), reason };
        let resolver = self.0.as_ref().ok_or_else(|| failed("no name server is configured".into()))?;
        let found = resolver.lookup_ip(host).await.map_err(|error| failed(error.to_string()))?;
        let addresses: Vec<_> = found.iter().map(|ip| (ip, port).into()).collect();
        if addresses.is_empty() { Err(failed("no address".into())) } else { Ok(addresses) }
    }
}

/// Splits `host:port`, `[v6]:port` included.
fn split(target: &str) -> Option<(&str, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn host_and_port_are_split() {
        assert_eq!(split("node:7700"), Some(("node", 7700)));
        assert_eq!(split("[::1]:7700"), Some(("::1", 7700)));
        assert_eq!(split("10.0.0.1:1"), Some(("10.0.0.1", 1)));
        assert_eq!(split("node"), None);
        assert_eq!(split(":7700"), None);
        assert_eq!(split("node:http"), None);
    }

    #[tokio::test]
    async fn numeric_addresses_need_no_name_server() {
        let names = Names(None);
        assert_eq!(names.lookup("127.0.0.1:80").await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
        assert!(matches!(names.lookup("a.test:80").await, Err(ResolveError::Lookup { .. })));
        assert!(matches!(names.lookup("nonsense").await, Err(ResolveError::Form(_))));
    }
}
