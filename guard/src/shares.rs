//! How many places each client has taken.

use std::collections::HashMap;

/// Counts places by client, and knows how many one may have. Pure. Who has none is forgotten, so there are never more
/// counts than places.
#[derive(Debug)]
pub(crate) struct Shares {
    taken: HashMap<String, usize>,
    max: usize,
}

impl Shares {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: HashMap::new(), max }
    }

    pub(crate) fn has_room(&self, client: &str) -> bool {
        self.taken.get(client).copied().unwrap_or(0) < self.max
    }

    pub(crate) fn take(&mut self, client: &str) {
        *self.taken.entry(client.to_owned()).or_default() += 1;
    }

    pub(crate) fn give_back(&mut self, client: &str) {
        let Some(taken) = self.taken.get_mut(client) else { return };
        *taken -= 1;
        if *taken == 0 {
            self.taken.remove(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_nobody_is_remembered_without_a_place() {
        let mut shares = Shares::new(2);
        shares.take("a");
        shares.take("a");
        assert!(!shares.has_room("a") && shares.has_room("b"));
        shares.give_back("a");
        assert!(shares.has_room("a"));
        shares.give_back("a");
        shares.give_back("a");
        assert!(shares.taken.is_empty());
    }
}
