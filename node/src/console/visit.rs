//! One request to the console: how it came, and who stands behind it.

use super::{fault::Fault, fields::Fields, session::Session};
use crate::{api::Api, auth::Authenticated, problem::Problem};
use axum::{
    extract::{self, FromRequestParts, Request},
    http::{Method, header, request::Parts},
};
use hapi_registry_state::{Right, Viewer};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use url::Url;

/// How a request came.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Whether the browser came by TLS, to this node or to a proxy before it.
    pub(super) is_secure: bool,
    /// Whether a script asks, which wants data and no page.
    pub(super) wants_json: bool,
    /// Path and query of a page; the catalog's for a form.
    pub(super) target: String,
    /// The address that the browser believes to talk to, as `host:port`.
    pub(super) host: String,
}

impl Manner {
    pub(super) fn of(api: &Api, request: &Request) -> Self {
        let (headers, uri) = (request.headers(), request.uri());
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Whoever lies about this gets cookies that his own browser does not send back.
        let is_secure = api.http.starts_with("https://") || text("x-forwarded-proto") == "https";
        let host = match text(header::HOST.as_str()) {
            "" => uri.authority().map(ToString::to_string).unwrap_or_default(),
            host => host.to_owned(),
        };
        // What was sent with a form is not sent again by whoever comes back.
        let target = uri.path_and_query().filter(|_| request.method() == Method::GET);
        let target = target.map_or("/console", |target| target.as_str()).to_owned();
        Self { is_secure, wants_json: text("accept").starts_with("application/json"), target, host }
    }
}

/// A request that the gate has let through.
pub(super) struct Visit {
    pub(super) manner: Manner,
    /// The session, and the caller that its token makes.
    pub(super) session: Option<(Session, Authenticated)>,
    /// What a form has brought.
    pub(super) form: Fields,
    /// What stands in the query.
    pub(super) query: Fields,
}

impl Visit {
    /// As whom the catalog is read.
    pub(super) fn viewer(&self) -> Viewer<'_> {
        match &self.session {
            Some((_, caller)) => Viewer::Caller(caller.caller()),
            None => Viewer::Anonymous,
        }
    }

    /// Whether whoever is signed in may do that.
    pub(super) fn may(&self, right: Right) -> bool {
        self.session.as_ref().is_some_and(|(_, caller)| caller.caller().role.may(right))
    }

    /// Who is signed in.
    pub(super) fn caller(&self) -> Result<&Authenticated, Problem> {
        self.session.as_ref().map(|(_, caller)| caller).ok_or_else(Problem::unauthenticated)
    }

    /// What a form has to bring along.
    pub(super) fn csrf(&self) -> &str {
        self.session.as_ref().map_or("", |(session, _)| &session.csrf)
    }
}

/// The visit, as handlers get it: the gate has put it there.
#[derive(Clone)]
pub(super) struct Here(pub(super) Arc<Visit>);

impl FromRequestParts<Arc<Api>> for Here {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Fault> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Fault(Problem::unauthenticated()))
    }
}

/// Parts of the path; what is wrong with them is told on a page.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Api>> for Path<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Fault> {
        let path = extract::Path::from_request_parts(parts, api).await;
        path.map(|extract::Path(path)| Self(path))
            .map_err(|error| Fault(Problem::not_found("not_found", error.body_text())))
    }
}

/// Whether `text` leads to a page of the console, and nowhere else: what a browser would take for another host does not.
pub(super) fn is_inside(text: &str) -> bool {
    let Ok(base) = Url::parse("https://console.invalid/console") else { return false };
    let leads = base.join(text).is_ok_and(|url| {
        url.origin() == base.origin() && (url.path() == "/console" || url.path().starts_with("/console/"))
    });
    leads && text.starts_with("/console") && !text.contains('\\') && text.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        for inside in
            ["/console", "/console/audit?before=7", "/console/servers/ai.acme/a%2Fb", "/console?q=a"]
        {
            assert!(is_inside(inside), "{inside}");
        }
        for outside in [
            "",
            "/",
            "//evil.example/console",
            "https://evil.example/console",
            "/consoles",
            "/console/../v1/tokens",
            "/console\\evil",
            "/\\evil.example",
            "console",
            "/console/\u{e9}",
            "javascript:alert(1)",
        ] {
            assert!(!is_inside(outside), "{outside}");
        }
    }
}
