//! The sockets of a node, opened before anything else: a port in use must cost nothing but a message.

use crate::cli::Failure;
use crate::config::{Config, Key};
use crate::serve::Listeners;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// Binds both listeners, and writes their real addresses into `config`: port 0 takes any free one.
pub(super) fn bind(config: &mut Config) -> Result<Listeners, Failure> {
    let http = open("http.listen", &mut config.http.listen)?;
    let peer = open("peer.listen", &mut config.peer.listen)?;
    Ok(Listeners { http, peer })
}

fn open(key: &str, address: &mut SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(*address).map_err(|error| refused(key, *address, &error))?;
    *address = listener.local_addr().map_err(|error| refused(key, *address, &error))?;
    Ok(listener)
}

fn refused(key: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let message = match error.kind() {
        ErrorKind::AddrInUse => format!("{key}: the port of {address} is in use already"),
        _ => format!("{key}: cannot listen on {address}: {error}"),
    };
    let failure = Failure::usage(message);
    match Key::named(key) {
        Some(key) => {
            failure.hint(format!("choose another address with --{} or {}", key.flag, key.variable()))
        }
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_key() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        config.peer.listen = taken.local_addr().unwrap();
        let failure = bind(&mut config).err().unwrap();
        let expected = format!("peer.listen: the port of {} is in use already", config.peer.listen);
        assert_eq!(failure.message, expected);
        assert_eq!(failure.hint.unwrap(), "choose another address with --peer-listen or HAPI_PEER_LISTEN");
        assert_ne!(config.http.listen.port(), 0);
    }
}
