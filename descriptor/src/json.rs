//! JSON objects whose keys are unique at every depth.
//!
//! RFC 8259 §4 leaves the meaning of a repeated key to the reader, so two readers of one signed text could
//! see two different claims. RFC 7515 §4 and RFC 7519 §4 allow refusing them; this module does.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON object, as parsed.
pub(crate) type Object = Map<String, Value>;

/// Why a text is not an object with unique keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Not JSON, not UTF-8, more than one value, nested too deeply, or not an object.
    Malformed,
    /// Some object in it has a key twice.
    DuplicateKey,
}

/// Parses one object and nothing after it but white space.
pub(crate) fn object(bytes: &[u8]) -> Result<Object, JsonError> {
    match serde_json::from_slice::<Unique>(bytes) {
        Ok(Unique(Value::Object(object))) => Ok(object),
        Ok(_) => Err(JsonError::Malformed),
        // The visitor below raises one error of its own, and accepts every type: a data error is that one.
        Err(error) if error.is_data() => Err(JsonError::DuplicateKey),
        Err(_) => Err(JsonError::Malformed),
    }
}

/// A JSON value in which no object has a key twice. `serde_json` itself bounds the nesting, at 128.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with unique keys")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let Unique(value) = members.next_value()?;
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_once_at_every_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"o":{"a":1,"a":2}}"#,
            r#"{"l":[{"a":1,"a":1}]}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(object(text.as_bytes()), Err(JsonError::DuplicateKey), "{text}");
        }
    }

    #[test]
    fn only_one_whole_object_is_an_object() {
        let deep = "[".repeat(100_000);
        for text in
            ["", "{", "[]", "null", "{} {}", "{}x", r#"{"a":01}"#, r#"{"a":1e999}"#, "{'a':1}", deep.as_str()]
        {
            assert_eq!(object(text.as_bytes()), Err(JsonError::Malformed), "{text:.40}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(JsonError::Malformed), "not UTF-8");
    }

    #[test]
    fn values_arrive_as_they_were_written() {
        let text = r#"{"b":[true,null,-1,1.5,"x"],"n":18446744073709551615}"#;
        let parsed = object(text.as_bytes()).map(Value::Object);
        assert_eq!(parsed.map(|value| value.to_string()), Ok(text.to_owned()));
    }
}
