//! API tokens: `hapi_<role>_<id>_<secret><checksum>`, all base62. Only the SHA-256 of the text is kept.
//!
//! The checksum lets secret scanners and typing errors be told from real tokens without asking anyone.

use crate::{
    Caller, ClientId, Credential, Glob, Outcome, Principal, Registry, Rejection, Right, Role, Subject,
    TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::Arc};
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_CHARS: usize = 12;
/// 43 characters of base62 carry 256 bits.
const SECRET_CHARS: usize = 43;
/// 6 characters of base62 hold any CRC-32.
const CHECKSUM_CHARS: usize = 6;

/// The most namespace globs of one token: a token is one record of a snapshot, which has a bound.
const MAX_NAMESPACES: usize = 1_000;

/// The public part of a token, by which it is listed and revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(Arc<str>);

impl TokenId {
    /// The twelve characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenId {
    type Err = TokenTextError;

    fn from_str(text: &str) -> Result<Self, TokenTextError> {
        if text.len() == ID_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(text.into()))
        } else {
            Err(TokenTextError)
        }
    }
}

/// The SHA-256 of a token's text; all that is ever stored or logged of its secret.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// The text is not of a token's form, or its checksum is wrong. It never says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API token of the form hapi_<role>_<id>_<secret>")]
pub struct TokenTextError;

/// A token as a caller presents it: well-formed, not yet known to be genuine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentedToken {
    /// The id that the text claims.
    pub id: TokenId,
    /// The hash of the whole text.
    pub hash: TokenHash,
    /// The role that the text claims; the stored one decides.
    pub role: Role,
}

impl FromStr for PresentedToken {
    type Err = TokenTextError;

    fn from_str(text: &str) -> Result<Self, TokenTextError> {
        let mut parts = text.split('_');
        let mut next = || parts.next().ok_or(TokenTextError);
        let (prefix, role, id, secret) = (next()?, next()?, next()?, next()?);
        if prefix != "hapi" || next().is_ok() || secret.len() != SECRET_CHARS + CHECKSUM_CHARS {
            return Err(TokenTextError);
        }
        let role = role.parse().map_err(|_| TokenTextError)?;
        let id = id.parse()?;
        let (body, checksum) = text.split_at_checked(text.len() - CHECKSUM_CHARS).ok_or(TokenTextError)?;
        if checksum_of(body) != checksum || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TokenTextError);
        }
        Ok(Self { id, hash: TokenHash(Sha256::digest(text).into()), role })
    }
}

/// Makes a token's text from chance that the caller gives: `random` yields uniform bytes for ever.
///
/// The text is a secret: show it once, keep the [`PresentedToken`].
pub fn mint(role: Role, mut random: impl FnMut() -> u8) -> (String, PresentedToken) {
    // Bytes from 248 on are thrown away: 248 is the largest multiple of 62 in a byte, so that each
    // character is equally likely.
    let mut character = move || loop {
        let byte = random();
        if byte < 248 {
            break char::from(ALPHABET[usize::from(byte % 62)]);
        }
    };
    let id: String = (0..ID_CHARS).map(|_| character()).collect();
    let secret: String = (0..SECRET_CHARS).map(|_| character()).collect();
    let body = format!("hapi_{role}_{id}_{secret}");
    let text = format!("{body}{}", checksum_of(&body));
    let presented =
        PresentedToken { id: TokenId(id.into()), hash: TokenHash(Sha256::digest(&text).into()), role };
    (text, presented)
}

