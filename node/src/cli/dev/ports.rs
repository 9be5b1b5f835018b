//! The ports of a node on loopback.

use super::plan::Plan;
use crate::cli::Failure;
use crate::clock;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

/// How far the peer port lies above the HTTP port.
const PEER_OFFSET: u16 = 10;

/// How far the almanac's port lies above the base.
const ALMANAC_OFFSET: u16 = 30;

/// Where free ports are looked for: below those that Linux hands out by itself (`ip_local_port_range`). It may take
/// seconds until a chosen port is listened at, and of the others one might be somebody else's by then.
const QUIET: Range<u16> = 20_000..32_000;

/// Where one node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ports {
    /// The public API.
    pub(super) http: u16,
    /// The peer plane.
    pub(super) peer: u16,
}

impl Ports {
    /// The base URL of the public API.
    pub(super) fn url(&self) -> String {
        format!("http://{}", loopback(self.http))
    }
}

/// The address of a port on this machine alone.
pub(super) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The ports of the node with this number, counted from 1, above `base`.
pub(super) fn above(base: u16, number: usize) -> Result<Ports, Failure> {
    let http = u16::try_from(number).ok().and_then(|number| base.checked_add(number));
    let ports = http.and_then(|http| Some(Ports { http, peer: http.checked_add(PEER_OFFSET)? }));
    ports.ok_or_else(too_high)
}

/// The port of the almanac, the MCP server of the walk-through, above `base`.
pub(super) fn almanac_above(base: u16) -> Result<u16, Failure> {
    base.checked_add(ALMANAC_OFFSET).ok_or_else(too_high)
}

fn too_high() -> Failure {
    Failure::usage("--port-base is too high: ports end at 65535")
}

/// So many free ports, from a place in [`QUIET`] that no other `dev` is likely to begin at.
pub(super) fn any_free(count: usize) -> Result<Vec<u16>, Failure> {
    let mut bytes = [0; 2];
    clock::fill_random(&mut bytes);
    let (from, many) = (usize::from(u16::from_be_bytes(bytes)), QUIET.len());
    let ports = (0..many).filter_map(|step| QUIET.clone().nth((from + step) % many));
    let free: Vec<_> = ports.filter(|port| TcpListener::bind(loopback(*port)).is_ok()).take(count).collect();
    if free.len() < count {
        let text = format!("of the ports from {} to {} too few are free", QUIET.start, QUIET.end - 1);
        return Err(Failure::usage(text).hint("choose others with --port-base"));
    }
    Ok(free)
}

/// Tells of a port in use before any node is started.
pub(super) fn check(plan: &Plan) -> Result<(), Failure> {
    let nodes = plan.nodes.iter().flat_map(|ports| [ports.http, ports.peer]);
    for port in nodes.chain([plan.almanac]) {
        TcpListener::bind(loopback(port)).map_err(|error| {
            Failure::usage(format!("port {port} cannot be used: {error}"))
                .hint("free it, or begin anew on other ports: --fresh --port-base N, 0 for any")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_follow_the_base() {
        assert_eq!(above(7400, 3).unwrap(), Ports { http: 7403, peer: 7413 });
        assert!(above(65_530, 1).is_err());
        assert_eq!(almanac_above(7400).unwrap(), 7430);
        assert!(almanac_above(65_530).is_err());
        let free: BTreeSet<_> = any_free(20).unwrap().into_iter().collect();
        assert!(free.len() == 20 && free.iter().all(|port| QUIET.contains(port)), "{free:?}");
    }

    #[test]
    fn what_the_kernel_hands_out_by_itself_is_not_chosen() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        // Another range was chosen for this machine than Linux comes with: then nothing is promised.
        assert!(first != 32_768 || any_free(3).unwrap().into_iter().all(|port| port < first));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let node = |http| vec![Ports { http, peer: any_free(1).unwrap()[0] }];
        for (nodes, almanac) in [(node(port), 1), (vec![], port)] {
            let plan = Plan { nodes, formed_by: 1, almanac, seeded: false };
            assert!(check(&plan).unwrap_err().message.starts_with(&format!("port {port} cannot be used")));
        }
    }
}
