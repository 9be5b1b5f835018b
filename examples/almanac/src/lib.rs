//! An MCP server with two tools behind a guard: what there is to do for a server that wants to be governed.

mod sky;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hapi_guard::Guard;
use http::Uri;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

pub use tools::Almanac;

/// The path of the MCP endpoint.
pub const MCP_PATH: &str = "/mcp";

/// The server: the MCP endpoint behind its guard, and outside of it the metadata of RFC 9728, which clients read
/// before they have anything to show, and the guard's metrics. A server on the open network keeps those to itself.
pub fn app(guard: &Guard) -> Router {
    let (metadata, metrics) = (guard.protected_resource().clone(), guard.clone());
    let path = metadata.path().to_owned();
    let config = StreamableHttpServerConfig::default().with_allowed_hosts(host(metadata.url()));
    let mcp = StreamableHttpService::new(|| Ok(Almanac), Arc::<LocalSessionManager>::default(), config);
    Router::new()
        .route_service(MCP_PATH, mcp)
        .layer(guard.layer())
        .route(&path, get(async move || metadata.response().map(Body::new)))
        .route("/metrics", get(async move || metrics.metrics().to_prometheus()))
}

/// rmcp answers only to the names that it is given, against DNS rebinding.
fn host(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}
