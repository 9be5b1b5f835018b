//! Style sheet, script and picture. Their names hold the hashes of their contents, so that browsers keep them for good and
//! never mix those of two releases.

use super::{fault::Fault, visit::Path};
use crate::{api::hex, problem::Problem};
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A file that is a part of this program.
pub(super) struct Asset {
    /// Where it is found.
    pub(super) path: String,
    text: &'static str,
    kind: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = hex(&Sha256::digest(text)[..8]);
        Self { path: format!("/console/assets/{name}.{hash}.{extension}"), text, kind }
    }
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", "text/css; charset=utf-8", include_str!("console.css")));

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "js", "text/javascript; charset=utf-8", include_str!("console.js"))
});

pub(super) static PICTURE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark", "svg", "image/svg+xml", include_str!("mark.svg")));

pub(super) async fn show(Path(file): Path<String>) -> Result<Response, Fault> {
    let all = [&*STYLE, &*SCRIPT, &*PICTURE];
    let asset = all.into_iter().find(|asset| asset.path.strip_prefix("/console/assets/") == Some(&file));
    let asset = asset.ok_or_else(|| Problem::not_found("not_found", "there is no such file"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, asset.text).into_response())
}
