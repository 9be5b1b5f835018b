//! Accounts at GitHub: who bears a token, and which organisations it owns.

use super::Refusal;
use crate::{
    outbound::{Ask, Fetched, Outside},
    publisher_token::Proven,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hapi_registry_state::Glob;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The longest token that is passed on, in bytes.
const MOST_TOKEN_BYTES: usize = 1_024;

/// A page of a hundred memberships takes some 300 KB.
const PAGE_BYTES: usize = 1 << 20;

/// So many organisations stand on one page, and so many pages are read.
const PAGE: usize = 100;
const MOST_PAGES: usize = 3;

/// The longest name of an account.
const MOST_NAME_BYTES: usize = 39;

#[derive(Deserialize)]
struct Account {
    login: String,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
    role: String,
    organization: Account,
}

/// The account of the bearer of `token`, and the organisations that it owns.
///
/// Not those that it is only a member of: who may read an organisation's repositories does not speak in its name. The
/// official registry has drawn the same line.
pub(super) async fn prove(token: &str, api: &str, outside: &dyn Outside) -> Result<Proven, Refusal> {
    let headers =
        headers(token).ok_or_else(|| Refusal::Malformed("`github_token` is no token of GitHub".into()))?;
    let Account { login } = account(api, &headers, outside).await?;
    let own = namespace(&login)
        .ok_or_else(|| Refusal::Unproven(format!("the account {login:?} cannot be a namespace")))?;
    let mut globs = vec![own];
    // A name that cannot be a namespace grants nothing, and takes nothing from the others.
    globs.extend(organisations(api, &headers, outside).await?.iter().filter_map(|name| namespace(name)));
    Proven::new("github", &login, globs).ok_or_else(|| Refusal::Unproven("it grants nothing".into()))
}

/// What a workflow of GitHub Actions has proven: that it runs for this owner of repositories.
pub(super) fn workflow(claims: &Map<String, Value>) -> Result<Proven, Refusal> {
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    let unproven = |why: &str| Refusal::Unproven(format!("GitHub Actions: {why}"));
    let owner = claim("repository_owner").ok_or_else(|| unproven("the token names no `repository_owner`"))?;
    let glob = namespace(owner).ok_or_else(|| unproven(&format!("{owner:?} cannot be a namespace")))?;
    let sub = claim("sub").ok_or_else(|| unproven("the token has no `sub`"))?;
    Proven::new("github-oidc", sub, [glob]).ok_or_else(|| unproven("it grants nothing"))
}

/// Letters, digits and hyphens, none of these at an end: only such a name may become a part of a glob.
fn namespace(name: &str) -> Option<Glob> {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let is_name = bytes.len() <= MOST_NAME_BYTES
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(is_inner);
    is_name.then(|| format!("io.github.{name}").parse().ok()).flatten()
}

fn headers(token: &str) -> Option<HeaderMap> {
    let is_token =
        (1..=MOST_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_token)?;
    // Kept out of whatever prints headers.
    bearer.set_sensitive(true);
    Some(HeaderMap::from_iter([
        (header::AUTHORIZATION, bearer),
        (header::ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
        (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
    ]))
}

async fn account(api: &str, headers: &HeaderMap, outside: &dyn Outside) -> Result<Account, Refusal> {
    let found = get(&format!("{api}/user"), headers, outside).await?;
    match found.status {
        StatusCode::OK => read(&found),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Refusal::Unproven(format!("GitHub answers {} to the token", found.status)))
        }
        status => Err(Refusal::Unavailable(format!("GitHub answers {status}"))),
    }
}

async fn organisations(
    api: &str,
    headers: &HeaderMap,
    outside: &dyn Outside,
) -> Result<Vec<String>, Refusal> {
    let mut owned = Vec::new();
    for page in 1..=MOST_PAGES {
        let path = format!("{api}/user/memberships/orgs?state=active&per_page={PAGE}&page={page}");
        let found = get(&path, headers, outside).await?;
        let memberships: Vec<Membership> = match found.status {
            StatusCode::OK => read(&found)?,
            // A token that may not read memberships still says whose it is.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => break,
            status => return Err(Refusal::Unavailable(format!("GitHub answers {status}"))),
        };
        let is_last = memberships.len() < PAGE;
        let of_owner = memberships.into_iter().filter(|one| one.role == "admin" && one.state == "active");
        owned.extend(of_owner.map(|one| one.organization.login));
        if is_last {
            break;
        }
    }
    Ok(owned)
}

async fn get(url: &str, headers: &HeaderMap, outside: &dyn Outside) -> Result<Fetched, Refusal> {
    let unavailable = |error: &dyn std::fmt::Display| Refusal::Unavailable(format!("GitHub: {error}"));
    let url = url.parse().map_err(|error| unavailable(&error))?;
    let ask = Ask { url, headers: headers.clone(), form: None, most_bytes: PAGE_BYTES };
    outside.fetch(ask).await.map_err(|error| unavailable(&error))
}

fn read<T: DeserializeOwned>(found: &Fetched) -> Result<T, Refusal> {
    serde_json::from_slice(&found.body)
        .map_err(|error| Refusal::Unavailable(format!("GitHub says what is not expected: {error}")))
}
