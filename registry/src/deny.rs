//! Deny-type entries: those after which some descriptor may not be issued any more, and how far they bind.
//!
//! A deny-type write is acknowledged when it is sealed: when no node can still decide without it. What counts
//! is the descriptor. Publishing a newer version moves what a bare name stands for and forbids nothing, since
//! the older version can still be asked for; writing out a URL that so far was a part of another server's
//! template does.

use crate::{Command, Outcome, Principal, Registry, Rejection, Right, Status};

impl Command {
    /// Whether the command, judged by its kind alone, can turn some decision from yes to no. What it does in
    /// a state may be less. Publishing, importing and mirroring are judged by what they do: see
    /// [`Registry::denied`].
    pub fn may_deny(&self) -> bool {
        match self {
            Self::Moderate { act, .. } => act.denies(),
            Self::Order(order) => order.act.denies(),
            Self::SetStatus { status, .. } => *status == Status::Deleted,
            Self::PutNamespace { private, .. } => *private,
            // A client may move to a stricter tenant, lists may become shorter, the mode stricter; a node's
            // former key retires when the next one signs.
            Self::ConfirmAct(_)
            | Self::RevokeToken(_)
            | Self::PutClient { .. }
            | Self::RegisterClient { .. }
            | Self::PutTenant { .. }
            | Self::UpdateSettings(_)
            | Self::ChangeSettings { .. }
            | Self::Configure { .. }
            | Self::ActivateKey(_)
            | Self::RotateKey(_)
            | Self::RetireKey(_)
            | Self::RevokeKey { .. }
            | Self::DrainNode(_)
            | Self::LeaveRoster(_)
            | Self::PutIdentityProvider { .. }
            | Self::RemoveIdentityProvider(_)
            | Self::BeginIncarnation { .. } => true,
            Self::Bootstrap(_)
            | Self::Publish(_)
            | Self::Import(_)
            | Self::CreateToken(_)
            | Self::PublishKey(_)
            | Self::RemoveKey(_)
            | Self::JoinRoster { .. }
            | Self::Checkpoint
            | Self::SessionOpen { .. }
            | Self::Sealed { .. }
            | Self::GiveUpSecrets { .. }
            | Self::Edit(_)
            | Self::PutMirror { .. }
            | Self::RemoveMirror(_)
            | Self::Mirror { .. }
            | Self::CreateWebhook { .. }
            | Self::ChangeWebhook { .. }
            | Self::RemoveWebhook(_)
            | Self::WebhookDelivered { .. }
            | Self::NoteTokenUses(_)
            | Self::Lift { .. }
            // Advice: what was issued stays good, and a node that has not heard of it yet may issue more.
            | Self::NoteHealth(_)
            | Self::RejectAct { .. }
            | Self::ConfirmRestore => false,
        }
    }
}

impl Registry {
    /// The index of the last entry that denies something. An issuer that sees it move decides again.
    pub fn denied(&self) -> u64 {
        self.denied
    }

    /// Everything at or below this index is known to bind every node.
    pub fn sealed(&self) -> u64 {
        self.sealed
    }

    pub(crate) fn seal(&mut self, by: &Principal, index: u64) -> Result<Outcome, Rejection> {
        self.require_system(by)?;
        if index >= self.applied {
            return Err(Rejection::Invalid(format!("index {index} is not below its own seal")));
        }
        self.sealed = self.sealed.max(index);
        Ok(Outcome::Done)
    }

    pub(crate) fn require_system(&self, by: &Principal) -> Result<(), Rejection> {
        if *by == Principal::System { Ok(()) } else { Err(Rejection::Forbidden(Right::Operate)) }
    }
}
