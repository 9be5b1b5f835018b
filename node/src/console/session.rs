//! Who is signed in: a token, in an envelope that the browser keeps as a cookie.
//!
//! No node keeps anything of it, so that any node behind any load balancer answers any request. Each request opens the
//! envelope and judges the token in it as the API would have judged it: one that is revoked ends the session at once.
//! Signing out takes the cookie from the browser; whoever has stolen it before is kept out by its ends, or by revoking the
//! token. The API never looks at cookies.

use super::{
    cookie::{self, Cookie},
    envelope::Envelopes,
};
use crate::{
    api::{Api, hex},
    clock,
    problem::Problem,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

/// What the key of sessions is derived for.
const PURPOSE: &str = "console session v1";

/// A session that nobody uses ends after that, in seconds.
const IDLE: u64 = 30 * 60;

/// Each ends after that: a token that somebody has left in a browser is not left there for good.
const LIFE: u64 = 8 * 3_600;

/// A cookie is written anew when it was last written so long ago.
const RENEW: u64 = 60;

/// Browsers keep cookies up to 4096 bytes, name and attributes among them, and drop larger ones without a word.
const MOST_BYTES: usize = 3_900;

/// What stands in the envelope.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// An API token, or one of an identity provider.
    pub(super) token: String,
    /// What each form must bring along: another site can make a browser send the cookie, but cannot know this.
    pub(super) csrf: String,
    /// When it began, and when its cookie was last written, in seconds since the Unix epoch.
    began: u64,
    seen: u64,
}

impl Session {
    pub(super) fn new(token: &str, now: u64) -> Self {
        Self { token: token.to_owned(), csrf: hex(&clock::random_name()), began: now, seen: now }
    }

    /// The session of a request, if it has one that is not over.
    pub(super) fn of(api: &Api, headers: &HeaderMap, is_secure: bool) -> Option<Self> {
        let text = cookie::find(headers, cookie::SESSION, is_secure)?;
        let session: Self = Envelopes::of(api, PURPOSE).open(&text)?;
        session.lasts(clock::now().seconds()).then_some(session)
    }

    fn lasts(&self, now: u64) -> bool {
        let since = |then: u64| now.saturating_sub(then);
        since(self.seen) < IDLE && since(self.began) < LIFE
    }

    /// Whether a form was made for this session, told in a time that does not depend on how alike they are.
    pub(super) fn made(&self, form: &str) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), form.as_bytes()).is_ok()
    }

    /// The cookie that goes on with it, if it is time to write one.
    pub(super) fn renewed(&self, api: &Api, is_secure: bool) -> Option<HeaderValue> {
        let now = clock::now().seconds();
        if now.saturating_sub(self.seen) < RENEW {
            return None;
        }
        Self { seen: now, ..self.clone() }.cookie(api, is_secure).ok()
    }

    /// The cookie that holds it.
    pub(super) fn cookie(&self, api: &Api, is_secure: bool) -> Result<HeaderValue, Problem> {
        let text = self.closed(&Envelopes::of(api, PURPOSE))?;
        Ok(Cookie { name: cookie::SESSION, value: &text, is_secure, same_site: "Strict" }.kept(LIFE))
    }

    fn closed(&self, envelopes: &Envelopes) -> Result<String, Problem> {
        let text = envelopes.close(self).unwrap_or_default();
        if text.len() > MOST_BYTES {
            return Err(Problem::invalid(format!(
                "this token is too long to sign in with: it has {} bytes, and a browser keeps about {} of it. A \
                 provider that puts less into its tokens, or an API token, will do",
                self.token.len(),
                MOST_BYTES * 3 / 4 - 150,
            )));
        }
        Ok(text)
    }

    /// What takes it from the browser.
    pub(super) fn end(is_secure: bool) -> HeaderValue {
        Cookie { name: cookie::SESSION, value: "", is_secure, same_site: "Strict" }.kept(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_in_any_case() {
        let session = Session::new("token", 1_000);
        assert!(session.lasts(1_000) && session.lasts(999) && session.lasts(1_000 + IDLE - 1));
        assert!(!session.lasts(1_000 + IDLE));
        let used = Session { seen: 1_000 + LIFE - 1, ..session };
        assert!(used.lasts(1_000 + LIFE - 1) && !used.lasts(1_000 + LIFE));
    }

    #[test]
    fn a_token_that_no_browser_would_keep_is_refused() {
        let envelopes = Envelopes::new(vec![[7; 32]], PURPOSE);
        let closed = |length: usize| Session::new(&"x".repeat(length), 1_800_000_000).closed(&envelopes);
        assert!(closed(2_750).is_ok_and(|text| text.len() <= MOST_BYTES));
        let refused = closed(3_000).err().map(|problem| problem.detail().to_owned()).unwrap_or_default();
        assert!(refused.contains("it has 3000 bytes"), "{refused}");
    }

    #[test]
    fn a_form_of_another_session_is_none_of_this() {
        let [one, other] = [0; 2].map(|_| Session::new("token", 0));
        assert!(one.made(&one.csrf) && !one.made(&other.csrf) && !one.made(""));
        assert_eq!(one.csrf.len(), 32);
    }

    #[test]
    fn an_envelope_keeps_a_session_to_itself() {
        let envelopes = Envelopes::new(vec![[7; 32]], PURPOSE);
        let session = Session::new("hapi_moderator_secret", 1_000);
        let text = envelopes.close(&session).unwrap_or_default();
        let back: Option<Session> = envelopes.open(&text);
        assert!(back.is_some_and(|back| back.token == session.token && back.made(&session.csrf)));
        assert!(Envelopes::new(vec![[7; 32]], "console sign-in v1").open::<Session>(&text).is_none());
    }
}
