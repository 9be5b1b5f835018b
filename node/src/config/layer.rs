//! One source of configuration: the file, a variable or a flag.

use super::error::ConfigError;
use super::key::{KEYS, Key, Kind, nearest};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use std::path::Path;

/// Variables that other parts of this program, and its tests, read by themselves.
const OTHER_VARIABLES: &[&str] = &[
    "HAPI_CONFIG",
    "HAPI_NODES",
    "HAPI_CA",
    "HAPI_TOKEN",
    "HAPI_TOKEN_FILE",
    "HAPI_OUTPUT",
    "HAPI_FIXTURES",
    "HAPI_FAULTS",
    // What `dev` writes into tokens.env; a shell that read it may well start a node next.
    "HAPI_OPERATOR_TOKEN",
    "HAPI_MODERATOR_TOKEN",
    "HAPI_PUBLISHER_TOKEN",
    "HAPI_CLIENT_TOKEN",
    "HAPI_AUDITOR_TOKEN",
    // Read when this program is compiled.
    "HAPI_GIT_COMMIT",
    "HAPI_BUILD_TIME",
];

/// One source of configuration, with the name under which errors blame it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    name: String,
    values: Dict,
}

impl Layer {
    /// The TOML file at `path`.
    pub(super) fn file(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::File { file: name.clone(), message: error.to_string() })?;
        Self::toml(name, &text)
    }

    /// The TOML in `text`, which is called `name`.
    pub(super) fn toml(name: String, text: &str) -> Result<Self, ConfigError> {
        let table: Dict = toml::from_str(text)
            .map_err(|error| ConfigError::File { file: name.clone(), message: error.to_string() })?;
        let mut layer = Self { name, values: Dict::new() };
        for (path, value) in leaves(table) {
            let key = Key::named(&path).ok_or_else(|| unknown_key(&layer.name, path))?;
            layer.put(key, value);
        }
        Ok(layer)
    }

    /// One layer for each `HAPI_*` variable that names a key. An empty variable counts as absent, since
    /// compose files cannot leave one out.
    pub(super) fn variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<Self>, ConfigError> {
        let ours = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with("HAPI_") && !OTHER_VARIABLES.contains(&name.as_str()));
        let mut layers = Vec::new();
        for (variable, text) in ours {
            let key = KEYS.iter().find(|key| key.variable() == variable);
            let key = key.ok_or_else(|| unknown_variable(&variable))?;
            layers.extend((!text.is_empty()).then(|| Self::one(variable, key, text)));
        }
        Ok(layers)
    }

    /// What a flag says.
    pub(crate) fn flag(key: &Key, text: String) -> Self {
        Self::one(format!("--{}", key.flag), key, text)
    }

    fn one(name: String, key: &Key, text: String) -> Self {
        let mut layer = Self { name, values: Dict::new() };
        layer.put(key, Value::from(text));
        layer
    }

    fn put(&mut self, key: &Key, value: Value) {
        let mut here = &mut self.values;
        let mut parts = key.name.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                here.insert(part.into(), typed(key.kind, value));
                return;
            }
            let table = here.entry(part.into()).or_insert_with(|| Value::from(Dict::new()));
            let Value::Dict(_, inner) = table else { return };
            here = inner;
        }
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// A text as the value that its key wants. What cannot be read stays a text, and figment says what was
/// expected.
fn typed(kind: Kind, value: Value) -> Value {
    let Some(text) = value.as_str() else { return value };
    match kind {
        Kind::Text => value,
        Kind::Number => text.trim().parse::<u64>().map_or(value.clone(), Value::from),
        Kind::Ratio => text.trim().parse::<f64>().map_or(value.clone(), Value::from),
        Kind::Switch => text.trim().parse::<bool>().map_or(value.clone(), Value::from),
        Kind::Json => serde_json::from_str(text).unwrap_or(value),
        Kind::List => {
            Value::from(text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>())
        }
    }
}

/// Every value that is no table, with its dotted path.
fn leaves(table: Dict) -> Vec<(String, Value)> {
    let branch = |(name, value): (String, Value)| match value {
        Value::Dict(_, inner) if !inner.is_empty() => {
            leaves(inner).into_iter().map(|(path, value)| (format!("{name}.{path}"), value)).collect()
        }
        value => vec![(name, value)],
    };
    table.into_iter().flat_map(branch).collect()
}

fn unknown_key(file: &str, key: String) -> ConfigError {
    let nearest = nearest(&key, KEYS.iter().map(|key| key.name.to_owned()));
    ConfigError::UnknownKey { file: file.into(), key, nearest }
}

fn unknown_variable(variable: &str) -> ConfigError {
    let others = OTHER_VARIABLES.iter().map(|name| (*name).to_owned());
    let nearest = nearest(variable, KEYS.iter().map(Key::variable).chain(others));
    ConfigError::UnknownVariable { variable: variable.into(), nearest }
}
