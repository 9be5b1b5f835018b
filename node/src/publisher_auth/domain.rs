//! Domains that somebody may prove to hold.

use hapi_registry_state::Glob;
use std::str::FromStr;
use url::Host;

/// The longest name (RFC 1035 §2.3.4).
const MOST_BYTES: usize = 253;

/// A whole domain name, in lower case, and nothing that could be an address, a port or a name of an inner network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain(String);

/// The text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`domain` must be a domain name such as example.com, without scheme, port and path, IDNs as xn--…")]
pub(crate) struct DomainError;

impl Domain {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The namespace of the domain: its labels from the last to the first.
    pub(crate) fn namespace(&self) -> String {
        self.0.rsplit('.').collect::<Vec<_>>().join(".")
    }

    /// The namespace as a glob, and with `below` the namespaces of all domains below it.
    pub(crate) fn globs(&self, below: bool) -> Vec<Glob> {
        let own = self.namespace();
        let all = below.then(|| format!("{own}.*"));
        // A name of more than 198 letters is longer than any namespace, and so no glob either.
        [Some(own), all].into_iter().flatten().filter_map(|glob| glob.parse().ok()).collect()
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let name = text.to_ascii_lowercase();
        let has_form = name.len() <= MOST_BYTES && name.contains('.') && name.split('.').all(is_label);
        // The URL standard's parser knows all ways to write an address, and which IDNs are none.
        let is_name = |name: &str| Host::parse(name).is_ok_and(|host| host == Host::Domain(name.to_owned()));
        if has_form && is_name(&name) { Ok(Self(name)) } else { Err(DomainError) }
    }
}

/// Letters, digits and hyphens, none of these at an end (RFC 1123 §2.1).
fn is_label(label: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = label.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    bytes.len() <= 63 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_domain_is_a_namespace_with_its_labels_turned_round() {
        let domain: Domain = "MCP.Example.CO.uk".parse().unwrap();
        assert_eq!(
            (domain.as_str(), domain.namespace().as_str()),
            ("mcp.example.co.uk", "uk.co.example.mcp")
        );
        let globs = |below| domain.globs(below).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(globs(false), ["uk.co.example.mcp"]);
        assert_eq!(globs(true), ["uk.co.example.mcp", "uk.co.example.mcp.*"]);
    }

    #[test]
    fn names_that_can_be_registered_are_domains() {
        for text in ["example.com", "a.b", "xn--bcher-kva.example", "1and1.com", "a-b.c-d.example"] {
            assert!(text.parse::<Domain>().is_ok(), "{text}");
        }
    }

    #[test]
    fn addresses_ports_paths_and_inner_names_are_none() {
        let long = ["x".repeat(63).as_str(); 4].join(".");
        for text in [
            "",
            "localhost",
            "com",
            "127.0.0.1",
            "127.1",
            "0x7f.0.0.1",
            "1.2.3.4.5",
            "::1",
            "[::1]",
            "example.com:443",
            "example.com/",
            "example.com.",
            ".example.com",
            "a..example",
            "user@example.com",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a b.example",
            "a*.example",
            "*.example",
            "bücher.example",
            "xn--a.example",
            "example.com\n",
            "example.com\0",
            &format!("{}.example", "x".repeat(64)),
            &long,
        ] {
            assert!(text.parse::<Domain>().is_err(), "{text:?}");
        }
    }
}
