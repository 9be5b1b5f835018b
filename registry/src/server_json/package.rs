//! Packages: what a client can install and run by itself.

use super::{Issue, input, object::Object, rules::Report};
use crate::endpoint::{check_http, placeholders};
use crate::version::Version;

const REGISTRY_TYPES: &[&str] = &["npm", "pypi", "nuget", "oci", "mcpb", "cargo"];
const TRANSPORTS: &[&str] = &["stdio", "streamable-http", "sse"];

/// Checks all packages; answers whether there are any.
pub(super) fn check_all(document: &Object<'_>, report: &mut Report) -> bool {
    let packages = document.objects("packages", "Package", report);
    packages.iter().for_each(|package| check(package, report));
    !packages.is_empty()
}

fn check(package: &Object<'_>, report: &mut Report) {
    for field in ["registryType", "identifier", "transport"] {
        package.require(field, report);
    }
    let registry_type = package.one_of("registryType", REGISTRY_TYPES, report);
    check_identifier(package, report);
    check_version(package, report);
    check_hash(package, registry_type, report);
    check_base_url(package, report);
    package.text("runtimeHint", report);
    let mut names = input::named(package, "environmentVariables", report);
    names.extend(input::arguments(package, "runtimeArguments", report));
    names.extend(input::arguments(package, "packageArguments", report));
    if let Some(transport) = package.object("transport", "LocalTransport", report) {
        check_transport(&transport, &names, report);
    }
}

fn check_identifier(package: &Object<'_>, report: &mut Report) {
    let Some(identifier) = package.text("identifier", report) else { return };
    if identifier.is_empty() || identifier.contains(char::is_whitespace) {
        let message = "an identifier is not empty and has no spaces";
        report.refuse(Issue::semantic(&package.at("identifier"), "package-name-has-spaces", message));
    }
}

fn check_version(package: &Object<'_>, report: &mut Report) {
    let Some(version) = package.text("version", report) else { return };
    if let Err(error) = Version::parse(version) {
        report.refuse(Issue::semantic(&package.at("version"), error.reference(), error.to_string()));
    }
}

fn check_hash(package: &Object<'_>, registry_type: Option<&str>, report: &mut Report) {
    if registry_type == Some("mcpb") {
        package.require("fileSha256", report);
    }
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let Some(hash) = package.text("fileSha256", report) else { return };
    if hash.len() != 64 || !hash.bytes().all(digit) {
        package.breach("fileSha256", "pattern", "must be 64 lower-case hexadecimal digits", report);
    }
}

fn check_base_url(package: &Object<'_>, report: &mut Report) {
    let Some(url) = package.text("registryBaseUrl", report) else { return };
    if let Err(error) = check_http(url) {
        package.breach("registryBaseUrl", "format", &error.to_string(), report);
    }
}

/// The URL of a package's transport is most often on the user's own machine, so plain `http` and
/// `localhost` are as they should be here.
fn check_transport(transport: &Object<'_>, names: &[&str], report: &mut Report) {
    input::named(transport, "headers", report);
    transport.require("type", report);
    let kind = transport.one_of("type", TRANSPORTS, report);
    let url = transport.text("url", report).filter(|url| !url.is_empty());
    match (kind, url) {
        (Some("stdio"), Some(_)) => {
            let message = "a `stdio` transport has no URL";
            report.refuse(Issue::semantic(&transport.at("url"), "stdio-transport-url-not-empty", message));
        }
        (Some("stdio") | None, _) => {}
        (Some(_), None) => transport.require("url", report),
        (Some(_), Some(url)) => check_local_url(transport, url, names, report),
    }
}

fn check_local_url(transport: &Object<'_>, url: &str, names: &[&str], report: &mut Report) {
    let scheme = url.starts_with("http://") || url.starts_with("https://") || url.starts_with('{');
    if !scheme || url.contains(char::is_whitespace) {
        transport.breach("url", "pattern", "must be an `http` or `https` URL without spaces", report);
    }
    let undeclared = match placeholders(url) {
        Ok(used) => used.into_iter().find(|name| !names.contains(&&**name)),
        Err(error) => {
            report.refuse(Issue::semantic(&transport.at("url"), "invalid-templated-url", error.to_string()));
            return;
        }
    };
    if let Some(name) = undeclared {
        let message = format!("`{{{name}}}` names no argument and no environment variable of the package");
        report.refuse(Issue::semantic(&transport.at("url"), "invalid-templated-url", message));
    }
}
