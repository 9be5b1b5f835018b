//! Where a change of the cluster secret stands, and what to do next.

use hapi_raft::SecretsInForce;
use hapi_registry_state::{NodeId, SecretFingerprint};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// The secrets of the members; none of one that was not heard of late.
pub(crate) type Members = BTreeMap<NodeId, Option<SecretsInForce>>;

/// Where a change of the cluster secret stands.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Rotation {
    /// The secrets that some node has in force, by their fingerprints.
    in_force: Vec<String>,
    /// Those that a removed node knows.
    compromised: Vec<String>,
    /// Whether the cluster secret must be changed: a removed node knows one that is in force, or may be.
    due: bool,
    /// What stands in the way of the next step, or what it is.
    next: String,
}

impl Rotation {
    /// Judges what `members` have in force, given the secrets that removed nodes know.
    pub(crate) fn judge(members: &Members, known_outside: &BTreeSet<SecretFingerprint>) -> Self {
        let view = View::of(members);
        let compromised: BTreeSet<_> = view.in_force.intersection(known_outside).copied().collect();
        let due = !compromised.is_empty() || (!known_outside.is_empty() && !view.unheard.is_empty());
        Self {
            in_force: view.in_force.iter().map(ToString::to_string).collect(),
            compromised: compromised.iter().map(ToString::to_string).collect(),
            due,
            next: view.next(&compromised),
        }
    }
}

struct View<'a> {
    heard: BTreeMap<NodeId, &'a SecretsInForce>,
    unheard: BTreeSet<NodeId>,
    in_force: BTreeSet<SecretFingerprint>,
}

impl<'a> View<'a> {
    fn of(members: &'a Members) -> Self {
        let heard: BTreeMap<_, _> =
            members.iter().filter_map(|(node, secrets)| Some((*node, secrets.as_ref()?))).collect();
        let unheard = members.keys().filter(|node| !heard.contains_key(node)).copied().collect();
        let in_force = heard.values().flat_map(|secrets| secrets.verifies.iter().copied()).collect();
        Self { heard, unheard, in_force }
    }

    fn next(&self, compromised: &BTreeSet<SecretFingerprint>) -> String {
        if !self.unheard.is_empty() {
            return format!(
                "no word from {}: each is down, or cut off by other secrets; see to that before the next step",
                list(&self.unheard)
            );
        }
        if let Some(conflict) = self.conflict() {
            return conflict;
        }
        match *self.in_force.iter().copied().collect::<Vec<_>>() {
            [] => "no node is known".into(),
            [only] if compromised.contains(&only) => format!(
                "a removed node knows {only}: make a new secret, and give it to every node as its second one"
            ),
            [only] => format!("every node has {only} alone: nothing to do"),
            [one, other] => self.between(one, other, compromised),
            _ => format!("{} are in force: finish one change first", list(&self.in_force)),
        }
    }

    /// Two nodes of which one does not verify what the other signs with.
    fn conflict(&self) -> Option<String> {
        let pairs = self.heard.iter().flat_map(|one| self.heard.iter().map(move |other| (one, other)));
        let mut conflicts = pairs.filter(|((_, one), (_, other))| !other.verifies.contains(&one.signs));
        conflicts.next().map(|((one, secrets), (other, _))| {
            format!(
                "{other} does not verify {}, with which {one} signs: they are cut off from each other; give both secrets \
                 to both",
                secrets.signs
            )
        })
    }

