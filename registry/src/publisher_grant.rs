//! What a publisher has proven that has no API token: a domain, an account, a workflow; for minutes.
//!
//! A node verifies the proof and signs what it grants with its own key. Every node verifies that signature, and what
//! enters the log is the grant: the state machine judges it at the entry's place like any principal, by the entry's
//! instant, and by the key, which may have been revoked one entry earlier.

use crate::{
    Caller, Glob, KeyState, Kid, Registry, Role, Timestamp,
    name::{excerpt, text_type},
};
use serde::{Deserialize, Serialize};

/// Why something is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum GrantError {
    #[error("`{0}` is no publisher: it is 1 to 300 visible ASCII characters")]
    Subject(String),
    #[error("a grant names 1 to {most} namespaces, this one {0}", most = PublisherGrant::MAX_NAMESPACES)]
    Namespaces(usize),
}

text_type! {
    /// Who publishes, as it stands in the audit chain: how it was proven and what, such as `dns:example.com`.
    ///
    /// Visible ASCII without spaces, so that no subject can pass for more than one word of a line.
    PublisherSubject, GrantError, check_subject
}

fn check_subject(text: &str) -> Result<(), GrantError> {
    let is_word = (1..=300).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_word { Ok(()) } else { Err(GrantError::Subject(excerpt(text))) }
}

/// That somebody has shown a publisher token which a key of this cluster signed.
///
/// Whoever makes this has verified the signature. Whether the key still counts, and the time, is judged on the state
/// that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherGrant {
    subject: PublisherSubject,
    namespaces: Vec<Glob>,
    kid: Kid,
    expires_at: Timestamp,
}

impl PublisherGrant {
    /// The most namespaces of one grant: each publication carries them in its entry, and each call in a header.
    pub const MAX_NAMESPACES: usize = 64;

    /// A grant within its bounds.
    ///
    /// # Errors
    /// No namespace, or too many.
    pub fn new(
        subject: PublisherSubject,
        namespaces: Vec<Glob>,
        kid: Kid,
        expires_at: Timestamp,
    ) -> Result<Self, GrantError> {
        let grant = Self { subject, namespaces, kid, expires_at };
        if grant.is_bounded() { Ok(grant) } else { Err(GrantError::Namespaces(grant.namespaces.len())) }
    }

    /// Who publishes.
    pub fn subject(&self) -> &PublisherSubject {
        &self.subject
    }

    /// Where it may publish.
    pub fn namespaces(&self) -> &[Glob] {
        &self.namespaces
    }

    /// The key that signed it.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    fn is_bounded(&self) -> bool {
        (1..=Self::MAX_NAMESPACES).contains(&self.namespaces.len())
    }
}

impl Registry {
    /// The caller that a grant makes at `now`: nobody once it has ended, or when the key that signed it is unknown or
    /// revoked. What a revoked key has signed may be a thief's.
    pub fn granted(&self, grant: &PublisherGrant, now: Timestamp) -> Option<Caller> {
        let is_genuine = self.key(&grant.kid).is_some_and(|key| key.state != KeyState::Revoked);
        let is_live = is_genuine && now < grant.expires_at && grant.is_bounded();
        is_live.then(|| Caller {
            role: Role::Publisher,
            client: None,
            tenant: None,
            namespaces: grant.namespaces.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn grant(namespaces: usize) -> Result<PublisherGrant, GrantError> {
        let globs = vec!["com.example".parse().unwrap(); namespaces];
        let subject = "dns:example.com".parse().unwrap();
        PublisherGrant::new(subject, globs, "k".into(), Timestamp::from_seconds(1))
    }

    #[test]
    fn a_grant_has_a_bounded_number_of_namespaces_and_is_for_some() {
        assert_eq!(grant(0).unwrap_err(), GrantError::Namespaces(0));
        assert!(grant(1).is_ok() && grant(PublisherGrant::MAX_NAMESPACES).is_ok());
        assert!(grant(PublisherGrant::MAX_NAMESPACES + 1).is_err());
    }

    #[test]
    fn a_subject_is_one_visible_word() {
        for text in ["dns:example.com", "github-oidc:repo:octo/x:ref:refs/heads/main", &"x".repeat(300)] {
            assert!(text.parse::<PublisherSubject>().is_ok(), "{text}");
        }
        for text in ["", "dns:a b", "dns:a\nb", "dns:é", "a\u{7f}", &"x".repeat(301)] {
            assert!(text.parse::<PublisherSubject>().is_err(), "{text}");
        }
    }
}
