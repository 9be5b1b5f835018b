//! Who may call which operation: one row for each.
//!
//! The description takes `security` and `x-roles` of an operation from here, and the tests call every operation as
//! everybody. A handler checks for itself, before it does anything; one that checks something else than its row says
//! fails `cluster-tests/tests/roles.rs`, and an operation without a row fails the test below.

use hapi_registry_state::{Right, Role};
use serde_json::{Value, json};

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Anybody: what it holds is no secret, or it takes proofs of its own instead of a token.
    Anyone,
    /// Whoever has the right.
    With(Right),
    /// The same, and where the setting `anonymous_reads` is on, anybody.
    Readers,
    /// These roles, which prove themselves in OAuth's ways.
    OAuth(&'static [Role]),
}

use Callers::{Anyone, OAuth, Readers, With};
use Right::{Connect, Moderate, Operate, Publish, ReadGovernance};

type Row = (&'static str, &'static str, Callers);

/// Method and path as in the description, and who may.
const ROWS: &[Row] = &[
    ("get", "/v0.1/servers", Readers),
    ("get", "/v0.1/servers/{server_name}/versions", Readers),
    ("get", "/v0.1/servers/{server_name}/versions/{version}", Readers),
    ("put", "/v0.1/servers/{server_name}/versions/{version}", With(Publish)),
    ("delete", "/v0.1/servers/{server_name}/versions/{version}", With(Publish)),
    ("patch", "/v0.1/servers/{server_name}/versions/{version}/status", With(Publish)),
    ("patch", "/v0.1/servers/{server_name}/status", With(Publish)),
    ("post", "/v0.1/publish", With(Publish)),
    ("post", "/v0.1/validate", Anyone),
    ("post", "/v0.1/auth/dns", Anyone),
    ("post", "/v0.1/auth/http", Anyone),
    ("post", "/v0.1/auth/oidc", Anyone),
    ("post", "/v0.1/auth/github-oidc", Anyone),
    ("post", "/v0.1/auth/github-at", Anyone),
    ("post", "/v0.1/auth/none", Anyone),
    ("get", "/v0.1/health", Anyone),
    ("get", "/v0.1/ping", Anyone),
    ("get", "/v0.1/version", Anyone),
    ("post", "/v0.1/x/ai.com.mcp/connect", With(Connect)),
    ("post", "/v1/connect", With(Connect)),
    ("get", "/v1/servers", Readers),
    ("get", "/oauth2/authorize", Anyone),
    ("post", "/oauth2/token", OAuth(&[Role::Client])),
    ("post", "/oauth2/introspect", OAuth(&[Role::Client, Role::Moderator, Role::Auditor, Role::Operator])),
    ("get", "/v1/revocations", Anyone),
    ("get", "/v1/revocations/stream", Anyone),
    ("post", "/v1/moderation", With(Moderate)),
    ("get", "/v1/moderation", With(ReadGovernance)),
    ("get", "/v1/moderation/requests", With(ReadGovernance)),
    ("post", "/v1/moderation/requests/{id}/confirm", With(Moderate)),
    ("post", "/v1/moderation/requests/{id}/reject", With(Moderate)),
    ("post", "/v1/tokens", With(Operate)),
    ("get", "/v1/tokens", With(ReadGovernance)),
    ("get", "/v1/tokens/{id}", With(ReadGovernance)),
    ("delete", "/v1/tokens/{id}", With(Operate)),
    ("get", "/v1/identity-providers", With(ReadGovernance)),
    ("get", "/v1/identity-providers/{id}", With(ReadGovernance)),
    ("put", "/v1/identity-providers/{id}", With(Operate)),
    ("delete", "/v1/identity-providers/{id}", With(Operate)),
    ("get", "/v1/clients", With(ReadGovernance)),
    ("put", "/v1/clients/{id}", With(Operate)),
    ("get", "/v1/tenants", With(ReadGovernance)),
    ("put", "/v1/tenants/{id}", With(Operate)),
    ("put", "/v1/namespaces/{namespace}", With(Operate)),
    ("get", "/v1/keys", With(ReadGovernance)),
    ("post", "/v1/keys/{kid}/revoke", With(Operate)),
    ("post", "/v1/keys/{kid}/retire", With(Operate)),
    ("post", "/v1/keys/rotate", With(Operate)),
    ("get", "/v1/settings", With(ReadGovernance)),
    ("patch", "/v1/settings", With(Operate)),
    ("post", "/v1/import", With(Operate)),
    ("get", "/v1/mirrors", With(ReadGovernance)),
    ("get", "/v1/mirrors/{id}", With(ReadGovernance)),
    ("put", "/v1/mirrors/{id}", With(Operate)),
    ("delete", "/v1/mirrors/{id}", With(Operate)),
    ("post", "/v1/mirrors/{id}/entries", With(Operate)),
    ("get", "/v1/audit", With(ReadGovernance)),
    ("get", "/v1/audit/head", With(ReadGovernance)),
    ("get", "/v1/events", With(ReadGovernance)),
    ("get", "/v1/webhooks", With(ReadGovernance)),
    ("post", "/v1/webhooks", With(Operate)),
    ("put", "/v1/webhooks/{id}", With(Operate)),
    ("delete", "/v1/webhooks/{id}", With(Operate)),
    ("get", "/v1/cluster", With(ReadGovernance)),
    ("post", "/v1/cluster/checkpoint", With(Operate)),
    ("delete", "/v1/cluster/members/{id}", With(Operate)),
    ("post", "/v1/cluster/transfer-leader", With(Operate)),
    ("get", "/v1/backup", With(Operate)),
    ("post", "/v1/restore/confirm", With(Operate)),
    ("get", "/v1/seals/{index}", With(ReadGovernance)),
    ("get", "/.well-known/jwks.json", Anyone),
    ("get", "/.well-known/mcp-connect-authority", Anyone),
    ("get", "/.well-known/oauth-authorization-server", Anyone),
    ("get", "/.well-known/openid-configuration", Anyone),
    ("get", "/livez", Anyone),
    ("get", "/readyz", Anyone),
    ("get", "/metrics", Anyone),
];

