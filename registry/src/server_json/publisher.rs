//! `_meta`: what publishers may add, and what of it identifies a server to its clients.

use super::{Issue, object::Object, rules::Report};
use crate::endpoint::{check_http, check_https};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The one key of `_meta` that belongs to the publisher.
const PUBLISHER_PROVIDED: &str = "io.modelcontextprotocol.registry/publisher-provided";

/// The most bytes that the publisher's metadata may have, written without white space.
const MAX_BYTES: usize = 4 * 1024;

/// How clients recognise the server beyond its URL. Descriptors repeat it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectMetadata {
    /// Where the server publishes its own keys.
    pub jwks_uri: Option<String>,
    /// The SHA-256 of the public key of its TLS certificate (SubjectPublicKeyInfo), as written: base64
    /// (RFC 7469 §2.1.1) or 64 hexadecimal digits.
    pub tls_pin_sha256: Option<String>,
}

/// Checks `_meta` and reads the publisher's connect metadata out of it.
pub(super) fn read(document: &Object<'_>, report: &mut Report) -> ConnectMetadata {
    let Some(meta) = document.object("_meta", "ServerDetail/properties/_meta", report) else {
        return ConnectMetadata::default();
    };
    for key in meta.keys().filter(|key| *key != PUBLISHER_PROVIDED) {
        let message = format!("only `{PUBLISHER_PROVIDED}` may stand here");
        report.refuse(Issue::semantic(&meta.at(key), "meta-key-not-allowed", message));
    }
    check_size(&meta, report);
    let provided = meta.object(PUBLISHER_PROVIDED, "PublisherProvided", report);
    let connect = provided.and_then(|provided| provided.object("connect", "Connect", report));
    connect.map(|connect| read_connect(&connect, report)).unwrap_or_default()
}

fn check_size(meta: &Object<'_>, report: &mut Report) {
    let bytes = meta.value(PUBLISHER_PROVIDED).map_or(0, |value| value.to_string().len());
    if bytes > MAX_BYTES {
        let message = format!("has {bytes} bytes: at most {MAX_BYTES} are allowed");
        report.refuse(Issue::semantic(&meta.at(PUBLISHER_PROVIDED), "publisher-metadata-too-large", message));
    }
}

fn read_connect(connect: &Object<'_>, report: &mut Report) -> ConnectMetadata {
    for key in connect.keys().filter(|key| !["jwks_uri", "tls_pin_sha256"].contains(key)) {
        let message = "is not known, and has no effect";
        report.warn(Issue::linter(&connect.at(key), "unknown-connect-key", message));
    }
    ConnectMetadata { jwks_uri: jwks_uri(connect, report), tls_pin_sha256: tls_pin(connect, report) }
}

fn jwks_uri(connect: &Object<'_>, report: &mut Report) -> Option<String> {
    let uri = connect.text("jwks_uri", report)?;
    let check = if report.rules().allow_insecure_endpoints { check_http } else { check_https };
    if let Err(error) = check(uri) {
        report.refuse(Issue::semantic(&connect.at("jwks_uri"), "invalid-jwks-uri", error.to_string()));
        return None;
    }
    Some(uri.to_owned())
}

fn tls_pin(connect: &Object<'_>, report: &mut Report) -> Option<String> {
    let pin = connect.text("tls_pin_sha256", report)?;
    let is_hex = pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_base64 = STANDARD.decode(pin).is_ok_and(|hash| hash.len() == 32);
    if !is_hex && !is_base64 {
        let message = "must be a SHA-256 as base64, or as 64 hexadecimal digits";
        report.refuse(Issue::semantic(&connect.at("tls_pin_sha256"), "invalid-tls-pin", message));
        return None;
    }
    Some(pin.to_owned())
}
