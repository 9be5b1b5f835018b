//! Ports for programs that must be told one.

use std::net::TcpListener;

/// Below what the kernel hands out by itself, so that nobody is given it between our look and the program's.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port of loopback that nobody listens at.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(RANGE)).take(100).find(is_free).expect("some port is free")
}
