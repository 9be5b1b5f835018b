//! The document itself: its own fields, and what the registry keeps of it.

use super::{
    ConnectMetadata, Issue, Remote, canonical, object::Object, package, publisher, remote, rules::Report,
};
use crate::endpoint::{check_http, check_https};
use crate::{name::ServerName, version::Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The schema that new documents should name.
const CURRENT_SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

/// The dates of earlier schemas, which are taken with a warning.
const EARLIER_SCHEMAS: &[&str] = &["2025-07-09", "2025-09-16", "2025-09-29", "2025-10-11", "2025-10-17"];

/// What the registry reads out of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) name: ServerName,
    pub(super) version: Version,
    pub(super) title: Option<String>,
    pub(super) description: String,
    pub(super) remotes: Vec<Remote>,
    pub(super) has_packages: bool,
    pub(super) connect: ConnectMetadata,
    pub(super) immutable_digest: [u8; 32],
}

/// Checks the whole document. Answers with nothing only if it also reported an error.
pub(super) fn read(fields: &Map<String, Value>, report: &mut Report) -> Option<Facts> {
    let document = Object::root(fields);
    check_schema(&document, report);
    let name = name(&document, report);
    let description = description(&document, report);
    let version = version(&document, report);
    let title = title(&document, report);
    check_website(&document, report);
    check_icons(&document, report);
    check_repository(&document, report);
    let has_packages = package::check_all(&document, report);
    let remotes = remote::read(&document, report);
    let connect = publisher::read(&document, report);
    advise_on_use(&document, report);
    let immutable_digest = immutable_digest(&document);
    let (name, version, description) = (name?, version?, description?);
    Some(Facts { name, version, title, description, remotes, has_packages, connect, immutable_digest })
}

/// A list that is absent and an empty one mean the same.
fn immutable_digest(document: &Object<'_>) -> [u8; 32] {
    let empty = Value::Array(Vec::new());
    let list = |field| document.value(field).unwrap_or(&empty);
    let text = |field| document.value(field).unwrap_or(&Value::Null);
    canonical::digest(&[text("name"), text("version"), list("remotes"), list("packages")])
}

fn check_schema(document: &Object<'_>, report: &mut Report) {
    let issue = |reference, message: String| Issue::schema("schema", reference, message);
    let known = |date: &&str| CURRENT_SCHEMA.replace("2025-12-11", date);
    match document.text("$schema", report).unwrap_or_default() {
        CURRENT_SCHEMA => {}
        "" => {
            report.refuse(issue("schema-field-required", format!("`$schema` is required: {CURRENT_SCHEMA}")))
        }
        schema if EARLIER_SCHEMAS.iter().map(known).any(|earlier| earlier == schema) => {
            let message = format!("an earlier schema; the current one is {CURRENT_SCHEMA}");
            report.warn(issue("schema-version-deprecated", message));
        }
        _ => report.refuse(issue("schema-version-unknown", format!("is not known: use {CURRENT_SCHEMA}"))),
    }
}

/// A text without which there is nothing to list and nothing to ask for.
fn essential<'a>(document: &Object<'a>, field: &str, report: &mut Report) -> Option<&'a str> {
    let text = document.value(field).and_then(Value::as_str);
    if text.is_none() {
        let message = format!("`{field}` is required, and must be a string");
        report.fatal(Issue::schema(field, "#/definitions/ServerDetail/required", message));
    }
    text
}

fn name(document: &Object<'_>, report: &mut Report) -> Option<ServerName> {
    match ServerName::parse(essential(document, "name", report)?) {
        Ok(name) => Some(name),
        Err(error) => {
            report.fatal(Issue::semantic("name", "invalid-server-name", error.to_string()));
            None
        }
    }
}

fn description(document: &Object<'_>, report: &mut Report) -> Option<String> {
    let text = essential(document, "description", report)?;
    document.bounded_text("description", 100, report);
    Some(text.to_owned())
}

fn version(document: &Object<'_>, report: &mut Report) -> Option<Version> {
    let text = essential(document, "version", report)?;
    let version = match Version::parse_imported(text) {
        Ok(version) => version,
        Err(error) => {
            report.fatal(Issue::semantic("version", error.reference(), error.to_string()));
            return None;
        }
    };
    if let Err(error) = Version::parse(text) {
        report.refuse(Issue::semantic("version", error.reference(), error.to_string()));
    } else if version.semver().is_none() {
        let message = "is no semantic version: any semantic one counts as later, others order by time";
        report.inform(Issue::linter("version", "version-not-semantic", message));
    }
    Some(version)
}

fn title(document: &Object<'_>, report: &mut Report) -> Option<String> {
    let title = document.bounded_text("title", 100, report)?;
    let is_blank = title.trim().is_empty();
    if is_blank && !title.is_empty() {
        let message = "must not be blank: leave it out instead";
        report.refuse(Issue::semantic("title", "title-whitespace-only", message));
    }
    (!is_blank).then(|| title.to_owned())
}

fn check_website(document: &Object<'_>, report: &mut Report) {
    let Some(url) = document.text("websiteUrl", report) else { return };
    if let Err(error) = check_https(url) {
        report.refuse(Issue::semantic("websiteUrl", "invalid-website-url", error.to_string()));
    }
}

fn check_icons(document: &Object<'_>, report: &mut Report) {
    let types = ["image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/webp"];
    for icon in document.objects("icons", "Icon", report) {
        icon.require("src", report);
        icon.one_of("mimeType", &types, report);
        icon.one_of("theme", &["light", "dark"], report);
        if !icon.texts("sizes", report).into_iter().all(is_icon_size) {
            icon.breach("sizes", "items/pattern", "each must be `any` or a size such as `48x48`", report);
        }
        let source = icon.bounded_text("src", 255, report);
        if let Some(Err(error)) = source.map(check_https) {
            report.refuse(Issue::semantic(&icon.at("src"), "invalid-icon-src", error.to_string()));
        }
    }
}

fn is_icon_size(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text == "any" || text.split_once('x').is_some_and(|(width, height)| number(width) && number(height))
}

fn check_repository(document: &Object<'_>, report: &mut Report) {
    let Some(repository) = document.object("repository", "Repository", report) else { return };
    if repository.keys().next().is_none() {
        let message = "an empty repository says nothing: leave it out";
        report.warn(Issue::linter("repository", "empty-repository", message));
        return;
    }
    for field in ["url", "source"] {
        repository.require(field, report);
    }
    repository.text("id", report);
    if repository.text("source", report).is_some_and(str::is_empty) {
        repository.breach("source", "minLength", "must name the hosting service, such as `github`", report);
    }
    if let Some(Err(error)) = repository.text("url", report).map(check_http) {
        report.refuse(Issue::semantic("repository.url", "invalid-repository-url", error.to_string()));
    }
    if repository.text("subfolder", report).is_some_and(|path| !is_clean_path(path)) {
        let message = "must be a relative path without `.`, `..` and empty parts";
        report.refuse(Issue::semantic("repository.subfolder", "invalid-subfolder-path", message));
    }
}

fn is_clean_path(path: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    path.bytes().all(allowed) && path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

fn advise_on_use(document: &Object<'_>, report: &mut Report) {
    let filled = |field| matches!(document.value(field), Some(Value::Array(items)) if !items.is_empty());
    if !filled("packages") && !filled("remotes") {
        let message = "there are neither `remotes` to connect to nor `packages` to install";
        report.warn(Issue::linter("", "nothing-to-use", message));
    }
}
