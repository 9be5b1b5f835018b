//! The catalog, in the shapes of the official MCP registry API.

use super::{Api, body::Path};
use crate::{
    auth::Reader,
    problem::{Problem, ProblemBody},
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use hapi_registry_state::{
    Down, ListQuery, Listed, NameError, Page, ServerName, Timestamp, Version, VersionFilter,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use url::form_urlencoded;
use utoipa::ToSchema;

const DEFAULT_LIMIT: usize = 30;
const MAX_LIMIT: usize = 100;

/// One version with what this registry knows of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServerResponse {
    /// The publisher's document, byte for byte.
    #[schema(value_type = Object)]
    server: Box<RawValue>,
    #[serde(rename = "_meta")]
    meta: Meta,
}

#[derive(Serialize, ToSchema)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol.registry/official")]
    official: Official,
    #[serde(rename = "ai.com.mcp/governance")]
    governance: GovernanceMeta,
}

/// What every registry says of a version. Takes no further fields: old clients are strict here.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Official {
    /// `active`, `deprecated` or `deleted`; a moderated version looks deleted to clients that know no more.
    status: &'static str,
    status_changed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    published_at: String,
    updated_at: String,
    is_latest: bool,
}

/// What this registry says beside.
#[derive(Serialize, ToSchema)]
struct GovernanceMeta {
    /// Whether a moderator vouches for it.
    verified: bool,
    /// `none`, `suspended`, `quarantined` or `revoked`.
    moderation: &'static str,
    /// Why, if it is moderated.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When a suspension or a quarantine lifts itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Whether a connect could succeed, as far as that does not depend on the client.
    connectable: bool,
    /// That it does not answer, as far as the health gate is on for it; absent if nothing is known of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthMeta>,
    /// The index of the entry that last changed it.
    index: u64,
    /// The mirror by which it came here; absent for what was published here.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// What the leader has seen of a server's endpoint.
#[derive(Serialize, ToSchema)]
struct HealthMeta {
    /// `down`.
    status: &'static str,
    /// `unreachable`, `timeout`, or the HTTP status of the answer, as `status_502`.
    fault: String,
    /// Since when that is known.
    since: String,
}

impl From<&Down> for HealthMeta {
    fn from(Down { fault, since, .. }: &Down) -> Self {
        Self { status: "down", fault: fault.to_string(), since: since.to_string() }
    }
}

/// A page of the catalog.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServerList {
    servers: Vec<ServerResponse>,
    metadata: ListMetadata,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMetadata {
    /// Give this as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// How many entries this page has.
    count: usize,
}

impl ServerResponse {
    /// The shape of a listed version. A document that was admitted is JSON, so that this always yields.
    pub(crate) fn new(listed: &Listed) -> Option<Self> {
        let published = &listed.published;
        let governance = &listed.governance;
        Some(Self {
            server: RawValue::from_string(published.document.raw()).ok()?,
            meta: Meta {
                official: Official {
                    status: listed.status.as_str(),
                    status_changed_at: governance.changed_at.to_string(),
                    status_message: published.status_message.clone(),
                    published_at: published.published_at.to_string(),
                    updated_at: listed.updated_at().to_string(),
                    is_latest: listed.is_latest,
                },
                governance: GovernanceMeta {
                    verified: governance.verified,
                    moderation: governance.moderation.as_str(),
                    reason: governance.reason.clone(),
                    expires_at: governance.expires_at.map(|end| end.to_string()),
                    connectable: governance.connectable,
                    health: governance.down.as_ref().map(HealthMeta::from),
                    index: governance.index,
                    source: governance.source.as_ref().map(ToString::to_string),
                },
            },
        })
    }
}

impl ServerList {
    pub(crate) fn new(listed: &[Listed], next_cursor: Option<String>) -> Self {
        let servers: Vec<_> = listed.iter().filter_map(ServerResponse::new).collect();
        let metadata = ListMetadata::new(next_cursor, servers.len());
        Self { servers, metadata }
    }
}

impl ListMetadata {
    pub(crate) fn new(next_cursor: Option<String>, count: usize) -> Self {
        Self { next_cursor, count }
    }
}

/// List servers, ordered by name and then by version; with `search`, the best match first.
#[utoipa::path(
    get, path = "/servers", tag = "catalog",
    params(
        ("cursor" = Option<String>, Query, description = "`metadata.nextCursor` of the page before; it carries the filter"),
        ("limit" = Option<u32>, Query, description = "default 30"),
        ("updated_since" = Option<String>, Query, description = "RFC 3339; only what changed later, deleted ones included"),
        ("search" = Option<String>, Query, description = "words of name, title and description, whatever the case"),
        ("version" = Option<String>, Query, description = "`latest`, or an exact version"),
        ("include_deleted" = Option<bool>, Query, description = "default false"),
    ),
    responses((status = 200, body = ServerList), (status = "default", body = ProblemBody))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    reader: Reader,
    RawQuery(query): RawQuery,
) -> Result<Json<ServerList>, Problem> {
    let parameters = Parameters::parse(query.as_deref().unwrap_or_default())?;
    let mut query = parameters.into_query(&api)?;
    let Page { items, next } = api.rankings.list(&api.replica.state(), &query, reader.viewer());
    query.after = next;
    Ok(Json(ServerList::new(&items, api.cursors().write(&query))))
}

