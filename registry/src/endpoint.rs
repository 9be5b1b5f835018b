//! Where servers are reached: endpoints, and the URL templates that publishers write for them.

mod pattern;
mod template;

pub(crate) use template::placeholders;
pub use template::{ExpandError, UrlTemplate, Variable};

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use url::{Host, Position, Url};

/// The longest URL in bytes, as a template and as expanded. It is the audience of every descriptor, and
/// a descriptor has at most 8 KiB.
const MAX_URL_BYTES: usize = 2048;

/// Why a text is no endpoint, or no template of one. The messages say what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum UrlError {
    #[error("a URL has at most {MAX_URL_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    #[error("`{0}` may not stand in a URL: percent-encode it (in a host name: use Punycode)")]
    Character(char),
    #[error("`%{0}` is no usable escape: `%` is followed by two hexadecimal digits, other than `00`")]
    Escape(String),
    #[error("the URL must be absolute: begin with `https://` and a host")]
    NotAbsolute,
    #[error("the URL is malformed: {0}")]
    Malformed(#[from] url::ParseError),
    #[error("the URL must begin with `https://`, not with `{0}:`")]
    Scheme(String),
    #[error("the URL must not carry a user name or password")]
    UserInfo,
    #[error("the URL must not have a fragment (`#…`)")]
    Fragment,
    #[error("`{0}` is this machine itself: name a host that clients can reach")]
    Loopback(String),
    #[error("a brace is not closed, not opened, or holds no name of letters, digits, `.`, `_` and `-`")]
    Braces,
    #[error("the placeholder `{{{0}}}` is not declared in `variables`")]
    Undeclared(String),
    #[error("the placeholder `{{{0}}}` stands in the scheme or host, where its variable must list `choices`")]
    NeedsChoices(String),
    #[error("a URL has at most {0} placeholders")]
    TooManyPlaceholders(usize),
    #[error("the choices in the scheme and host combine to more than {0} origins")]
    TooManyOrigins(usize),
    #[error("a URL with placeholders must not contain `.` or `..` as a segment of its path")]
    DotSegment,
}

/// A URL at which a server is reached.
///
/// It is kept in two forms. As written, byte for byte, it is a descriptor's audience, for the server
/// publishes just these bytes as its RFC 9728 resource. Normalised (RFC 3986 §6.2.2: case, percent-encoding,
/// dot segments, default port), it says whether two endpoints are one and the same: equality, order and
/// hash regard this form alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    written: String,
    normalised: String,
}

impl Endpoint {
    /// Parses an absolute `https` or `http` URL without user information and fragment.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check_text(text)?;
        if text.contains(['{', '}']) {
            return Err(UrlError::Braces);
        }
        let url = parse_absolute(text)?;
        let normalised = format!("{}{}", origin(&url), normalise_escapes(&url[Position::BeforePath..]));
        Ok(Self { written: text.into(), normalised })
    }

    /// The URL as its publisher wrote it, values filled in: the `aud` of a descriptor.
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The URL in the one form that all its spellings share.
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// The normalised scheme, host and port, as in [`UrlTemplate::origin_choices`].
    pub fn origin(&self) -> &str {
        let end = end_of_origin(&self.normalised).unwrap_or(self.normalised.len());
        &self.normalised[..end]
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.normalised == other.normalised
    }
}

impl Eq for Endpoint {}

impl PartialOrd for Endpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Endpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normalised.cmp(&other.normalised)
    }
}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normalised.hash(state);
    }
}

/// Whether `text` is an absolute `https` URL, for fields that only point somewhere.
pub(crate) fn check_https(text: &str) -> Result<(), UrlError> {
    let url = parse_absolute(text)?;
    if url.scheme() == "https" { Ok(()) } else { Err(UrlError::Scheme(url.scheme().into())) }
}

/// Whether `text` is an absolute `https` or `http` URL, for fields that only point somewhere.
pub(crate) fn check_http(text: &str) -> Result<(), UrlError> {
    parse_absolute(text).map(drop)
}

