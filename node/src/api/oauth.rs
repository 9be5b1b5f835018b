//! The OAuth face: for MCP clients that know OAuth and nothing of us, a descriptor is an access token.
//!
//! Nothing is decided here. The endpoints read OAuth's forms and put the question to the same desk as
//! `/v1/connect`; what comes back is said in OAuth's words.

mod assertion;
mod client;
mod form;
mod introspect;
mod replay;
mod token;

pub(crate) use introspect::*;
pub(crate) use replay::Replays;
pub(crate) use token::*;

use crate::problem::{OAuthBody, OAuthProblem};

/// No grant that begins with a person in front of a browser is given.
#[utoipa::path(
    get, path = "/oauth2/authorize", tag = "connect",
    responses((status = 400, description = "`unsupported_response_type`", body = OAuthBody))
)]
pub(crate) async fn authorize() -> OAuthProblem {
    OAuthProblem::unsupported_response()
}
