//! From bytes to a JSON object, with everything bounded before anything is built.

use super::Issue;
use crate::name::excerpt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};

/// The largest document in bytes. Every document lives in the memory of every replica.
const MAX_BYTES: usize = 256 * 1024;

/// The deepest nesting of objects and arrays, the outermost included.
const MAX_DEPTH: usize = 32;

/// Reads `raw` as the text of one JSON object.
pub(super) fn read(raw: &[u8]) -> Result<(&str, Map<String, Value>), Issue> {
    if raw.len() > MAX_BYTES {
        let message = format!("the document has {} bytes: at most {MAX_BYTES} are allowed", raw.len());
        return Err(Issue::json("document-too-large", message));
    }
    let text = str::from_utf8(raw).map_err(|error| Issue::json("not-utf-8", error.to_string()))?;
    scan(text).map_err(|error| Issue::json("invalid-json", error.to_string()))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok((text, fields)),
        Ok(_) => Err(Issue::json("not-an-object", "a server.json is a JSON object: begin with `{`")),
        Err(error) => Err(Issue::json("invalid-json", error.to_string())),
    }
}

/// Walks the whole text without keeping it. Errors say the line and column.
fn scan(text: &str) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Scan { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Walks one value: refuses repeated keys, which parsers resolve in different ways, and deep nesting.
#[derive(Clone, Copy)]
struct Scan {
    depth: usize,
}

impl Scan {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Scan {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut keys = BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("the key `{}` is repeated", excerpt(&key))));
            }
            keys.insert(key);
            members.next_value_seed(inside)?;
        }
        Ok(())
    }
}
