//! One text for all JSON texts that mean the same.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The SHA-256 of `values`, whatever the order of keys and the white space they were written with.
pub(super) fn digest(values: &[&Value]) -> [u8; 32] {
    let mut text = String::new();
    values.iter().for_each(|value| write(value, &mut text));
    Sha256::digest(text).into()
}

/// Appends `value` with sorted keys and without white space. Keys are sorted here, for `serde_json` keeps
/// them in the order in which they were written when any crate of the build asks it to.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, member) in members {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(member, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
