//! The first operator token, made on this side of the wire: the cluster sees only its hash.

use crate::clock;
use hapi_registry_state::{Command, NewToken, PresentedToken, Role, mint};

/// The text of a new operator token.
pub(super) fn mint_operator() -> String {
    mint(Role::Operator, clock::random_bytes()).0
}

/// The command that makes the token with this text the first one of a cluster.
pub(super) fn bootstrap(presented: PresentedToken) -> Command {
    let PresentedToken { id, hash, role } = presented;
    Command::Bootstrap(NewToken {
        id,
        hash,
        role,
        client: None,
        tenant: None,
        namespaces: Vec::new(),
        expires_at: None,
    })
}