/// Refuses what URL parsers read in different ways, or silently drop: white space and control
/// characters, the backslash, a fragment, broken escapes and an escaped NUL. What remains is printable ASCII.
fn check_text(text: &str) -> Result<(), UrlError> {
    if text.len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong(text.len()));
    }
    let forbidden = |character: char| !character.is_ascii_graphic() || r#"\"<>^`|"#.contains(character);
    match text.chars().find(|&character| character == '#' || forbidden(character)) {
        None => check_escapes(text),
        Some('#') => Err(UrlError::Fragment),
        Some(character) => Err(UrlError::Character(character)),
    }
}

fn check_escapes(text: &str) -> Result<(), UrlError> {
    let broken = |piece: &&str| escaped_byte(piece).is_none_or(|byte| byte == 0);
    match text.split('%').skip(1).find(broken) {
        Some(piece) => Err(UrlError::Escape(piece.chars().take(2).collect())),
        None => Ok(()),
    }
}

/// The byte at which path or query begin, given that a scheme and a host stand before them.
fn end_of_origin(text: &str) -> Result<usize, UrlError> {
    // The `url` crate reads `https:host` and `https:///host` as if they were well-formed; others do not.
    let host = text.find("://").ok_or(UrlError::NotAbsolute)? + "://".len();
    let end = text[host..].find(['/', '?']).map_or(text.len(), |at| host + at);
    if end == host { Err(UrlError::NotAbsolute) } else { Ok(end) }
}

fn parse_absolute(text: &str) -> Result<Url, UrlError> {
    let before_path = &text[..end_of_origin(text)?];
    if before_path.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let url = Url::parse(text)?;
    match url.scheme() {
        "https" | "http" if host(&url).is_empty() => Err(UrlError::NotAbsolute),
        "https" | "http" => Ok(url),
        scheme => Err(UrlError::Scheme(scheme.into())),
    }
}

/// The host without the dot that stands for the root of all domain names.
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_end_matches('.')
}

/// Refuses what only a development cluster may publish: plain `http`, and the machine itself as host.
fn check_public(url: &Url) -> Result<(), UrlError> {
    if url.scheme() != "https" {
        return Err(UrlError::Scheme(url.scheme().into()));
    }
    let loopback = match url.host() {
        Some(Host::Domain(_)) => host(url) == "localhost" || host(url).ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            let ip = ip.to_canonical();
            ip.is_loopback() || ip.is_unspecified()
        }
        None => false,
    };
    if loopback { Err(UrlError::Loopback(host(url).into())) } else { Ok(()) }
}

/// `https://host[:port]`, in lower case, without a default port and without the root's dot.
fn origin(url: &Url) -> String {
    let (scheme, host) = (url.scheme(), host(url));
    match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// Decodes escapes of unreserved characters and upper-cases the others (RFC 3986 §6.2.2.1 and §6.2.2.2).
fn normalise_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut normal = String::from(pieces.next().unwrap_or_default());
    for piece in pieces {
        match escaped_byte(piece) {
            Some(byte) => {
                push_escaped(&mut normal, byte);
                normal.push_str(&piece[2..]);
            }
            None => {
                normal.push('%');
                normal.push_str(piece);
            }
        }
    }
    normal
}

/// The byte that the two hexadecimal digits at the start of `digits` stand for.
fn escaped_byte(digits: &str) -> Option<u8> {
    let digits = digits.get(..2).filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// The value that [`escape`] made this of; none if it made nothing of the kind.
fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(escaped_byte(piece)?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

/// RFC 3986 §2.3: the characters that mean the same with and without an escape.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Escapes every byte that is not unreserved, so that a value stays one value wherever it is put.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    value.bytes().for_each(|byte| push_escaped(&mut escaped, byte));
    escaped
}

fn push_escaped(text: &mut String, byte: u8) {
    if is_unreserved(byte) {
        text.push(char::from(byte));
    } else {
        text.push_str(&format!("%{byte:02X}"));
    }
}
