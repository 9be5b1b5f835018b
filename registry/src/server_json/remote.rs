//! Remotes: where a server is reached over HTTP.

use super::{Issue, input, object::Object, rules::Report};
use crate::endpoint::{UrlError, UrlTemplate, Variable, placeholders};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a remote speaks MCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// `streamable-http`.
    StreamableHttp,
    /// `sse`, superseded by streamable HTTP in MCP 2025-03-26.
    Sse,
}

/// A place where a server is reached. Whatever else its publisher says of it, such as headers, stands in
/// the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// How it speaks MCP.
    pub transport: Transport,
    /// Its URL.
    pub url: UrlTemplate,
    /// What its publisher says of the placeholders, by name.
    pub variables: BTreeMap<String, Variable>,
}

/// The remotes that can be used; of an imported document, perhaps not all that it has.
pub(super) fn read(document: &Object<'_>, report: &mut Report) -> Vec<Remote> {
    let remotes = document.objects("remotes", "RemoteTransport", report);
    remotes.iter().filter_map(|remote| read_one(remote, report)).collect()
}

fn read_one(remote: &Object<'_>, report: &mut Report) -> Option<Remote> {
    input::named(remote, "headers", report);
    let variables = input::variables(remote, report);
    let transport = transport(remote, report);
    let url = url(remote, &variables, report);
    Some(Remote { transport: transport?, url: url?, variables })
}

fn transport(remote: &Object<'_>, report: &mut Report) -> Option<Transport> {
    remote.require("type", report);
    match remote.one_of("type", &["streamable-http", "sse"], report)? {
        "sse" => {
            let message =
                "SSE remotes are listed, but no descriptor is issued for them: offer `streamable-http`";
            report.inform(Issue::linter(&remote.at("type"), "sse-is-superseded", message));
            Some(Transport::Sse)
        }
        _ => Some(Transport::StreamableHttp),
    }
}

fn url(
    remote: &Object<'_>,
    variables: &BTreeMap<String, Variable>,
    report: &mut Report,
) -> Option<UrlTemplate> {
    remote.require("url", report);
    let text = remote.text("url", report)?;
    match UrlTemplate::parse(text, variables, report.rules().allow_insecure_endpoints) {
        Ok(url) => {
            advise_on_secrets(remote, text, variables, report);
            Some(url)
        }
        Err(error) => {
            report.refuse(Issue::semantic(&remote.at("url"), reference(&error), error.to_string()));
            None
        }
    }
}

fn reference(error: &UrlError) -> &'static str {
    match error {
        UrlError::Braces
        | UrlError::Undeclared(_)
        | UrlError::NeedsChoices(_)
        | UrlError::TooManyOrigins(_)
        | UrlError::DotSegment => "invalid-templated-url",
        _ => "invalid-remote-url",
    }
}

fn advise_on_secrets(
    remote: &Object<'_>,
    url: &str,
    variables: &BTreeMap<String, Variable>,
    report: &mut Report,
) {
    for name in placeholders(url).unwrap_or_default() {
        if variables.get(&name).is_some_and(|variable| variable.is_secret) {
            let message = format!("the secret `{name}` becomes part of a URL, and so of logs: use a header");
            report.warn(Issue::linter(&remote.at("url"), "secret-in-url", message));
        }
    }
}
