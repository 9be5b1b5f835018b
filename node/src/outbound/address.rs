//! Which addresses belong to everybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether packets to `ip` go out into the internet: it is in none of IANA's registries of special-purpose addresses
/// (RFC 6890), and no way to write one that is.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let is_special = match ip.octets() {
        // This network, private use, loopback; link-local, where clouds keep their metadata.
        [0 | 10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [169, 254, ..] => true,
        // Shared by the customers of a provider; benchmarks.
        [100, 64..=127, ..] | [198, 18 | 19, ..] => true,
        // Protocol assignments, documentation, the former 6to4 relays.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        // In no registry: Azure answers here from inside each machine, with what only the machine may know.
        [168, 63, 129, 16] => true,
        _ => false,
    };
    !is_special
}

/// Only 2000::/3 is handed out, and a few parts of it have other meanings.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = inner_v4(ip) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = ip.segments();
    let is_special = match (first, second) {
        // Protocol assignments, Teredo among them; documentation.
        (0x2001, 0..0x0200 | 0x0db8) | (0x3fff, 0..0x1000) => true,
        // 6to4: any IPv4 address, written otherwise.
        (0x2002, _) => true,
        _ => false,
    };
    first & 0xe000 == 0x2000 && !is_special
}

/// The IPv4 address that an IPv6 address stands for: mapped, or behind a translator (RFC 6052).
fn inner_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, ..] = ip.segments();
    let is_translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    let [.., w, x, y, z] = ip.octets();
    ip.to_ipv4_mapped().or_else(|| is_translated.then(|| Ipv4Addr::new(w, x, y, z)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn what_is_for_everybody_is_public() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "168.63.129.17",
            "2606:4700::1111",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn what_leads_inside_or_nowhere_is_not() {
        for ip in [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
