//! `clients`: who may ask for descriptors.

use super::percent::encode;
use super::seal::Follow;
use super::{Failure, Remote, publish, table};
use hapi_client::Method;
use hapi_descriptor::Jwk;
use hapi_registry_state::{CertificateName, ClientId, TenantId};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const COLUMNS: &[table::Column] =
    &[("ID", "/id"), ("TENANT", "/tenant"), ("KEYS", "/kids"), ("CREATED", "/created_at")];

const FIELDS: &[table::Column] = &[
    ("id", "/id"),
    ("tenant", "/tenant"),
    ("created", "/created_at"),
    ("keys", "/kids"),
    ("certificates", "/known_by"),
];

/// List, show and register the clients that may ask for descriptors.
///
/// A client is registered by the first token that is made for it, too: `tokens create --role client`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  hapi-registry clients put billing --tenant acme --key billing.jwk
      From now on billing can prove itself by statements that it signs with this key.")]
pub(crate) enum Clients {
    /// Register a client, or replace its tenant, its keys and its certificates, with an operator token.
    ///
    /// What is not named is taken away: without --tenant it belongs to none, without --key it has no key, without
    /// --certificate no certificate. Its tokens stay.
    #[command(after_help = "Example:
  hapi-registry clients put billing --tenant acme --key billing.jwk
      From now on billing can prove itself by statements that it signs with this key.
  hapi-registry clients put billing --certificate san_uri=spiffe://acme.example/billing
      From now on billing can prove itself by a certificate with this id (mutual TLS).")]
    Put(Put),
    /// List all clients, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry clients list
      One line for each client, with the thumbprints of its keys.")]
    List(List),
    /// Show one client, with an auditor, moderator or operator token.
    #[command(after_help = "Example:
  hapi-registry clients show billing --output json
      Its tenant and its public keys, for a program.")]
    Show(Show),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    /// The client's id
    id: ClientId,
    /// The tenant that it belongs to
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// A file with its public Ed25519 key as JWK, or with a set of them; may be repeated
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// A certificate that it proves itself by: san_uri=URI, san_dns=NAME or x5t#S256=HASH (of the whole certificate, in
    /// base64url); may be repeated
    #[arg(long = "certificate", value_name = "KIND=VALUE", value_parser = certificate)]
    certificates: Vec<CertificateName>,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The client's id
    id: ClientId,
    #[command(flatten)]
    remote: Remote,
}

impl Clients {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Put(put) => put.run().await,
            Self::List(List { remote }) => {
                let session = remote.session()?;
                let answer = session.get("/v1/clients").await?;
                session.show(&answer, |answer| table::table(COLUMNS, &rows(answer)))
            }
            Self::Show(show) => show.run().await,
        }
    }
}

impl Put {
    async fn run(self) -> Result<(), Failure> {
        let body = self.body()?;
        let session = self.remote.session()?;
        let path = format!("/v1/clients/{}", encode(self.id.as_ref()));
        let answer = self.follow.write(&session, Method::PUT, &path, Some(body)).await?;
        session.show(&answer, |_| format!("client {} is set", self.id))
    }

    fn body(&self) -> Result<Value, Failure> {
        let keys = self.keys.iter().map(|file| keys(file)).collect::<Result<Vec<_>, _>>()?.concat();
        let mut body = json!({ "keys": keys });
        // A node of an earlier release knows of none.
        if !self.certificates.is_empty() {
            body["certificates"] = json!(self.certificates);
        }
        if let Some(tenant) = &self.tenant {
            body["tenant"] = json!(tenant.to_string());
        }
        Ok(body)
    }
}

impl Show {
    async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let answer = session.get("/v1/clients").await?;
        let id = self.id.to_string();
        let client =
            answer["clients"].as_array().into_iter().flatten().find(|client| client["id"] == id.as_str());
        let client = client.ok_or_else(|| {
            Failure::refused(format!("there is no client {id}"))
                .hint("`clients list` shows all that there are")
        })?;
        session.show(client, |client| table::fields(FIELDS, &row(client)))
    }
}

/// The keys of a file that holds a JWK or a set of them. They are judged here, since a private half must not leave
/// this machine.
fn keys(file: &Path) -> Result<Vec<Jwk>, Failure> {
    let document: Value = publish::read_json(file)?;
    let keys = match &document["keys"] {
        Value::Array(keys) => keys.clone(),
        _ => vec![document],
    };
    let keys = keys.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
    keys.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn certificate(text: &str) -> Result<CertificateName, String> {
    let (kind, value) = text.split_once('=').ok_or("write it as KIND=VALUE")?;
    let value = value.to_owned();
    match kind {
        "san_uri" => Ok(CertificateName::Uri(value)),
        "san_dns" => Ok(CertificateName::Dns(value).normalised()),
        "x5t#S256" => Ok(CertificateName::Thumbprint(value)),
        _ => Err(format!("unknown kind `{kind}`: use san_uri, san_dns or x5t#S256")),
    }
}

fn rows(answer: &Value) -> Vec<Value> {
    answer["clients"].as_array().into_iter().flatten().map(row).collect()
}

/// People tell keys apart by their thumbprints, and certificates by what they are known by.
fn row(client: &Value) -> Value {
    let keys = client["keys"].as_array().into_iter().flatten();
    let mut row = client.clone();
    row["kids"] = keys.map(|key| key["kid"].clone()).collect();
    let certificates = client["certificates"].as_array().into_iter().flatten();
    let known_by = certificates.filter_map(|one| serde_json::from_value::<CertificateName>(one.clone()).ok());
    row["known_by"] = known_by.map(|name| Value::from(name.to_string())).collect();
    row
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn read(document: &Value) -> Result<Vec<Jwk>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), document.to_string()).unwrap();
        keys(file.path())
    }

    #[test]
    fn a_key_and_a_set_of_them_are_both_read() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": X});
        assert_eq!(read(&key).unwrap()[0].kid(), KID);
        assert_eq!(read(&json!({"keys": [key]})).unwrap().len(), 1);
    }

    #[test]
    fn a_private_half_goes_nowhere() {
        let private = json!({"kty": "OKP", "crv": "Ed25519", "x": X, "d": X});
        assert!(read(&private).unwrap_err().message.ends_with("the key contains its private half"));
        let other = json!({"keys": [{"kty": "RSA"}]});
        assert!(read(&other).unwrap_err().message.ends_with("not a key for Ed25519 signatures"));
    }

    #[test]
    fn a_certificate_is_named_by_its_kind() {
        assert_eq!(certificate("san_dns=Agent.example"), Ok(CertificateName::Dns("agent.example".into())));
        let uri = "spiffe://acme.example/a?b=c";
        assert_eq!(certificate(&format!("san_uri={uri}")), Ok(CertificateName::Uri(uri.into())));
        assert!(certificate("subject=x").unwrap_err().contains("x5t#S256"));
        assert!(certificate("agent").is_err());
    }

    #[test]
    fn keys_are_shown_by_their_thumbprints() {
        let clients = json!({"clients": [
            {"id": "agent", "keys": [], "created_at": "2026-08-12T00:00:00Z"},
            {"id": "billing", "tenant": "acme", "keys": [{"kid": "k1"}, {"kid": "k2"}]},
        ]});
        insta::assert_snapshot!(table::table(COLUMNS, &rows(&clients)), @r"
        ID       TENANT  KEYS    CREATED
        agent    -       -       2026-08-12T00:00:00Z
        billing  acme    k1, k2  -
        ");
    }
}
