//! Asking every node.

use super::view::{Key, Status, View, Views};
use crate::{
    cli::{Failure, Remote, remote},
    clock,
};
use futures::future::join_all;
use hapi_client::{ApiError, Client, Method};
use hapi_registry_state::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// A node that takes longer has a trouble of its own.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who asks, and whom it trusts.
struct Asking {
    token: Option<String>,
    ca: Option<PathBuf>,
}

/// The list of keys.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

/// Asks the nodes that `remote` names, and those that they name.
///
/// # Errors
/// No node answered, or none takes the token: then there is nothing to judge.
pub(super) async fn everybody(remote: &Remote) -> Result<Views, Failure> {
    let asking = Asking { token: remote.token()?, ca: remote.ca.clone() };
    let mut views = Views::default();
    let mut refusal = None;
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut next: BTreeSet<String> = remote.nodes.iter().map(|url| bare(url)).collect();
    while !next.is_empty() {
        known.extend(next.iter().cloned());
        let asked = next.iter().map(|url| async { (url.clone(), ask(url, &asking).await) });
        for (url, answer) in join_all(asked).await {
            views.nodes.push((url, answer.map_err(|error| said(error, &mut refusal))));
        }
        next = named(&views).difference(&known).cloned().collect();
    }
    if views.nodes.iter().all(|(_, answer)| answer.is_err()) {
        return Err(refusal.map_or_else(|| Failure::unreachable(unanswered(&views)), Failure::from));
    }
    same_node_once(&mut views);
    views.keys = keys(&views, &asking).await;
    Ok(views)
}

fn bare(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn said(error: ApiError, refusal: &mut Option<ApiError>) -> String {
    let text = error.to_string();
    if matches!(error, ApiError::Refused(_)) {
        *refusal = Some(error);
    }
    text
}

fn unanswered(views: &Views) -> String {
    views.nodes.iter().filter_map(|(_, answer)| answer.as_ref().err().cloned()).collect::<Vec<_>>().join("\n")
}

/// Where the nodes that answered say that members are.
fn named(views: &Views) -> BTreeSet<String> {
    let answered = views.nodes.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    answered.flat_map(|view| &view.status.members).map(|member| bare(&member.http)).collect()
}

/// A node may be asked by two names, such as a load balancer's and its own.
fn same_node_once(views: &mut Views) {
    let mut seen = BTreeSet::new();
    views.nodes.retain(|(_, answer)| match answer {
        Ok(view) => seen.insert(view.status.node.id.clone()),
        Err(_) => true,
    });
}

async fn ask(url: &str, asking: &Asking) -> Result<View, ApiError> {
    let asked = clock::now();
    let status: Status = read(url, "/v1/cluster", asking).await?;
    let answered = clock::now();
    Ok(View { ahead_ms: ahead_ms(&status, asked, answered), took_ms: millis(asked, answered), status })
}

/// By how much the node's clock is ahead of the middle of the exchange; nothing, if it does not say its time.
fn ahead_ms(status: &Status, asked: Timestamp, answered: Timestamp) -> i64 {
    let Some(there) = status.node.time.as_deref().and_then(Timestamp::parse) else { return 0 };
    millis(asked, there) - millis(asked, answered) / 2
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    (to.0.cast_signed() - from.0.cast_signed()) / 1_000
}

async fn keys(views: &Views, asking: &Asking) -> Vec<Key> {
    for (url, _) in views.nodes.iter().filter(|(_, answer)| answer.is_ok()) {
        if let Ok(Keys { keys }) = read(url, "/v1/keys", asking).await {
            return keys;
        }
    }
    Vec::new()
}

async fn read<T: DeserializeOwned>(url: &str, path: &str, asking: &Asking) -> Result<T, ApiError> {
    let answer: Value = client(url, asking)?.request(Method::GET, path, None).await?;
    serde_json::from_value(answer).map_err(|error| ApiError::Unreachable(format!("{url}{path}: {error}")))
}

/// One that asks this node alone: another one's answer would hide that it has none.
fn client(url: &str, asking: &Asking) -> Result<Client, ApiError> {
    let builder = remote::trusting(asking.ca.as_deref());
    let builder = builder.map_err(|failure| ApiError::Unreachable(failure.message))?;
    let builder = builder.nodes([url]).timeout(TIMEOUT);
    let builder = match &asking.token {
        Some(token) => builder.credential(token),
        None => builder,
    };
    builder.build().map_err(|error| ApiError::Unreachable(format!("{url}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::view::Node;

    #[test]
    fn the_difference_of_clocks_is_taken_in_the_middle_of_the_exchange() {
        let at = |ms: u64| Timestamp((1_000_000 + ms) * 1_000);
        let ahead = |there: Timestamp| {
            let node = Node { time: Some(there.to_string()), ..Node::default() };
            ahead_ms(&Status { node, ..Status::default() }, at(0), at(200))
        };
        assert_eq!([ahead(at(100)), ahead(at(5_100)), ahead(at(50))], [0, 5_000, -50]);
        assert_eq!(ahead_ms(&Status::default(), at(0), at(200)), 0);
    }
}