fn checksum_of(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [ALPHABET[0]; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

/// What a command says of a token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Its public id.
    pub id: TokenId,
    /// The hash of its text.
    pub hash: TokenHash,
    /// What it makes its bearer.
    pub role: Role,
    /// The client that it stands for: required for role client, refused for others.
    pub client: Option<ClientId>,
    /// The tenant of that client.
    pub tenant: Option<TenantId>,
    /// Where it may publish: required for role publisher, refused for others.
    pub namespaces: Vec<Glob>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A token that the registry knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The hash of its text.
    pub hash: TokenHash,
    /// What it makes its bearer.
    pub role: Role,
    /// The client that it stands for.
    pub client: Option<ClientId>,
    /// Where it may publish.
    pub namespaces: Vec<Glob>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

impl Registry {
    /// Makes the first operator token of a cluster, once.
    pub(crate) fn bootstrap(&mut self, by: &Principal, new: &NewToken) -> Result<Outcome, Rejection> {
        if *by != Principal::ClusterSecret || new.role != Role::Operator {
            return Err(Rejection::Forbidden(Right::Operate));
        }
        if self.bootstrapped {
            return Err(Rejection::AlreadyBootstrapped);
        }
        let outcome = self.insert_token(new)?;
        self.bootstrapped = true;
        Ok(outcome)
    }

    pub(crate) fn create_token(&mut self, by: &Principal, new: &NewToken) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        self.insert_token(new)
    }

    fn insert_token(&mut self, new: &NewToken) -> Result<Outcome, Rejection> {
        if self.tokens.contains_key(&new.id) {
            return Err(Rejection::TokenExists(new.id.clone()));
        }
        check_shape(new, self.at)?;
        if let Some(client) = &new.client {
            self.ensure_client(client, new.tenant.as_ref())?;
        }
        let token = Token {
            hash: new.hash,
            role: new.role,
            client: new.client.clone(),
            namespaces: new.namespaces.clone(),
            created_at: self.at,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        self.tokens.insert(new.id.clone(), Arc::new(token));
        Ok(Outcome::Done)
    }

    pub(crate) fn revoke_token(&mut self, by: &Principal, id: &TokenId) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        if !self.tokens.contains_key(id) {
            return Err(Rejection::TokenNotFound(id.clone()));
        }
        self.end_token(id);
        Ok(Outcome::Done)
    }

    pub(crate) fn end_token(&mut self, id: &TokenId) {
        if let Some(token) = self.token(id).filter(|token| token.revoked_at.is_none()) {
            let revoked = Token { revoked_at: Some(self.at), ..token.clone() };
            self.tokens.insert(id.clone(), Arc::new(revoked));
        }
    }

    /// The token, if it counts by the time of the log.
    pub(crate) fn live_token(&self, id: &TokenId) -> Option<&Token> {
        self.token(id).filter(|token| token.is_live(self.at) && !self.is_barred(&Subject::Token(id.clone())))
    }

    /// The caller that `credential` proves at `now`, or nothing: unknown, wrong, ended and revoked
    /// tokens are told apart by no one outside.
    pub fn authenticate(&self, credential: &Credential, now: Timestamp) -> Option<Caller> {
        match credential {
            Credential::Token(presented) => self.bearer_of(presented, now),
            Credential::Key(proof) => self.holder_of(proof, now),
            Credential::Oidc(grant) => self.vouched_for(grant, now),
            Credential::Certificate(proof) => self.shown_by(proof, now),
        }
    }

    fn bearer_of(&self, presented: &PresentedToken, now: Timestamp) -> Option<Caller> {
        let token = self.tokens.get(&presented.id)?;
        let same = bool::from(token.hash.0.ct_eq(&presented.hash.0));
        let counts = token.is_live(now) && !self.is_barred(&Subject::Token(presented.id.clone()));
        (same && counts).then(|| self.caller(token))
    }

    fn caller(&self, token: &Token) -> Caller {
        let client = token.client.clone();
        let tenant = client.as_ref().and_then(|client| self.client(client)?.tenant.clone());
        Caller { role: token.role, client, tenant, namespaces: token.namespaces.clone() }
    }

    /// The caller behind an entry's principal, as of the entry's own instant.
    pub(crate) fn acting(&self, by: &Principal) -> Result<Caller, Rejection> {
        let caller = match by {
            Principal::Token(id) => self.live_token(id).map(|token| self.caller(token)),
            Principal::Publisher(grant) => self.granted(grant, self.at),
            Principal::Oidc(grant) => self.vouched_for(grant, self.at),
            Principal::Node(_) | Principal::ClusterSecret | Principal::System => None,
        };
        caller.ok_or(Rejection::Unauthenticated)
    }

    pub(crate) fn require(&self, by: &Principal, right: Right) -> Result<(), Rejection> {
        if self.acting(by)?.role.may(right) { Ok(()) } else { Err(Rejection::Forbidden(right)) }
    }

    /// The token with this id.
    pub fn token(&self, id: &TokenId) -> Option<&Token> {
        self.tokens.get(id).map(|token| &**token)
    }

    /// All tokens, by id.
    pub fn tokens(&self) -> impl Iterator<Item = (&TokenId, &Token)> {
        self.tokens.iter().map(|(id, token)| (id, &**token))
    }
}

fn check_shape(new: &NewToken, now: Timestamp) -> Result<(), Rejection> {
    let wrong = |text: &str| Err(Rejection::Invalid(text.into()));
    match new.role {
        Role::Client if new.client.is_none() => return wrong("a client token needs `client`"),
        Role::Publisher if new.namespaces.is_empty() => {
            return wrong("a publisher token needs at least one namespace");
        }
        _ => {}
    }
    if new.namespaces.len() > MAX_NAMESPACES {
        return wrong("a token has at most 1000 namespaces");
    }
    if new.role != Role::Client && (new.client.is_some() || new.tenant.is_some()) {
        return wrong("only a client token names a client and a tenant");
    }
    if new.role != Role::Publisher && !new.namespaces.is_empty() {
        return wrong("only a publisher token names namespaces");
    }
    if new.expires_at.is_some_and(|end| end <= now) {
        return wrong("`expires_at` lies in the past");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted() -> (String, PresentedToken) {
        let mut state = 1u32;
        mint(Role::Client, move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
    }

    #[test]
    fn a_minted_token_is_parsed_back_to_the_same_id_and_hash() {
        let (text, presented) = minted();
        assert_eq!(text.len(), "hapi_client_".len() + 12 + 1 + 43 + 6);
        assert_eq!(text.parse(), Ok(presented));
    }

    #[test]
    fn any_changed_character_is_refused() {
        let (text, presented) = minted();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(bytes).unwrap_or_default();
            assert_ne!(changed.parse::<PresentedToken>().ok(), Some(presented.clone()), "at {at}");
            assert_eq!(changed.parse::<PresentedToken>(), Err(TokenTextError), "at {at}: {changed}");
        }
    }

    #[test]
    fn a_hash_is_never_printed() {
        assert_eq!(format!("{:?}", minted().1.hash), "TokenHash(..)");
    }
}
