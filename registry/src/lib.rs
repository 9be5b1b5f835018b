//! The replicated state machine of the registry: pure, deterministic, total.
//!
//! A [`Registry`] is a value. [`Registry::apply`] takes the next committed [`Entry`] and answers with an
//! [`Outcome`]; equal entries in equal order give equal registries on every replica. There is no clock,
//! no randomness and no I/O in this crate: the instant of an act and every random value stand in the entry.
//!
//! All maps share structure when cloned, so that a clone costs a few pointers and readers never wait.

mod apply;
mod audit;
mod certificate;
mod client;
mod command;
mod connect_budget;
mod decide;
mod deny;
mod endpoint;
mod event;
mod fingerprint;
mod given_up;
mod glob;
mod health;
mod health_gate;
mod identity_provider;
mod incarnation;
mod mirror;
mod moderation;
mod name;
mod namespace;
mod outcome;
mod principal;
mod publisher_grant;
mod query;
mod remote_claim;
mod request_key;
mod resource;
mod revocation;
mod roster;
mod search;
mod server;
mod server_json;
mod settings;
mod signing_key;
pub mod snapshot;
mod state;
mod tenant;
mod timestamp;
mod token;
mod token_use;
mod version;
mod versions;
mod webhook;

pub use audit::{AuditRecord, AuditedSubject, Chained, EMPTY_CHAIN};
pub use certificate::{CertificateName, CertificateProof};
pub use client::Client;
pub use command::{Command, Entry, Imported};
pub use connect_budget::ConnectBudgets;
pub use decide::{ConnectRequest, Credential, Decision, Issuer, KeyProof, Refusal};
pub use endpoint::{Endpoint, ExpandError, UrlError, UrlTemplate};
pub use event::{Change, Event};
pub use fingerprint::{FingerprintError, SecretFingerprint};
pub use given_up::GivenUp;
pub use glob::{Glob, GlobError};
pub use health::{Down, HealthChange, HealthFault, MOST_HEALTH_CHANGES, Noted};
pub use health_gate::{Gate, HealthGate, HealthGatePatch};
pub use identity_provider::{
    IdentityProvider, OidcGrant, ProviderSettings, RoleRule, SigningAlgorithm, TenantRule,
};
pub use incarnation::{FIRST_INCARNATION, Hold, LAST_INCARNATION};
pub use mirror::{Mirror, MirrorPass, MirrorProgress, MirrorSettings, MirrorStep, Mirrored};
pub use moderation::{
    Act, ActRequest, Moderated, Moderation, ModerationRules, ModerationRulesPatch, NewEntries, Order,
    SettingsChange, Standing, Subject, Target,
};
pub use name::{
    ClientId, IdError, IdentityProviderId, MirrorId, NameError, Namespace, RefError, ServerName, ServerRef,
    TenantId, WebhookId,
};
pub use namespace::NamespaceRecord;
pub use outcome::{Outcome, Rejection};
pub use principal::{Caller, Principal, Right, Role};
pub use publisher_grant::{GrantError, PublisherGrant, PublisherSubject};
pub use query::{Governance, ListQuery, Listed, Page, Position, VersionFilter, Viewer};
pub use request_key::RequestKey;
pub use resource::Resource;
pub use roster::{Member, MemberState, NodeId};
pub use search::{Rank, Ranking};
pub use server::{Published, Server, Status};
pub use server_json::{
    ConnectMetadata, Issue, IssueKind, KeptServerJson, Parsed, Remote, Rules, ServerJson, Severity,
    Strictness, Transport, Variable, validate,
};
pub use settings::{Governed, Settings, SettingsPatch};
pub use signing_key::{KeyState, Kid, PublicKey, SigningKey};
pub use state::Registry;
pub use tenant::Tenant;
pub use timestamp::Timestamp;
pub use token::{NewToken, PresentedToken, Token, TokenHash, TokenId, TokenTextError, mint};
pub use version::{Version, VersionError};
pub use versions::Versions;
pub use webhook::{Webhook, WebhookSettings};
