//! What can be asked of the registry.

use crate::{
    Act, CertificateName, ClientId, HealthChange, HealthGatePatch, IdentityProviderId, Kid, MirrorId,
    MirrorSettings, MirrorStep, ModerationRulesPatch, Namespace, NewToken, NodeId, Order, Principal,
    ProviderSettings, PublicKey, RequestKey, SecretFingerprint, ServerJson, ServerName, SettingsPatch,
    Status, Subject, Tenant, TenantId, Timestamp, TokenId, Version, WebhookId, WebhookSettings,
};
use serde::{Deserialize, Serialize};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the leader proposed it, by the leader's wall clock. The registry never lets time go back.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: Principal,
    /// What is asked.
    pub command: Command,
    /// The caller's own name for the request, so that a repetition is done once.
    pub key: Option<RequestKey>,
}

impl Entry {
    /// An entry without a request key.
    pub fn new(at: Timestamp, by: Principal, command: Command) -> Self {
        Self { at, by, command, key: None }
    }
}

/// A version as another registry published it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// The document.
    pub document: ServerJson,
    /// Its status there.
    pub status: Status,
    /// The status's message there.
    pub status_message: Option<String>,
    /// When it was published there; absent means now.
    pub published_at: Option<Timestamp>,
    /// When it last changed there; absent means when it was published.
    pub updated_at: Option<Timestamp>,
}

/// A change of the registry. New kinds are added at the end: the order is the form in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields say what the variant's sentence names")]
pub enum Command {
    /// Make the first operator token, once.
    Bootstrap(NewToken),
    /// Publish an immutable version.
    Publish(ServerJson),
    /// Take over versions from another registry, each on its own.
    Import(Vec<Imported>),
    /// Set the publisher's own status on one version, or on all.
    SetStatus { name: ServerName, version: Option<Version>, status: Status, message: Option<String> },
    /// Moderate.
    Moderate { act: Act, subject: Subject, reason: String, case: Option<String> },
    /// Make an API token.
    CreateToken(NewToken),
    /// End an API token.
    RevokeToken(TokenId),
    /// Register or change a client.
    PutClient { id: ClientId, tenant: Option<TenantId>, keys: Vec<PublicKey> },
    /// Register or change a tenant.
    PutTenant { id: TenantId, tenant: Tenant },
    /// Make a namespace private or public.
    PutNamespace { namespace: Namespace, private: bool },
    /// Change settings.
    UpdateSettings(SettingsPatch),
    /// Publish the public half of a node's new signing key.
    PublishKey(PublicKey),
    /// Let a prepared key sign.
    ActivateKey(Kid),
    /// Let a key sign no more.
    RetireKey(Kid),
    /// Forget a retired key.
    RemoveKey(Kid),
    /// Let a key verify nothing from now on.
    RevokeKey { kid: Kid, reason: String },
    /// A node takes its place among those that issue.
    JoinRoster { http: String, version: String },
    /// A node is to issue nothing any more.
    DrainNode(NodeId),
    /// A drained node is forgotten.
    LeaveRoster(NodeId),
    /// Every replica publishes the hash of its state at this entry.
    Checkpoint,
    /// A leader's session begins; the id is random, so that no two sessions have the same entry.
    SessionOpen { id: u128 },
    /// Everything at or below this index binds every node: no lease from before it is in use any more.
    Sealed { index: u64 },
    /// The registry goes on as another incarnation, and issues nothing for now. Only the tools that restore one write it.
    BeginIncarnation { incarnation: u64, until: Timestamp },
    /// The moderation state of a restored registry is right: descriptors may be issued.
    ConfirmRestore,
    /// A removed node knows these cluster secrets.
    GiveUpSecrets { node: NodeId, secrets: Vec<SecretFingerprint> },
    /// A node's spare key signs from now on, and its former key no more.
    RotateKey(NodeId),
    /// Replace a version's document by another that differs in nothing that connects.
    Edit(ServerJson),
    /// Follow another registry, or change how it is followed.
    PutMirror { id: MirrorId, mirror: MirrorSettings },
    /// Follow another registry no more. What was taken over from it stays.
    RemoveMirror(MirrorId),
    /// Take over what another registry says of versions, each on its own, and how far that has come.
    Mirror { source: MirrorId, entries: Vec<Imported>, step: Option<MirrorStep> },
    /// Tell somebody of what is done, from an index on, or from now on.
    CreateWebhook { id: WebhookId, webhook: WebhookSettings, since: Option<u64> },
    /// Tell them otherwise, or from another index on.
    ChangeWebhook { id: WebhookId, webhook: WebhookSettings, skip_to: Option<u64> },
    /// Tell them no more.
    RemoveWebhook(WebhookId),
    /// A webhook has taken all up to an index, by the settings of the entry `of`; or has long not taken the next.
    WebhookDelivered { id: WebhookId, of: u64, to: u64, failing: bool },
    /// A node tells when tokens were last used there.
    NoteTokenUses(Vec<(TokenId, Timestamp)>),
    /// Believe an identity provider, or change what its tokens make of their bearers.
    PutIdentityProvider { id: IdentityProviderId, settings: ProviderSettings },
    /// Believe an identity provider no more.
    RemoveIdentityProvider(IdentityProviderId),
    /// Moderate, with what [`Self::Moderate`] cannot say.
    Order(Order),
    /// What a moderator did has come to its end. `index` is that of the record which says so.
    Lift { subject: Subject, index: u64 },
    /// Change settings, and rules of moderation with them.
    ChangeSettings { settings: SettingsPatch, rules: ModerationRulesPatch },
    /// Do what another moderator has asked for, in the entry of this index.
    ConfirmAct(u64),
    /// Take such a request off.
    RejectAct { id: u64, reason: String },
    /// Register or change a client, with what [`Self::PutClient`] cannot say, which takes its certificates away.
    RegisterClient {
        id: ClientId,
        tenant: Option<TenantId>,
        keys: Vec<PublicKey>,
        certificates: Vec<CertificateName>,
    },
    /// Change settings, rules of moderation, and the health gate with them.
    Configure { settings: SettingsPatch, rules: ModerationRulesPatch, gate: HealthGatePatch },
    /// Servers that the leader has asked do not answer any more, or do again.
    NoteHealth(Vec<HealthChange>),
}