/// All versions of a server, the newest first.
#[utoipa::path(
    get, path = "/servers/{server_name}/versions", tag = "catalog",
    params(
        ("server_name" = String, Path, description = "URL-encoded: `ai.acme%2Fweather`"),
        ("include_deleted" = Option<bool>, Query, description = "default false"),
    ),
    responses((status = 200, body = ServerList), (status = 404, body = ProblemBody))
)]
pub(crate) async fn versions(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ServerList>, Problem> {
    let parameters = Parameters::parse(query.as_deref().unwrap_or_default())?;
    let name = server_name(&name)?;
    let listed =
        api.replica.state().versions(&name, parameters.include_deleted.unwrap_or(false), reader.viewer());
    if listed.is_empty() {
        return Err(Problem::not_found("server_not_found", format!("{name} is not in the catalog")));
    }
    Ok(Json(ServerList::new(&listed, None)))
}

/// One version, or the latest.
#[utoipa::path(
    get, path = "/servers/{server_name}/versions/{version}", tag = "catalog",
    params(
        ("server_name" = String, Path, description = "URL-encoded: `ai.acme%2Fweather`"),
        ("version" = String, Path, description = "URL-encoded, or `latest`"),
        ("include_deleted" = Option<bool>, Query, description = "default false"),
    ),
    responses((status = 200, body = ServerResponse), (status = 404, body = ProblemBody))
)]
pub(crate) async fn version(
    State(api): State<Arc<Api>>,
    reader: Reader,
    Path((name, version)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<ServerResponse>, Problem> {
    let parameters = Parameters::parse(query.as_deref().unwrap_or_default())?;
    let name = server_name(&name)?;
    let wanted = match version.as_str() {
        "latest" => None,
        exact => Some(parse_version(exact)?),
    };
    let state = api.replica.state();
    let include_deleted = parameters.include_deleted.unwrap_or(false);
    let listed = state.version(&name, wanted.as_ref(), include_deleted, reader.viewer());
    listed.as_ref().and_then(ServerResponse::new).map(Json).ok_or_else(|| {
        Problem::not_found("version_not_found", format!("{name} has no version {version} in the catalog"))
    })
}

pub(crate) fn server_name(text: &str) -> Result<ServerName, Problem> {
    text.parse().map_err(|error: NameError| Problem::invalid(format!("server name: {error}")))
}

pub(crate) fn parse_version(text: &str) -> Result<Version, Problem> {
    Version::parse_imported(text).map_err(|error| Problem::invalid(format!("version: {error}")))
}

/// The query parameters of the catalog. Unknown ones are ignored, as the official registry does.
#[derive(Default)]
struct Parameters {
    cursor: Option<String>,
    limit: Option<usize>,
    updated_since: Option<Timestamp>,
    search: Option<String>,
    version: Option<String>,
    include_deleted: Option<bool>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            parameters.set(&name, &value)?;
        }
        if parameters.updated_since.is_some() && parameters.include_deleted == Some(false) {
            let detail =
                "`include_deleted=false` does not go with `updated_since`, which always includes them";
            return Err(Problem::invalid(detail));
        }
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        // Empty means absent: some clients send every parameter that they know.
        if value.is_empty() {
            return Ok(());
        }
        match name {
            "cursor" => self.cursor = Some(value.into()),
            "limit" => self.limit = Some(limit(value)?),
            "updated_since" => self.updated_since = Some(instant(value)?),
            "search" => self.search = Some(value.into()),
            "version" => self.version = Some(value.into()),
            "include_deleted" => self.include_deleted = Some(boolean(value)?),
            _ => {}
        }
        Ok(())
    }

    /// The query: with a cursor, the cursor's own filter counts, since some clients drop it.
    fn into_query(self, api: &Api) -> Result<ListQuery, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if let Some(cursor) = self.cursor {
            let query = api.cursors().read(&cursor, limit);
            return query.ok_or_else(|| {
                Problem::invalid("`cursor` is not one of ours: pass `metadata.nextCursor` on unchanged")
            });
        }
        Ok(ListQuery {
            after: None,
            limit,
            updated_since: self.updated_since,
            search: self.search,
            version: match self.version.as_deref() {
                None => VersionFilter::Any,
                Some("latest") => VersionFilter::Latest,
                Some(exact) => VersionFilter::Exact(parse_version(exact)?),
            },
            include_deleted: self.include_deleted.unwrap_or(false),
        })
    }
}

pub(crate) fn limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        Problem::unprocessable(format!("`limit` must be a number from 1 to {MAX_LIMIT}, got `{value}`"))
    })
}

fn instant(value: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(value).ok_or_else(|| {
        Problem::invalid(format!("`updated_since` must be RFC 3339, as 2025-08-07T13:15:04Z, got `{value}`"))
    })
}

fn boolean(value: &str) -> Result<bool, Problem> {
    value.parse().map_err(|_| {
        Problem::unprocessable(format!("`include_deleted` must be `true` or `false`, got `{value}`"))
    })
}