    /// Two secrets, and every node verifies what each other one signs with.
    fn between(
        &self,
        one: SecretFingerprint,
        other: SecretFingerprint,
        compromised: &BTreeSet<SecretFingerprint>,
    ) -> String {
        let signing = |secret| self.nodes(|secrets| secrets.signs == secret);
        let (by_one, by_other) = (signing(one), signing(other));
        if !by_one.is_empty() && !by_other.is_empty() {
            return format!(
                "{one} signs at {} and {other} at {}: go on until the same one signs everywhere",
                list(&by_one),
                list(&by_other)
            );
        }
        let (used, unused) = if by_other.is_empty() { (one, other) } else { (other, one) };
        let without = self.nodes(|secrets| !secrets.verifies.contains(&unused));
        let with = self.nodes(|secrets| secrets.verifies.contains(&unused));
        let is_old = (compromised.contains(&unused)).then_some(true);
        let is_old = is_old.or_else(|| compromised.contains(&used).then_some(false));
        let spread = match without.is_empty() {
            true => format!("put {unused} first on every node"),
            false => format!("give {unused} as second secret to {} as well", list(&without)),
        };
        let drop = format!("take {unused} away from {}", list(&with));
        match is_old {
            Some(true) => format!("no node signs with {unused} any more: {drop}"),
            Some(false) => format!("no node signs with {unused} yet: {spread}"),
            None => format!(
                "no node signs with {unused}. If it is the new one, {spread}; if it is the old one, {drop}"
            ),
        }
    }

    fn nodes(&self, like: impl Fn(&SecretsInForce) -> bool) -> BTreeSet<NodeId> {
        self.heard.iter().filter(|(_, secrets)| like(secrets)).map(|(node, _)| *node).collect()
    }
}

/// What is to be said when `node` takes `ours` in force: whom it cuts off, or is cut off by.
pub(crate) fn cut_off(
    node: NodeId,
    ours: &SecretsInForce,
    members: &BTreeMap<NodeId, SecretsInForce>,
) -> Vec<String> {
    let others = members.iter().filter(|(other, _)| **other != node);
    let warning = |(other, theirs): (&NodeId, &SecretsInForce)| {
        let (signer, secret) = if !theirs.verifies.contains(&ours.signs) {
            ("this node", ours.signs)
        } else if !ours.verifies.contains(&theirs.signs) {
            ("that one", theirs.signs)
        } else {
            return None;
        };
        Some(format!(
            "this node and {other} are cut off from each other: {signer} signs with {secret}, which the other does \
             not verify"
        ))
    };
    others.filter_map(warning).collect()
}

