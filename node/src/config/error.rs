//! Why a node cannot start with the configuration that it was given.

use thiserror::Error;

/// A configuration that cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read, or is no TOML.
    #[error("configuration file {file}: {}", .message.trim_end())]
    File {
        /// Its path.
        file: String,
        /// What went wrong, with the place if it has one.
        message: String,
    },
    /// The file has a key that nothing knows.
    #[error("configuration file {file}: unknown key `{key}`: did you mean `{nearest}`?")]
    UnknownKey {
        /// The file's path.
        file: String,
        /// The key.
        key: String,
        /// The known key that is most like it.
        nearest: String,
    },
    /// The environment has a `HAPI_` variable that nothing knows.
    #[error("unknown variable {variable}: did you mean {nearest}?")]
    UnknownVariable {
        /// The variable.
        variable: String,
        /// The known variable that is most like it.
        nearest: String,
    },
    /// A value of the wrong type.
    #[error("{origin}: `{key}`: {message}")]
    Value {
        /// The file, the variable or the flag.
        origin: String,
        /// The key.
        key: String,
        /// What was found, and what is wanted.
        message: String,
    },
    /// Values that are well-formed, and cannot be right.
    #[error("{}", .0.join("\n"))]
    Invalid(
        /// One sentence for each broken rule.
        Vec<String>,
    ),
}

impl ConfigError {
    pub(super) fn from_figment(error: figment::Error) -> Self {
        let origin = error.metadata.as_ref().map_or("the defaults".into(), |source| source.name.to_string());
        Self::Value { origin, key: error.path.join("."), message: error.kind.to_string() }
    }
}
