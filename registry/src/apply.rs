//! The one door through which the registry changes.

use crate::{Command, Entry, HealthGatePatch, Order, Outcome, Principal, Registry, Rejection, Right, Target};

impl Registry {
    /// Applies the entry at `index`.
    ///
    /// Total: whatever the entry asks, the answer is an [`Outcome`], alike on every replica. Indexes
    /// must rise; the replicated log sees to that.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Outcome {
        self.skip(index);
        self.at = self.at.max(entry.at);
        // Of the state before: afterwards nobody knows what was asked for.
        let told = self.told(&entry.command);
        let outcome = self.repeated(entry).unwrap_or_else(|| self.once(entry));
        self.audit(entry, told, &outcome);
        outcome
    }

    /// What would come of `entry` if it were next, and the registry as it would be then: a copy, which shares with this
    /// one all that stays.
    pub fn rehearse(&self, entry: &Entry) -> (Outcome, Self) {
        let mut copy = self.clone();
        let outcome = copy.apply(self.applied + 1, entry);
        (outcome, copy)
    }

    fn once(&mut self, entry: &Entry) -> Outcome {
        // Of the state before: afterwards nobody knows what a client or a tenant was.
        let forbidden = self.forbidden_by(&entry.command);
        let outcome = self.execute(entry).unwrap_or_else(Outcome::Rejected);
        if entry.command.may_deny() && outcome.changed() && outcome != Outcome::Asked {
            self.denied = self.applied;
            forbidden.into_iter().for_each(|subject| self.revoke(subject));
        }
        self.remember(entry, &outcome);
        outcome
    }

    /// Hashing the state costs every replica; the cluster itself may, and whoever operates it.
    fn checkpoint(&self, by: &Principal) -> Result<Outcome, Rejection> {
        match by {
            Principal::System | Principal::Node(_) => Ok(Outcome::Done),
            Principal::Token(_) | Principal::Publisher(_) | Principal::Oidc(_) | Principal::ClusterSecret => {
                self.require(by, Right::Operate).map(|()| Outcome::Done)
            }
        }
    }

    /// Passes over an entry that is not for the registry, such as a change of Raft's membership.
    pub fn skip(&mut self, index: u64) {
        debug_assert!(index > self.applied || self.applied == 0, "entry {index} after {}", self.applied);
        self.applied = index;
    }

    fn execute(&mut self, Entry { by, command, .. }: &Entry) -> Result<Outcome, Rejection> {
        match command {
            Command::Bootstrap(token) => self.bootstrap(by, token),
            Command::Publish(document) => self.publish(by, document),
            Command::Import(entries) => self.import(by, entries),
            Command::SetStatus { name, version, status, message } => {
                self.set_status(by, name, version.as_ref(), *status, message.as_deref())
            }
            Command::Moderate { act, subject, reason, case } => {
                let (target, reason, case) = (Target::One(subject.clone()), reason.clone(), case.clone());
                self.moderate(by, &Order { act: *act, target, reason, case, expires_at: None })
            }
            Command::CreateToken(token) => self.create_token(by, token),
            Command::RevokeToken(id) => self.revoke_token(by, id),
            Command::PutClient { id, tenant, keys } => self.put_client(by, id, tenant.as_ref(), keys, &[]),
            Command::RegisterClient { id, tenant, keys, certificates } => {
                self.put_client(by, id, tenant.as_ref(), keys, certificates)
            }
            Command::PutTenant { id, tenant } => self.put_tenant(by, id, tenant),
            Command::PutNamespace { namespace, private } => self.put_namespace(by, namespace, *private),
            Command::UpdateSettings(patch) => self.update_settings(by, patch),
            Command::PublishKey(public) => self.publish_key(by, public),
            Command::ActivateKey(kid) => self.activate_key(by, kid),
            Command::RetireKey(kid) => self.retire_key(by, kid),
            Command::RemoveKey(kid) => self.remove_key(by, kid),
            Command::RevokeKey { kid, .. } => self.revoke_key(by, kid),
            Command::JoinRoster { http, version } => self.join_roster(by, http, version),
            Command::DrainNode(node) => self.drain_node(by, *node),
            Command::LeaveRoster(node) => self.leave_roster(by, *node),
            Command::Checkpoint => self.checkpoint(by),
            Command::SessionOpen { .. } => self.require_system(by).map(|()| Outcome::Done),
            Command::Sealed { index } => self.seal(by, *index),
            Command::BeginIncarnation { incarnation, until } => {
                self.begin_incarnation(by, *incarnation, *until)
            }
            Command::ConfirmRestore => self.confirm_restore(by),
            Command::GiveUpSecrets { node, secrets } => self.give_up_secrets(by, *node, secrets),
            Command::RotateKey(node) => self.rotate_key(by, *node),
            Command::Edit(document) => self.edit(by, document),
            Command::PutMirror { id, mirror } => self.put_mirror(by, id, mirror),
            Command::RemoveMirror(id) => self.remove_mirror(by, id),
            Command::Mirror { source, entries, step } => self.mirror_all(by, source, entries, step.as_ref()),
            Command::CreateWebhook { id, webhook, since } => self.create_webhook(by, id, webhook, *since),
            Command::ChangeWebhook { id, webhook, skip_to } => self.change_webhook(by, id, webhook, *skip_to),
            Command::RemoveWebhook(id) => self.remove_webhook(by, id),
            Command::WebhookDelivered { id, of, to, failing } => {
                self.webhook_delivered(by, id, *of, *to, *failing)
            }
            Command::NoteTokenUses(uses) => self.note_token_uses(by, uses),
            Command::PutIdentityProvider { id, settings } => self.put_identity_provider(by, id, settings),
            Command::RemoveIdentityProvider(id) => self.remove_identity_provider(by, id),
            Command::Order(order) => self.moderate(by, order),
            Command::Lift { subject, index } => self.lift(by, subject, *index),
            Command::ChangeSettings { settings, rules } => {
                self.change_settings(by, settings, *rules, &HealthGatePatch::default())
            }
            Command::Configure { settings, rules, gate } => self.change_settings(by, settings, *rules, gate),
            Command::NoteHealth(changes) => self.note_health(by, changes),
            Command::ConfirmAct(id) => self.confirm_act(by, *id),
            Command::RejectAct { id, reason } => self.reject_act(by, *id, reason),
        }
    }
}
