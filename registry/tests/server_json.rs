//! `server.json`, names, versions, URL templates and globs: the rules as pages to read, the properties that
//! no input may break, and the entries of the official registry as they were in January 2026.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "server_json/page.rs"]
mod page;
#[path = "server_json/properties.rs"]
mod properties;
#[path = "server_json/real_data.rs"]
mod real_data;
#[path = "server_json/rules.rs"]
mod rules;
#[path = "server_json/urls.rs"]
mod urls;
#[path = "server_json/values.rs"]
mod values;
