//! The web console at `/console`: the registry for people with a browser.
//!
//! Pages are made here, by the node that is asked, and nothing is loaded from anywhere else: one style sheet, one script,
//! one picture. Every page works without the script, which adds what only a script can: a dialog that shows a seal arrive
//! node by node. What a page does, the API does too, in the very same functions; who may see one stands in the same table
//! ([`crate::api::console_callers`]), by which [`gate`] lets callers through or not.
//!
//! A node keeps nothing of who is signed in: [`session`] says what a browser holds instead.

mod act;
mod act_form;
mod assets;
mod audit;
mod catalog;
mod chart;
mod cluster;
mod cookie;
mod envelope;
mod fault;
mod fields;
mod gate;
mod history;
mod layout;
mod oidc;
mod rates;
mod requests;
mod seal;
mod server;
mod session;
mod sign_in;
mod visit;

pub(crate) use rates::Rates;

use crate::api::Api;
use axum::{
    Router, middleware,
    routing::{MethodRouter, get, post},
};
use std::sync::Arc;

/// Method, path and handler of every page.
type Page = (&'static str, &'static str, MethodRouter<Arc<Api>>);

fn all() -> Vec<Page> {
    vec![
        ("get", "/console", get(catalog::show)),
        ("get", "/console/servers/{namespace}/{name}", get(server::show)),
        ("post", "/console/moderation", post(act::act)),
        ("get", "/console/seals/{index}", get(seal::show)),
        ("get", "/console/requests", get(requests::show)),
        ("post", "/console/requests/{id}/confirm", post(requests::confirm)),
        ("post", "/console/requests/{id}/reject", post(requests::reject)),
        ("get", "/console/cluster", get(cluster::show)),
        ("get", "/console/audit", get(audit::show)),
        ("get", "/console/sign-in", get(sign_in::show)),
        ("post", "/console/sign-in", post(sign_in::sign_in)),
        ("post", "/console/sign-out", post(sign_in::sign_out)),
        ("get", "/console/oidc/{provider}", get(oidc::begin)),
        ("get", "/console/oidc/callback", get(oidc::end)),
        ("get", "/console/assets/{file}", get(assets::show)),
    ]
}

/// The routes of the console, behind its gate.
pub(crate) fn router(api: &Arc<Api>) -> Router<Arc<Api>> {
    let add = |router: Router<Arc<Api>>, (_, path, handler): Page| router.route(path, handler);
    all()
        .into_iter()
        .fold(Router::new(), add)
        // The gate turns away what is behind it without a row of its own.
        .route("/console/{*rest}", get(fault::nowhere).fallback(fault::nowhere))
        .method_not_allowed_fallback(fault::no_method)
        .layer(middleware::from_fn_with_state(api.clone(), gate::gate))
}

/// Method and path of every page, for the table of who may see them.
#[cfg(test)]
pub(crate) fn pages() -> Vec<(&'static str, &'static str)> {
    all().into_iter().map(|(method, path, _)| (method, path)).collect()
}
