//! Cursors of the catalog: opaque to clients, valid on every node, and proof against tampering.
//!
//! A cursor carries the filter beside the place, because some clients repeat only the cursor when they
//! ask for the next page. Its text needs no escaping in a query, because some clients do not escape it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hapi_registry_state::{ListQuery, Position, Rank, Timestamp, Version, VersionFilter};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Half of an HMAC-SHA-256: enough against forgery of something that grants nothing by itself.
const TAG: usize = 16;

/// The keys that all nodes of a cluster share. While the cluster secret is being changed there are two: the first
/// writes, both are good to read, so that a page of one node leads to the next page of any other.
pub(crate) struct CursorKeys(Vec<[u8; 32]>);

/// What stands in a cursor. Names are short, because cursors travel in URLs.
#[derive(Serialize, Deserialize)]
struct Fields {
    n: String,
    v: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<Rank>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    f: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    d: bool,
}

impl CursorKeys {
    pub(crate) fn new(keys: Vec<[u8; 32]>) -> Self {
        Self(keys)
    }

    /// The cursor for the page behind `query.after`; nothing if there is no such page.
    pub(crate) fn write(&self, query: &ListQuery) -> Option<String> {
        let Position { rank, name, version } = query.after.as_ref()?;
        let fields = Fields {
            n: name.to_string(),
            v: version.to_string(),
            r: *rank,
            s: query.search.clone(),
            u: query.updated_since,
            f: match &query.version {
                VersionFilter::Any => None,
                VersionFilter::Latest => Some("latest".into()),
                VersionFilter::Exact(version) => Some(version.to_string()),
            },
            d: query.include_deleted,
        };
        let mut bytes = serde_json::to_vec(&fields).ok()?;
        let tag = tag(self.0.first()?, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG]);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The query that continues at `cursor`, for a page of `limit`; nothing if we did not write it.
    pub(crate) fn read(&self, cursor: &str, limit: usize) -> Option<ListQuery> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (fields, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        self.0.iter().find(|key| self::tag(key, fields).verify_truncated_left(tag).is_ok())?;
        let fields: Fields = serde_json::from_slice(fields).ok()?;
        let version = Version::parse_imported(&fields.v).ok()?;
        Some(ListQuery {
            after: Some(Position { rank: fields.r, name: fields.n.parse().ok()?, version }),
            limit,
            updated_since: fields.u,
            search: fields.s,
            version: match fields.f.as_deref() {
                None => VersionFilter::Any,
                Some("latest") => VersionFilter::Latest,
                Some(version) => VersionFilter::Exact(Version::parse_imported(version).ok()?),
            },
            include_deleted: fields.d,
        })
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn tag(key: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length").chain_update(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn query() -> ListQuery {
        ListQuery {
            after: Some(Position {
                rank: Some(17),
                name: "ai.acme/weather".parse().unwrap(),
                version: Version::parse_imported("1.0.0").unwrap(),
            }),
            limit: 30,
            updated_since: Some(Timestamp::from_seconds(1_700_000_000)),
            search: Some("wéather".into()),
            version: VersionFilter::Latest,
            include_deleted: true,
        }
    }

    #[test]
    fn a_cursor_comes_back_with_place_and_filter() {
        let key = CursorKeys::new(vec![[7; 32]]);
        let back = key.read(&key.write(&query()).unwrap(), 30).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", query()));
    }

    #[test]
    fn the_first_key_writes_and_each_reads() {
        let keys = |bytes: &[u8]| CursorKeys::new(bytes.iter().map(|byte| [*byte; 32]).collect());
        let cursor = keys(&[8, 7]).write(&query()).unwrap();
        assert!(keys(&[7, 8]).read(&cursor, 30).is_some());
        assert!(keys(&[8]).read(&cursor, 30).is_some());
        assert!(keys(&[7]).read(&cursor, 30).is_none());
    }

    #[test]
    fn a_changed_or_foreign_cursor_is_nothing() {
        let key = CursorKeys::new(vec![[7; 32]]);
        let cursor = key.write(&query()).unwrap();
        assert!(CursorKeys::new(vec![[8; 32]]).read(&cursor, 30).is_none());
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(key.read(std::str::from_utf8(&bytes).unwrap(), 30).is_none(), "at {at}");
        }
        for cursor in ["", "AAAA", "!", &"A".repeat(100_000)] {
            assert!(key.read(cursor, 30).is_none());
        }
    }
}