impl Command {
    /// The act's name in the audit chain.
    pub fn act(&self) -> &'static str {
        match self {
            Self::Bootstrap(_) => "bootstrap",
            Self::Publish(_) => "publish",
            Self::Import(_) => "import",
            Self::SetStatus { status, .. } => status.act(),
            Self::Moderate { act, .. } => act.as_str(),
            Self::CreateToken(_) => "create_token",
            Self::RevokeToken(_) => "revoke_token",
            Self::PutClient { .. } | Self::RegisterClient { .. } => "put_client",
            Self::PutTenant { .. } => "put_tenant",
            Self::PutNamespace { .. } => "put_namespace",
            Self::UpdateSettings(_) | Self::ChangeSettings { .. } | Self::Configure { .. } => {
                "update_settings"
            }
            Self::PublishKey(_) => "publish_key",
            Self::ActivateKey(_) => "activate_key",
            Self::RetireKey(_) => "retire_key",
            Self::RemoveKey(_) => "remove_key",
            Self::RevokeKey { .. } => "revoke_key",
            Self::JoinRoster { .. } => "join_roster",
            Self::DrainNode(_) => "drain_node",
            Self::LeaveRoster(_) => "leave_roster",
            Self::Checkpoint => "checkpoint",
            Self::SessionOpen { .. } => "session_open",
            Self::Sealed { .. } => "sealed",
            Self::BeginIncarnation { .. } => "begin_incarnation",
            Self::ConfirmRestore => "confirm_restore",
            Self::GiveUpSecrets { .. } => "give_up_secrets",
            Self::RotateKey(_) => "rotate_key",
            Self::Edit(_) => "edit",
            Self::PutMirror { .. } => "put_mirror",
            Self::RemoveMirror(_) => "remove_mirror",
            Self::Mirror { .. } => "mirror",
            Self::CreateWebhook { .. } => "create_webhook",
            Self::ChangeWebhook { .. } => "change_webhook",
            Self::RemoveWebhook(_) => "remove_webhook",
            Self::WebhookDelivered { .. } => "webhook_delivered",
            Self::NoteTokenUses(_) => "note_token_uses",
            Self::PutIdentityProvider { .. } => "put_identity_provider",
            Self::RemoveIdentityProvider(_) => "remove_identity_provider",
            Self::Order(order) => order.act.as_str(),
            Self::Lift { .. } => "lift",
            Self::ConfirmAct(_) => "confirm",
            Self::RejectAct { .. } => "reject",
            Self::NoteHealth(_) => "note_health",
        }
    }

    /// The server that a publisher's command is about: its namespace must be one of the caller's.
    pub fn published(&self) -> Option<&ServerName> {
        match self {
            Self::Publish(document) | Self::Edit(document) => Some(document.name()),
            Self::SetStatus { name, .. } => Some(name),
            _ => None,
        }
    }

    /// What the act is done to, as `kind/id`.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Bootstrap(token) | Self::CreateToken(token) => format!("token/{}", token.id),
            Self::Publish(document) | Self::Edit(document) => {
                format!("version/{}@{}", document.name(), document.version())
            }
            Self::Import(entries) => format!("versions/{}", entries.len()),
            Self::SetStatus { name, version: Some(version), .. } => format!("version/{name}@{version}"),
            Self::SetStatus { name, version: None, .. } => format!("server/{name}"),
            Self::Moderate { subject, .. } | Self::Lift { subject, .. } => subject.to_string(),
            Self::Order(order) => order.target.to_string(),
            Self::RevokeToken(id) => format!("token/{id}"),
            Self::PutClient { id, .. } | Self::RegisterClient { id, .. } => format!("client/{id}"),
            Self::PutTenant { id, .. } => format!("tenant/{id}"),
            Self::PutNamespace { namespace, .. } => format!("namespace/{namespace}"),
            Self::ConfirmAct(id) | Self::RejectAct { id, .. } => format!("request/{id}"),
            Self::UpdateSettings(_) | Self::ChangeSettings { .. } | Self::Configure { .. } => {
                "settings".into()
            }
            Self::PublishKey(public) => format!("key/{}", public.kid()),
            Self::ActivateKey(kid) | Self::RetireKey(kid) | Self::RemoveKey(kid) => format!("key/{kid}"),
            Self::RevokeKey { kid, .. } => format!("key/{kid}"),
            Self::JoinRoster { http, .. } => http.clone(),
            Self::DrainNode(node)
            | Self::LeaveRoster(node)
            | Self::GiveUpSecrets { node, .. }
            | Self::RotateKey(node) => format!("node/{node}"),
            Self::Checkpoint | Self::ConfirmRestore => String::new(),
            Self::SessionOpen { id } => format!("session/{id:032x}"),
            Self::Sealed { index } => format!("index/{index}"),
            Self::BeginIncarnation { incarnation, .. } => format!("incarnation/{incarnation}"),
            Self::PutMirror { id, .. } | Self::RemoveMirror(id) | Self::Mirror { source: id, .. } => {
                format!("mirror/{id}")
            }
            Self::CreateWebhook { id, .. }
            | Self::ChangeWebhook { id, .. }
            | Self::RemoveWebhook(id)
            | Self::WebhookDelivered { id, .. } => format!("webhook/{id}"),
            Self::PutIdentityProvider { id, .. } | Self::RemoveIdentityProvider(id) => {
                format!("identity-provider/{id}")
            }
            Self::NoteTokenUses(uses) => format!("tokens/{}", uses.len()),
            Self::NoteHealth(changes) => format!("servers/{}", changes.len()),
        }
    }

    /// Why, where the act carries a reason.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Moderate { reason, .. } | Self::RevokeKey { reason, .. } => reason,
            Self::Order(order) => &order.reason,
            Self::RejectAct { reason, .. } => reason,
            Self::Lift { .. } => "it has come to the end that was set for it",
            Self::SetStatus { message: Some(message), .. } => message,
            _ => "",
        }
    }
}