/// Names, with commas.
pub(crate) fn list<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    items.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: SecretFingerprint = SecretFingerprint([0xa; 6]);
    const NEW: SecretFingerprint = SecretFingerprint([0xb; 6]);

    /// Members from 1; each has its list, of which the first signs.
    fn members(lists: &[&[SecretFingerprint]]) -> Members {
        let secrets = |list: &&[SecretFingerprint]| {
            let signs = *list.first()?;
            Some(SecretsInForce { signs, verifies: list.iter().copied().collect() })
        };
        (1..).map(NodeId).zip(lists.iter().map(secrets)).collect()
    }

    /// Whether a change is due, and what is next.
    fn judge(lists: &[&[SecretFingerprint]], known_outside: &[SecretFingerprint]) -> String {
        let rotation = Rotation::judge(&members(lists), &known_outside.iter().copied().collect());
        format!("{}{}", if rotation.due { "DUE: " } else { "" }, rotation.next)
    }

    #[test]
    fn each_step_names_the_next() {
        let steps = [
            judge(&[&[OLD], &[OLD]], &[]),
            judge(&[&[OLD, NEW], &[OLD]], &[]),
            judge(&[&[OLD, NEW], &[OLD, NEW]], &[]),
            judge(&[&[NEW, OLD], &[OLD, NEW]], &[]),
            judge(&[&[NEW], &[NEW, OLD]], &[]),
        ];
        insta::assert_snapshot!(steps.join("\n"), @r"
        every node has 0a0a0a0a0a0a alone: nothing to do
        no node signs with 0b0b0b0b0b0b. If it is the new one, give 0b0b0b0b0b0b as second secret to 0000000000000002 as well; if it is the old one, take 0b0b0b0b0b0b away from 0000000000000001
        no node signs with 0b0b0b0b0b0b. If it is the new one, put 0b0b0b0b0b0b first on every node; if it is the old one, take 0b0b0b0b0b0b away from 0000000000000001, 0000000000000002
        0a0a0a0a0a0a signs at 0000000000000002 and 0b0b0b0b0b0b at 0000000000000001: go on until the same one signs everywhere
        no node signs with 0a0a0a0a0a0a. If it is the new one, give 0a0a0a0a0a0a as second secret to 0000000000000001 as well; if it is the old one, take 0a0a0a0a0a0a away from 0000000000000002
        ");
    }

    #[test]
    fn a_compromised_secret_makes_it_due_and_tells_old_from_new() {
        let steps = [
            judge(&[&[OLD], &[OLD]], &[OLD]),
            judge(&[&[OLD, NEW], &[OLD]], &[OLD]),
            judge(&[&[OLD, NEW], &[OLD, NEW]], &[OLD]),
            judge(&[&[NEW, OLD], &[OLD, NEW]], &[OLD]),
            judge(&[&[NEW, OLD], &[NEW, OLD]], &[OLD]),
            judge(&[&[NEW], &[NEW, OLD]], &[OLD]),
            judge(&[&[NEW], &[NEW]], &[OLD]),
            judge(&[&[NEW], &[]], &[OLD]),
        ];
        insta::assert_snapshot!(steps.join("\n"), @r"
        DUE: a removed node knows 0a0a0a0a0a0a: make a new secret, and give it to every node as its second one
        DUE: no node signs with 0b0b0b0b0b0b yet: give 0b0b0b0b0b0b as second secret to 0000000000000002 as well
        DUE: no node signs with 0b0b0b0b0b0b yet: put 0b0b0b0b0b0b first on every node
        DUE: 0a0a0a0a0a0a signs at 0000000000000002 and 0b0b0b0b0b0b at 0000000000000001: go on until the same one signs everywhere
        DUE: no node signs with 0a0a0a0a0a0a any more: take 0a0a0a0a0a0a away from 0000000000000001, 0000000000000002
        DUE: no node signs with 0a0a0a0a0a0a any more: take 0a0a0a0a0a0a away from 0000000000000002
        every node has 0b0b0b0b0b0b alone: nothing to do
        DUE: no word from 0000000000000002: each is down, or cut off by other secrets; see to that before the next step
        ");
    }

    #[test]
    fn what_cuts_nodes_off_is_named() {
        let third = SecretFingerprint([0xc; 6]);
        let steps = [
            judge(&[&[NEW, OLD], &[OLD]], &[]),
            judge(&[&[OLD], &[OLD], &[]], &[]),
            judge(&[&[OLD, NEW], &[OLD, third]], &[]),
        ];
        insta::assert_snapshot!(steps.join("\n"), @r"
        0000000000000002 does not verify 0b0b0b0b0b0b, with which 0000000000000001 signs: they are cut off from each other; give both secrets to both
        no word from 0000000000000003: each is down, or cut off by other secrets; see to that before the next step
        0a0a0a0a0a0a, 0b0b0b0b0b0b, 0c0c0c0c0c0c are in force: finish one change first
        ");
        let SecretsInForce { signs, verifies } = SecretsInForce { signs: NEW, verifies: [NEW].into() };
        let ours = SecretsInForce { signs, verifies };
        let members: BTreeMap<_, _> = members(&[&[OLD], &[OLD, NEW], &[NEW]])
            .into_iter()
            .filter_map(|(node, secrets)| Some((node, secrets?)))
            .collect();
        insta::assert_snapshot!(cut_off(NodeId(3), &ours, &members).join("\n"), @r"
        this node and 0000000000000001 are cut off from each other: this node signs with 0b0b0b0b0b0b, which the other does not verify
        this node and 0000000000000002 are cut off from each other: that one signs with 0a0a0a0a0a0a, which the other does not verify
        ");
    }
}