/// The pages of the console, which are no operations of the API and stand in no description of it. Here the table does
/// not only say who may: the console's gate lets nobody through to a page but by its row.
const CONSOLE: &[Row] = &[
    ("get", "/console", Readers),
    ("get", "/console/servers/{namespace}/{name}", Readers),
    ("post", "/console/moderation", With(Moderate)),
    ("get", "/console/seals/{index}", With(ReadGovernance)),
    ("get", "/console/requests", With(ReadGovernance)),
    ("post", "/console/requests/{id}/confirm", With(Moderate)),
    ("post", "/console/requests/{id}/reject", With(Moderate)),
    ("get", "/console/cluster", With(ReadGovernance)),
    ("get", "/console/audit", With(ReadGovernance)),
    ("get", "/console/sign-in", Anyone),
    ("post", "/console/sign-in", Anyone),
    ("post", "/console/sign-out", Anyone),
    ("get", "/console/oidc/{provider}", Anyone),
    ("get", "/console/oidc/callback", Anyone),
    ("get", "/console/assets/{file}", Anyone),
];

/// Who may see a page of the console; `None` for one that has no row, which nobody may.
pub(crate) fn console_callers(method: &str, path: &str) -> Option<Callers> {
    CONSOLE.iter().find(|row| (row.0, row.1) == (method, path)).map(|row| row.2)
}

/// Who may call the operation; `None` for one that has no row, or more than one.
pub(super) fn callers(method: &str, path: &str) -> Option<Callers> {
    let mut rows = ROWS.iter().filter(|row| (row.0, row.1) == (method, path));
    let row = rows.next()?;
    rows.next().is_none().then_some(row.2)
}

impl Callers {
    /// The roles that may, in the order in which documentation lists them.
    pub(super) fn roles(self) -> Vec<&'static str> {
        let may = |role: &Role| match self {
            Self::Anyone => true,
            Self::With(right) => role.may(right),
            Self::Readers => role.may(Right::ReadCatalog),
            Self::OAuth(roles) => roles.contains(role),
        };
        Role::ALL.iter().filter(|role| may(role)).map(|role| role.as_str()).collect()
    }

    /// `security` of the OpenAPI description. OAuth's own ways stand in the bodies that the operations take.
    pub(super) fn security(self) -> Value {
        match self {
            Self::Anyone | Self::OAuth(_) => json!([]),
            Self::Readers => json!([{ "bearer": [] }, {}]),
            Self::With(_) => json!([{ "bearer": [] }]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::described;
    use std::collections::BTreeSet;

    #[test]
    fn every_page_of_the_console_has_one_row_and_every_row_a_page() {
        let mut rows: Vec<_> = CONSOLE.iter().map(|(method, path, _)| (*method, *path)).collect();
        let mut pages = crate::console::pages();
        rows.sort_unstable();
        pages.sort_unstable();
        assert_eq!(rows, pages);
    }

    #[test]
    fn every_operation_has_one_row_and_every_row_an_operation() {
        let rows: Vec<_> = ROWS.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        let operations: BTreeSet<_> = described()["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().into_iter().flat_map(|methods| methods.keys());
                methods.map(move |method| format!("{method} {path}"))
            })
            .collect();
        assert_eq!(rows.iter().cloned().collect::<BTreeSet<_>>(), operations);
        assert_eq!(rows.len(), operations.len(), "an operation has two rows");
    }
}
