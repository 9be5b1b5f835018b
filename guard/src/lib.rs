//! The gate that an MCP server puts in front of itself.
//!
//! A registry that is a Connect Authority says *whether* a client may connect; the MCP server is where that
//! word is kept. This crate is the place for the tower layer that does so: it will demand a descriptor in the
//! `MCP-Connect` header, verify it offline with [`hapi_descriptor::verify`], bind it to a session, ask for a
//! refresh before it ends, and close what is out when the revocation feed says so.
//!
//! The layer is not here yet. What a server needs until then is two calls of the `hapi-descriptor` crate,
//! which stands alone:
//!
//! ```
//! use hapi_descriptor::{Expectations, KeySet, Refusal, verify};
//!
//! /// Whether the bearer of `token` may come in now. `jwks` is what any node of the cluster publishes at
//! /// `/.well-known/jwks.json`.
//! fn gate(token: &str, jwks: &[u8], now: u64) -> Result<String, Refusal> {
//!     let keys = KeySet::from_jwks(jwks).unwrap_or_default();
//!     let expected = Expectations {
//!         issuer: "https://registry.example",
//!         audience: "https://weather.example/mcp",
//!         server: Some("ai.acme/weather"),
//!     };
//!     verify(token, &keys, &expected, now).map(|verified| verified.claims.client.id)
//! }
//!
//! assert_eq!(gate("not a descriptor", b"{\"keys\":[]}", 0).unwrap_err().http_status(), 401);
//! ```
