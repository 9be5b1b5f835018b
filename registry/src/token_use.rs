//! When tokens were last used, as nodes tell now and then.
//!
//! Each node keeps that in its memory, and tells the log rarely, many tokens at once: a use must not cost an entry. So
//! the log may lag, and decides nothing by it; it is for whoever looks for tokens that nobody needs.

use crate::{Outcome, Principal, Registry, Rejection, Right, Timestamp, TokenId};

/// The most tokens of one entry.
const MAX_USES: usize = 10_000;

impl Registry {
    pub(crate) fn note_token_uses(
        &mut self,
        by: &Principal,
        uses: &[(TokenId, Timestamp)],
    ) -> Result<Outcome, Rejection> {
        if !matches!(by, Principal::Node(_)) {
            return Err(Rejection::Forbidden(Right::Operate));
        }
        if uses.len() > MAX_USES {
            return Err(Rejection::Invalid(format!("at most {MAX_USES} uses are told at a time")));
        }
        for (id, at) in uses.iter().filter(|(id, _)| self.tokens.contains_key(id)) {
            // A node whose clock is ahead must not make a token look used for days to come.
            let at = self.at.min(*at).max(self.token_use(id).unwrap_or_default());
            self.token_uses.insert(id.clone(), at);
        }
        Ok(Outcome::Done)
    }

    /// When the token was last used, as far as the log knows.
    pub fn token_use(&self, id: &TokenId) -> Option<Timestamp> {
        self.token_uses.get(id).copied()
    }
}
