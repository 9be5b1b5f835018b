//! Which programs work together, and from when on they may use what older ones do not know.
//!
//! Nodes one minor version apart work together, so that a cluster is upgraded node by node. Until the last one is,
//! nothing enters the log that an older program could not read.

use crate::{PeerNode, fitness::Unfit, node::Node};
use hapi_registry_state::{Act, Command, Principal, Subject};
use std::fmt;

/// A release: what is before the last dot of its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    major: u32,
    minor: u32,
}

/// The release since which the cluster removes dead nodes by itself.
pub(crate) const REMOVES_DEAD_NODES: Release = Release { major: 0, minor: 2 };

impl Release {
    /// Reads a version such as `1.2.3`; `None` for anything else.
    pub(crate) fn parse(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let mut number = || parts.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()? })
    }

    /// Whether programs of both releases may be in one cluster.
    pub(crate) fn works_with(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a node that runs `version` must not become a member beside `members`, if it must not.
pub(crate) fn misfit<'a>(
    version: &str,
    mut members: impl Iterator<Item = (u64, &'a PeerNode)>,
) -> Option<String> {
    let Some(own) = Release::parse(version) else {
        return Some(format!("{version:?} is no version of this program"));
    };
    let fits = |member: &PeerNode| Release::parse(&member.version).is_some_and(|other| own.works_with(other));
    let (node, member) = members.find(|(_, member)| !fits(member))?;
    Some(format!(
        "it runs version {version} and node {node:016x} runs {}, and nodes may be one minor version apart: \
         upgrade in steps of one",
        member.version
    ))
}

/// The release since which programs know such an entry; `None` for what all of them do.
fn since(by: &Principal, command: &Command) -> Option<Release> {
    match (by, command) {
        (Principal::Publisher(_) | Principal::Oidc(_), _)
        | (
            _,
            Command::BeginIncarnation { .. }
            | Command::ConfirmRestore
            | Command::GiveUpSecrets { .. }
            | Command::RotateKey(_)
            | Command::Edit(_)
            | Command::CreateWebhook { .. }
            | Command::ChangeWebhook { .. }
            | Command::RemoveWebhook(_)
            | Command::WebhookDelivered { .. }
            | Command::NoteTokenUses(_)
            | Command::PutIdentityProvider { .. }
            | Command::RemoveIdentityProvider(_)
            | Command::Order(_)
            | Command::Lift { .. }
            | Command::ChangeSettings { .. }
            | Command::ConfirmAct(_)
            | Command::RejectAct { .. }
            | Command::RegisterClient { .. }
            | Command::Configure { .. }
            | Command::NoteHealth(_)
            | Command::Moderate { act: Act::Approve, .. }
            | Command::Moderate { subject: Subject::Token(_) | Subject::Key(_) | Subject::Node(_), .. },
        ) => Some(Release { major: 0, minor: 2 }),
        _ => None,
    }
}

impl Node {
    /// Whether some member could not read such an entry: it would end there.
    pub(crate) fn unfit_members(&self, by: &Principal, command: &Command) -> Result<(), Unfit> {
        match since(by, command).filter(|release| !self.all_run(*release)) {
            None => Ok(()),
            Some(release) => Err(Unfit::Upgrade(release.to_string())),
        }
    }

    /// Whether every member runs this release or a later one.
    pub(crate) fn all_run(&self, release: Release) -> bool {
        let members = self.directory.members();
        members.values().all(|member| Release::parse(&member.version).is_some_and(|runs| runs >= release))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn member(version: &str) -> PeerNode {
        let text = String::new;
        PeerNode { peer: text(), http: text(), key_sha256: [0; 32], version: version.into() }
    }

    #[test]
    fn programs_one_minor_version_apart_work_together() {
        let members = [(1, member("1.4.0")), (2, member("1.5.2"))];
        let misfit = |version| misfit(version, members.iter().map(|(node, member)| (*node, member)));
        assert_eq!(misfit("1.4.9"), None);
        assert_eq!(misfit("1.5.0-rc.1"), None);
        let apart = "it runs version 1.6.0 and node 0000000000000001 runs 1.4.0, and nodes may be one minor version \
                     apart: upgrade in steps of one";
        assert_eq!(misfit("1.6.0").as_deref(), Some(apart));
        assert!(misfit("1.3.0").is_some_and(|text| text.contains("node 0000000000000002 runs 1.5.2")));
        assert!(misfit("2.4.0").is_some());
        assert!(misfit("new").is_some());
    }

    #[test]
    fn releases_are_ordered_by_number() {
        let release = |version| Release::parse(version).unwrap();
        assert!(release("0.9.0") < release("0.10.0"));
        assert!(release("0.10.7") < release("1.0.0"));
        assert_eq!(release("0.2.0"), release("0.2.9"));
        assert_eq!(release("0.2.0").to_string(), "0.2");
    }
}
