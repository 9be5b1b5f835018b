//! Cookies, read and written.

use axum::http::{HeaderMap, HeaderValue, header};

/// Who is signed in.
pub(super) const SESSION: &str = "hapi-console";

/// Who is on the way to an identity provider and back.
pub(super) const SIGN_IN: &str = "hapi-console-sign-in";

/// A cookie of ours. Where the browser came by TLS its name has a prefix by which browsers hold that nobody has set it for
/// this host but the host itself, by TLS (`__Host-`).
pub(super) struct Cookie<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
    pub(super) is_secure: bool,
    pub(super) same_site: &'static str,
}

impl Cookie<'_> {
    /// The header that makes a browser keep it for so many seconds; for none, forget it.
    pub(super) fn kept(&self, seconds: u64) -> HeaderValue {
        let Self { name, value, is_secure, same_site } = self;
        let name = full_name(name, *is_secure);
        let secure = if *is_secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The value of the cookie with this name.
pub(super) fn find(headers: &HeaderMap, name: &str, is_secure: bool) -> Option<String> {
    let name = full_name(name, is_secure);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies =
        lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
}

fn full_name(name: &str, is_secure: bool) -> String {
    if is_secure { format!("__Host-{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(is_secure: bool) -> HeaderValue {
        Cookie { name: SESSION, value: "abc", is_secure, same_site: "Strict" }.kept(60)
    }

    #[test]
    fn a_cookie_is_for_this_host_and_for_no_script() {
        assert_eq!(cookie(false), "hapi-console=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        let secure = "__Host-hapi-console=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(cookie(true), secure);
    }

    #[test]
    fn where_tls_is_spoken_a_cookie_without_the_prefix_counts_for_nothing() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; hapi-console=plain"));
        assert_eq!(find(&headers, SESSION, true), None);
        assert_eq!(find(&headers, SESSION, false).as_deref(), Some("plain"));
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-hapi-console=good"));
        assert_eq!(find(&headers, SESSION, true).as_deref(), Some("good"));
    }
}
