//! Names: of servers and namespaces, of clients and tenants, and references to a server.
//!
//! Every name is one shared string that was checked when it was made, so that a clone is a pointer copy
//! and nothing behind the edge asks again whether a name is well-formed.

use crate::version::{Version, VersionError};
use std::{fmt, str::FromStr};

/// Defines a shared string that is well-formed by construction: parsing is its only door, for callers
/// (`parse`, `FromStr`) and for data (`Deserialize`) alike.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $error:ty, $check:expr, $deserialize:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(::std::sync::Arc<str>);

        impl $name {
            /// Checks `text` and keeps it unchanged.
            pub fn parse(text: &str) -> Result<Self, $error> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl ::std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                $deserialize(&text).map_err(::serde::de::Error::custom)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident, $error:ty, $check:expr) => {
        text_type!($(#[$doc])* $name, $error, $check, $name::parse);
    };
}
pub(crate) use text_type;

/// Why a text is no server name, or no namespace. The messages say what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum NameError {
    #[error("a server name has 3 to 200 characters, this one has {0}")]
    Length(usize),
    #[error("`{0}` has no slash: a server name is `namespace/name`, such as `ai.acme/weather`")]
    NoSlash(String),
    #[error("`{0}` has more than one slash: a server name is `namespace/name`, such as `ai.acme/weather`")]
    ManySlashes(String),
    #[error(
        "the namespace `{0}` must consist of letters, digits, `.` and `-`, and begin and end with a letter or digit"
    )]
    Namespace(String),
    #[error(
        "the name `{0}` must consist of letters, digits, `.`, `_` and `-`, and begin and end with a letter or digit"
    )]
    Name(String),
}

/// Why a text is no id of a client, a tenant, a mirror, a webhook or an identity provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no id: use 1 to 63 lower-case letters, digits, `.` and `-`, beginning with a letter or digit"
)]
pub struct IdError(String);

text_type! {
    /// The name of a server, `namespace/name`, unique in the catalog; case counts.
    ///
    /// 3 to 200 characters of ASCII, one slash, each part beginning and ending with a letter or digit
    /// (the `name` rule of `server.json`).
    ServerName, NameError, check_server_name
}

text_type! {
    /// The part of a server name before the slash: who publishes, as a reversed domain name.
    Namespace, NameError, check_namespace
}

text_type! {
    /// The id of a client: what asks for descriptors.
    ClientId, IdError, check_id
}

text_type! {
    /// The id of a tenant: whom clients belong to.
    TenantId, IdError, check_id
}

text_type! {
    /// The id of a mirror: which other registry a server was taken from.
    MirrorId, IdError, check_id
}

text_type! {
    /// The id of a webhook: who is told of what is done.
    WebhookId, IdError, check_id
}

text_type! {
    /// The id of an identity provider.
    IdentityProviderId, IdError, check_id
}

impl ServerName {
    /// The part before the slash.
    pub fn namespace(&self) -> Namespace {
        Namespace(self.parts().0.into())
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

fn check_server_name(text: &str) -> Result<(), NameError> {
    let (namespace, name) = text.split_once('/').ok_or_else(|| NameError::NoSlash(excerpt(text)))?;
    if name.contains('/') {
        return Err(NameError::ManySlashes(excerpt(text)));
    }
    let length = text.chars().count();
    if !(3..=200).contains(&length) {
        return Err(NameError::Length(length));
    }
    check_namespace(namespace)?;
    if is_word(name, b"._-") { Ok(()) } else { Err(NameError::Name(excerpt(name))) }
}

fn check_namespace(text: &str) -> Result<(), NameError> {
    // 198 of 200 leaves room for the slash and a name of one character.
    if text.len() <= 198 && is_word(text, b".-") { Ok(()) } else { Err(NameError::Namespace(excerpt(text))) }
}

fn check_id(text: &str) -> Result<(), IdError> {
    let lower = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| lower(&byte) || b".-".contains(&byte);
    if text.len() <= 63 && text.as_bytes().first().is_some_and(lower) && text.bytes().all(inner) {
        Ok(())
    } else {
        Err(IdError(excerpt(text)))
    }
}

/// Whether `text` is made of ASCII letters, digits and `marks`, with no mark at either end.
fn is_word(text: &str, marks: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let at_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    at_end(bytes.first())
        && at_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(byte))
}

/// At most the first 80 characters: a message must not carry an attacker's megabyte back.
pub(crate) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut start: String = chars.by_ref().take(80).collect();
    if chars.next().is_some() {
        start.push('…');
    }
    start
}

/// What a caller asks for: a server, or one version of it.
///
/// ```
/// use hapi_registry_state::ServerRef;
/// let pinned: ServerRef = "ai.acme/weather@1.2.0".parse()?;
/// assert_eq!(pinned.name.namespace().as_str(), "ai.acme");
/// assert_eq!(pinned.version.unwrap().as_str(), "1.2.0");
/// let newest: ServerRef = "ai.acme/weather".parse()?;
/// assert_eq!(newest.version, None);
/// # Ok::<(), hapi_registry_state::RefError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ServerRef {
    /// The server.
    pub name: ServerName,
    /// The version, or none where the registry shall choose.
    pub version: Option<Version>,
}

/// Why a text is no reference to a server. Each message says what is wrong and what would be right.
///
/// ```
/// use hapi_registry_state::ServerRef;
/// let why = |text: &str| text.parse::<ServerRef>().unwrap_err().to_string();
/// assert_eq!(why("weather"), "`weather` has no slash: a server name is `namespace/name`, such as `ai.acme/weather`");
/// assert_eq!(why("ai.acme/weather@"), "nothing follows the `@`: write `ai.acme/weather@1.2.0`, or leave the `@` out");
/// assert_eq!(why("ai.acme/weather@latest"), "`latest` is no version: write `ai.acme/weather` for the latest one");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum RefError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("nothing follows the `@`: write `{0}@1.2.0`, or leave the `@` out")]
    NoVersion(ServerName),
    #[error("`latest` is no version: write `{0}` for the latest one")]
    Latest(ServerName),
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl FromStr for ServerRef {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        // A name never contains `@`, a version may.
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self { name: text.parse()?, version: None });
        };
        let name: ServerName = name.parse()?;
        match version {
            "" => Err(RefError::NoVersion(name)),
            "latest" => Err(RefError::Latest(name)),
            // Imported versions break today's rules, and can be asked for all the same.
            _ => Ok(Self { version: Some(Version::parse_imported(version)?), name }),
        }
    }
}

impl fmt::Display for ServerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}
