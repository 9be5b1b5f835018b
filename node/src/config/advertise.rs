//! The address at which others reach a listener, when nobody said it.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// The documentation address 192.0.2.1 (RFC 5737): every default route leads there, and nobody is there.
const ELSEWHERE: (IpAddr, u16) = (IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 9);

/// `host:port` for a listener. One that listens on every address is named by the address from which this
/// machine would send; without a route, by its host name, which container networks resolve.
pub(super) fn reachable(bound: SocketAddr) -> String {
    if !bound.ip().is_unspecified() {
        return bound.to_string();
    }
    match outgoing() {
        Some(ip) => SocketAddr::new(ip, bound.port()).to_string(),
        None => format!("{}:{}", host_name(), bound.port()),
    }
}

/// Connecting a datagram socket sends nothing: it only makes the kernel choose the local address.
fn outgoing() -> Option<IpAddr> {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}
