//! Tokens and public keys, made from a name.

use hapi_descriptor::Jwk;
use hapi_registry_state::{PresentedToken, PublicKey, Role, mint};
use sha2::{Digest, Sha256};

/// The token that stands under `name` in every run.
pub(crate) fn presented(name: &str, role: Role) -> PresentedToken {
    let mut bytes = (0_u64..).flat_map(|block| Sha256::digest(format!("{name} {block}")));
    mint(role, || bytes.next().unwrap()).1
}

/// The public key that stands under `name` in every run: the first hash that is a sound point of the curve.
pub(crate) fn public_key(name: &str) -> PublicKey {
    let candidates = (0_u64..).map(|block| Sha256::digest(format!("{name} {block}")).into());
    candidates.filter_map(|bytes| Jwk::from_public_bytes(&bytes).ok()).next().unwrap().into()
}
