//! Places, of which there is a number in all and a number for each address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What is taken. There are never more addresses in it than places that are taken.
#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Places of one kind.
#[derive(Clone)]
pub(crate) struct Places {
    most: usize,
    /// 0 is any number.
    most_per_address: usize,
    taken: Arc<Mutex<Taken>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    Address,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Self {
        Self { most, most_per_address, taken: Arc::default() }
    }

    /// A place for somebody at `address`.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let (mut taken, address) = (self.lock(), prefix(address));
        if taken.all >= self.most {
            return Err(Full::All);
        }
        let there = taken.by_address.get(&address).copied().unwrap_or(0);
        if self.most_per_address != 0 && there >= self.most_per_address {
            return Err(Full::Address);
        }
        taken.all += 1;
        taken.by_address.insert(address, there + 1);
        Ok(Place { places: self.clone(), address })
    }

    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics between two changes that belong together.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        match taken.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.by_address.remove(&self.address)),
        }
        // What a flood has made large is given back.
        if taken.by_address.len() * 4 < taken.by_address.capacity() && taken.by_address.capacity() > 1_024 {
            taken.by_address.shrink_to_fit();
        }
    }
}

/// What counts as one address. A host with IPv6 has a network of 64 bits at the least.
pub(super) fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_places_and_what_it_leaves_is_free() {
        let places = Places::new(3, 2);
        let first = places.take(ip("192.0.2.1")).ok().unwrap();
        let _second = places.take(ip("::ffff:192.0.2.1")).ok().unwrap();
        assert_eq!(places.take(ip("192.0.2.1")).err(), Some(Full::Address));
        let _third = places.take(ip("2001:db8::1")).ok().unwrap();
        assert_eq!(places.take(ip("192.0.2.2")).err(), Some(Full::All));
        drop(first);
        assert_eq!(places.taken(), 2);
        assert!(places.take(ip("192.0.2.1")).is_ok());
        assert_eq!(places.lock().by_address.len(), 2);
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let places = Places::new(9, 1);
        let _first = places.take(ip("2001:db8::1")).ok().unwrap();
        assert_eq!(places.take(ip("2001:db8::ffff:1")).err(), Some(Full::Address));
        assert!(places.take(ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn without_a_bound_for_each_address_one_may_take_all() {
        let places = Places::new(2, 0);
        let _both = [places.take(ip("192.0.2.1")).ok().unwrap(), places.take(ip("192.0.2.1")).ok().unwrap()];
        assert_eq!(places.take(ip("192.0.2.1")).err(), Some(Full::All));
    }
}
