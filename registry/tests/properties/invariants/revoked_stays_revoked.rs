use super::Step;
use hapi_registry_state::{KeyState, Standing};

/// Revoked is final: for what is moderated, for tokens and for keys.
pub(crate) fn check(Step { before, after, .. }: &Step<'_>) {
    for (subject, _) in before.moderations().filter(|(_, record)| record.standing == Standing::Revoked) {
        let standing = after.moderation(subject).map(|record| record.standing);
        assert_eq!(standing, Some(Standing::Revoked), "{subject}");
    }
    for (id, token) in before.tokens().filter(|(_, token)| token.revoked_at.is_some()) {
        let now = after.tokens().find(|(other, _)| *other == id).map(|(_, token)| token.clone());
        assert_eq!(now.as_ref(), Some(token), "{id}");
    }
    for (kid, key) in before.keys().filter(|(_, key)| key.state == KeyState::Revoked) {
        let now = after.keys().find(|(other, _)| *other == kid).map(|(_, key)| key.clone());
        assert_eq!(now.as_ref(), Some(key), "{kid}");
    }
}
