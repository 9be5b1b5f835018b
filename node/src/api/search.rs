//! `GET /v1/servers?query=`: which server has to do with these words, one entry each, the best match first.

use super::{
    Api,
    servers::{ListMetadata, ServerResponse, limit},
};
use crate::{
    auth::Reader,
    problem::{Problem, ProblemBody},
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use hapi_registry_state::{ListQuery, Listed, Page, Rank, VersionFilter};
use serde::Serialize;
use std::sync::Arc;
use url::form_urlencoded;
use utoipa::ToSchema;

/// What fits into a prompt beside the question.
const DEFAULT_LIMIT: usize = 10;

/// The longest question, in characters.
const MAX_QUERY: usize = 1_000;

/// What was found.
#[derive(Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    servers: Vec<Match>,
    metadata: ListMetadata,
}

/// A server in its latest version.
#[derive(Serialize, ToSchema)]
struct Match {
    /// How well it matches, compared with the others of this answer.
    #[schema(value_type = u32)]
    score: Rank,
    /// Whether a connect could succeed, as far as that does not depend on the client.
    connectable: bool,
    #[serde(flatten)]
    server: ServerResponse,
}

impl Match {
    fn new(listed: &Listed) -> Option<Self> {
        let (score, connectable) = (listed.rank.unwrap_or_default(), listed.governance.connectable);
        Some(Self { score, connectable, server: ServerResponse::new(listed)? })
    }
}

/// Search servers by words of their names, titles and descriptions.
#[utoipa::path(
    get, path = "/v1/servers", tag = "catalog",
    params(
        ("query" = String, Query, description = "the words, at most 1,000 characters; words such as `mcp` and `server` do not count beside others"),
        ("limit" = Option<u32>, Query, description = "default 10"),
        ("cursor" = Option<String>, Query, description = "`metadata.nextCursor` of the page before"),
    ),
    responses((status = 200, body = SearchAnswer), (status = "default", body = ProblemBody))
)]
pub(crate) async fn search(
    State(api): State<Arc<Api>>,
    reader: Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<SearchAnswer>, Problem> {
    let mut query = parse(&api, query.as_deref().unwrap_or_default())?;
    let Page { items, next } = api.rankings.list(&api.replica.state(), &query, reader.viewer());
    query.after = next;
    let servers: Vec<_> = items.iter().filter_map(Match::new).collect();
    let metadata = ListMetadata::new(api.cursors().write(&query), servers.len());
    Ok(Json(SearchAnswer { servers, metadata }))
}

fn parse(api: &Api, text: &str) -> Result<ListQuery, Problem> {
    let (mut words, mut cursor, mut most) = (None, None, DEFAULT_LIMIT);
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match &*name {
            "query" => words = Some(value.into_owned()),
            "cursor" if !value.is_empty() => cursor = Some(value.into_owned()),
            "limit" if !value.is_empty() => most = limit(&value)?,
            _ => {}
        }
    }
    if let Some(cursor) = cursor {
        let query = api.cursors().read(&cursor, most).filter(|query| query.search.is_some());
        return query.ok_or_else(|| {
            Problem::invalid("`cursor` is not one of ours: pass `metadata.nextCursor` on unchanged")
        });
    }
    let words = words.filter(|words| !words.trim().is_empty());
    let words = words.ok_or_else(|| Problem::invalid("`query` is missing: say what to look for"))?;
    if words.chars().count() > MAX_QUERY {
        return Err(Problem::invalid(format!("`query` is longer than {MAX_QUERY} characters")));
    }
    Ok(ListQuery { limit: most, search: Some(words), version: VersionFilter::Latest, ..ListQuery::default() })
}
