//! What is wrong with a running cluster, by what its nodes have answered.

use super::{
    finding::Finding,
    view::{Key, Member, View, Views},
};
use hapi_registry_state::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A learner that lacks more is not ready to take a dead voter's place.
const MOST_LAG: u64 = 1_000;

/// Wall clocks that are further apart make nodes refuse serving leases, in milliseconds.
const MOST_APART_MS: i64 = 2_000;

/// Below twice its reserve a disk will soon be short.
const SOON_SHORT: u64 = 2;

/// Keys are changed each day; one that is so much older, in seconds, is not.
const OLD_KEY_S: u64 = 25 * 3_600;

/// Every rule.
pub(super) fn judge(views: &Views) -> Vec<Finding> {
    let cluster = Cluster::of(views);
    let mut found = Vec::new();
    found.extend(cluster.unreachable());
    found.extend(cluster.several());
    found.extend(cluster.leaderless());
    found.extend(cluster.voters());
    found.extend(cluster.members());
    found.extend(cluster.nodes.iter().flat_map(|(url, view)| cluster.node(url, view)));
    found.extend(cluster.differences());
    found.extend(cluster.clocks());
    found.extend(cluster.keys());
    found.extend(cluster.secrets());
    found.extend(cluster.seals());
    found.push(cluster.summary());
    found
}

/// What was answered, and by whom.
struct Cluster<'a> {
    /// The nodes that answered.
    nodes: Vec<(&'a str, &'a View)>,
    /// Those that did not, and why.
    silent: Vec<(&'a str, &'a str)>,
    keys: &'a [Key],
}

const WHOLE: &str = "the cluster";

fn name(view: &View, url: &str) -> String {
    format!("node {} at {url}", view.status.node.id)
}

impl<'a> Cluster<'a> {
    fn of(views: &'a Views) -> Self {
        let (mut nodes, mut silent) = (Vec::new(), Vec::new());
        for (url, answer) in &views.nodes {
            match answer {
                Ok(view) => nodes.push((url.as_str(), view)),
                Err(error) => silent.push((url.as_str(), error.as_str())),
            }
        }
        Self { nodes, silent, keys: &views.keys }
    }

    /// The members as the leader knows them, or else whoever has heard most.
    fn best(&self) -> Option<&'a View> {
        let leads = |view: &&View| view.status.node.role == "leader";
        let views = || self.nodes.iter().map(|(_, view)| *view);
        views().find(leads).or_else(|| views().max_by_key(|view| view.status.members.len()))
    }

    fn roster(&self) -> &'a [Member] {
        self.best().map_or(&[], |view| &view.status.members)
    }

    fn unreachable(&self) -> Vec<Finding> {
        let find = |(url, error): &(&str, &str)| {
            let member = self.roster().iter().find(|member| member.http.trim_end_matches('/') == *url);
            let place = member.map_or((*url).to_owned(), |member| format!("node {} at {url}", member.id));
            let remedy = "start it, or mend the way to it; `cluster remove` a node that will not come back";
            Finding::error("unreachable", place, format!("it does not answer: {error}"), remedy)
        };
        self.silent.iter().map(find).collect()
    }

    fn several(&self) -> Option<Finding> {
        let ids: BTreeSet<_> =
            self.nodes.iter().filter_map(|(_, view)| view.status.cluster_id.as_deref()).collect();
        (ids.len() > 1).then(|| {
            let what = format!("the nodes belong to {} clusters: {}", ids.len(), words(&ids));
            Finding::error(
                "several_clusters",
                WHOLE,
                what,
                "ask about one at a time; a node that strayed starts with an empty folder",
            )
        })
    }

    /// A leader without a majority may go on believing that it leads, but nobody gets a lease from it.
    fn is_led(&self) -> bool {
        self.nodes.iter().any(|(_, view)| view.status.node.lease.valid)
    }

    fn leaderless(&self) -> Option<Finding> {
        if self.is_led() {
            return None;
        }
        let voters = self.roster().iter().filter(|member| member.role == "voter").count();
        let what = format!(
            "no node that answers has a lease, so that none leads with a majority behind it: nothing is written, nothing \
             issued ({voters} nodes vote, {} answer)",
            self.nodes.len()
        );
        let remedy = "start voters until more than half of them run, and mend the ways between their peer addresses; if \
                      they are lost for good, the majority is lost";
        Some(Finding::error("no_leader", WHOLE, what, remedy))
    }

    fn voters(&self) -> Option<Finding> {
        let voters = self.roster().iter().filter(|member| member.role == "voter").count();
        match voters {
            0 => None,
            1 => {
                let remedy = "add two nodes: with three voters one may be lost";
                Some(Finding::warning(
                    "single_voter",
                    WHOLE,
                    "one node alone votes: its loss stops everything",
                    remedy,
                ))
            }
            2 => {
                let remedy = "add a node: with three voters one may be lost";
                Some(Finding::warning(
                    "even_voters",
                    WHOLE,
                    "two nodes vote: the loss of either stops everything",
                    remedy,
                ))
            }
            even if even % 2 == 0 => {
                let what = format!("{even} nodes vote: as many may be lost as with {}", even - 1);
                let remedy = "add a node, or remove the one that is least needed, so that the number is odd";
                Some(Finding::warning("even_voters", WHOLE, what, remedy))
            }
            _ => None,
        }
    }

    fn members(&self) -> Vec<Finding> {
        let lags = self.roster().iter().filter_map(|member| {
            let lag = member.lag.filter(|lag| *lag > MOST_LAG)?;
            let what = format!("this {} lacks {lag} entries of the leader's log", member.role);
            let remedy =
                "see whether it runs, whether its disk is slow or full, and whether the way to it is sound";
            Some(Finding::warning("lag", format!("node {} at {}", member.id, member.http), what, remedy))
        });
        let draining = self.roster().iter().filter(|member| member.state == "draining").map(|member| {
            let what = "it is being removed, and the removal is not complete";
            let remedy = format!("`cluster remove {}` again", member.id);
            Finding::warning("draining", format!("node {} at {}", member.id, member.http), what, remedy)
        });
        lags.chain(draining).collect()
    }

    fn node(&self, url: &str, view: &View) -> Vec<Finding> {
        let place = name(view, url);
        [lease(&place, view, self), clock(&place, view), disk(&place, view)].into_iter().flatten().collect()
    }

    fn differences(&self) -> Vec<Finding> {
        let value = |of: fn(&View) -> Option<String>| {
            let mut values: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (_, view) in &self.nodes {
                if let Some(value) = of(view) {
                    values.entry(value).or_default().push(view.status.node.id.as_str());
                }
            }
            values
        };
        let versions = value(|view| Some(view.status.node.version.clone()));
        let issuers = value(|view| view.status.issuer.clone());
        let leases = value(|view| view.status.lease_duration_ms.map(|ms| ms.to_string()));
        let update = "bring all nodes to one version, one after the other; they may differ by one minor version meanwhile";
        let alike = "set it alike on every node; one that differs cannot start again";
        [
            difference("versions", "the version", &versions, update),
            difference("issuers", "`issuer`", &issuers, alike),
            difference("lease_durations", "`lease.duration_ms`", &leases, alike),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Clocks are compared with each other; one that the network makes uncertain is given the benefit.
    fn clocks(&self) -> Option<Finding> {
        let told = || self.nodes.iter().filter(|(_, view)| view.status.node.time.is_some());
        let (first, last) =
            (told().min_by_key(|(_, view)| view.ahead_ms)?, told().max_by_key(|(_, view)| view.ahead_ms)?);
        let unsure = (first.1.took_ms + last.1.took_ms) / 2;
        let apart = last.1.ahead_ms - first.1.ahead_ms;
        (apart - unsure > MOST_APART_MS).then(|| {
            let what = format!(
                "wall clocks are {} s apart: {} is ahead of {}; from 2 s on a node takes no serving lease",
                apart / 1_000,
                name(last.1, last.0),
                name(first.1, first.0)
            );
            let remedy = "let one time service set all of them (chrony, systemd-timesyncd), and see which one is wrong";
            Finding::error("clocks_apart", WHOLE, what, remedy)
        })
    }

    fn keys(&self) -> Vec<Finding> {
        let Some(now) = self.best().and_then(|view| Timestamp::parse(view.status.node.time.as_deref()?))
        else {
            return Vec::new();
        };
        if self.keys.is_empty() {
            return Vec::new();
        }
        let active = self.roster().iter().filter(|member| member.state == "active");
        active.filter_map(|member| key(member, self.keys, now)).collect()
    }

    fn secrets(&self) -> Option<Finding> {
        let secrets = self.best()?.status.secrets.as_ref()?;
        if secrets.due {
            let what = "the cluster secret must be changed: a removed node knows one that is in force";
            return Some(Finding::error("secret_known", WHOLE, what, secrets.next.as_str()));
        }
        (secrets.in_force.len() > 1).then(|| {
            let what = format!(
                "a change of the cluster secret is half done: {} are in force",
                secrets.in_force.len()
            );
            Finding::warning("secret_rotation", WHOLE, what, secrets.next.as_str())
        })
    }

    fn seals(&self) -> Option<Finding> {
        let session = self.nodes.iter().find_map(|(_, view)| view.status.leader_session.as_ref())?;
        if !session.open {
            let what = "the leader does not grant leases yet: it has just been elected, or cannot commit";
            return Some(Finding::warning(
                "session_closed",
                WHOLE,
                what,
                "look again in some seconds; see the leader's log if it stays",
            ));
        }
        let first = session.pending_seals.first()?;
        let what = format!(
            "{} acts do not bind every node yet, the first at index {first}",
            session.pending_seals.len()
        );
        let remedy = format!(
            "`cluster seal {first}` shows which node is waited for; a lease that it may have ends within some seconds"
        );
        Some(Finding::warning("seals_pending", WHOLE, what, remedy))
    }

    fn summary(&self) -> Finding {
        let id =
            self.best().and_then(|view| view.status.cluster_id.clone()).unwrap_or("without an id".into());
        let voters = self.roster().iter().filter(|member| member.role == "voter").count();
        let leader = self.best().and_then(|view| view.status.leader.clone()).unwrap_or("nobody".into());
        let what = format!(
            "cluster {id}: {} of {} nodes answer, {voters} vote, {leader} leads",
            self.nodes.len(),
            self.nodes.len() + self.silent.len()
        );
        Finding::info("cluster", WHOLE, what)
    }
}

/// Without a lease a node hands its connects to the leader: one that cannot be reached then makes it useless.
fn lease(place: &str, view: &View, cluster: &Cluster<'_>) -> Option<Finding> {
    let node = &view.status.node;
    let on_roster = cluster.roster().iter().find(|member| member.id == node.id);
    // Without a leader nobody has one, and that is found already.
    if node.lease.valid || !cluster.is_led() || on_roster.is_some_and(|member| member.state == "draining") {
        return None;
    }
    let why = if let Some(unfit) = &node.unfit {
        return Some(Finding::error(
            "no_lease",
            place,
            "it has no serving lease, and hands connects to the leader",
            unfit.as_str(),
        ));
    } else if view.status.leader.is_none() {
        "it knows no leader: see whether it reaches the others at their peer addresses"
    } else if on_roster.is_none_or(|member| member.state != "active") {
        "it is not on the roster: a new node gets there within some seconds; see its log if it stays"
    } else {
        "its clock is off, its state lags, or the leader has no majority: see the other findings and its log"
    };
    Some(Finding::warning(
        "no_lease",
        place,
        "it has no serving lease, and hands connects to the leader",
        why,
    ))
}

fn clock(place: &str, view: &View) -> Option<Finding> {
    let lease = &view.status.node.lease;
    (lease.clock_trusted == Some(false)).then(|| {
        let what = format!(
            "its clock source is {}: a hypervisor may freeze it unnoticed, so that a majority confirms each descriptor",
            lease.clock_source
        );
        let remedy = "nothing, if that is meant; else give the machine a hardware clock source (tsc), or set \
                      `lease.clock = \"trusted\"` where it is never frozen";
        Finding::new(super::Severity::Info, "clock_untrusted", place, what, remedy)
    })
}

fn disk(place: &str, view: &View) -> Option<Finding> {
    let node = &view.status.node;
    if let Some(unfit) = &node.unfit {
        return Some(Finding::error("unfit", place, "it takes no writes", unfit.as_str()));
    }
    let disk = node.disk.as_ref()?;
    (disk.free_bytes < disk.reserve_bytes.saturating_mul(SOON_SHORT)).then(|| {
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let what = format!(
            "its disk has {} left; below {} it takes no more writes",
            mib(disk.free_bytes),
            mib(disk.reserve_bytes)
        );
        Finding::warning("disk_short", place, what, "free some space there, or enlarge the file system")
    })
}

fn key(member: &Member, keys: &[Key], now: Timestamp) -> Option<Finding> {
    let place = format!("node {} at {}", member.id, member.http);
    let of_node = |state: &str| keys.iter().find(|key| key.node == member.id && key.state == state);
    let Some(active) = of_node("active") else {
        let remedy = "a new node's first key signs a minute after it was published; see its log if it stays";
        return Some(Finding::warning(
            "no_key",
            place,
            "it has no key that signs, and hands connects to the leader",
            remedy,
        ));
    };
    let age_s = now.seconds().saturating_sub(Timestamp::parse(&active.changed_at)?.seconds());
    if age_s > OLD_KEY_S {
        let what = format!("its key has signed for {} hours: keys are changed each day", age_s / 3_600);
        let remedy = "see its log: it cannot write, or its clock is behind; `keys retire` lets its spare take over now";
        return Some(Finding::warning("old_key", place, what, remedy));
    }
    None
}

fn difference(
    code: &'static str,
    what: &str,
    values: &BTreeMap<String, Vec<&str>>,
    remedy: &str,
) -> Option<Finding> {
    let parts: Vec<_> =
        values.iter().map(|(value, nodes)| format!("{value} at {}", nodes.join(", "))).collect();
    (values.len() > 1).then(|| {
        Finding::warning(
            code,
            WHOLE,
            format!("{what} is not the same everywhere: {}", parts.join("; ")),
            remedy,
        )
    })
}

fn words(ids: &BTreeSet<&str>) -> String {
    ids.iter().copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::cli::doctor::view::{Disk, Lease, Node, Secrets, Session, Status};

    fn id(place: usize) -> String {
        format!("{:016x}", place + 0xa0)
    }

    fn url(place: usize) -> String {
        format!("http://node{place}")
    }

    /// A sound cluster of three voters, the first of which leads.
    fn sound() -> Views {
        let member = |place: usize| Member {
            id: id(place),
            http: url(place),
            role: "voter".into(),
            state: "active".into(),
            lag: Some(0),
        };
        let view = |place: usize| View {
            ahead_ms: 0,
            took_ms: 4,
            status: Status {
                cluster_id: Some("c1".into()),
                issuer: Some("https://r.example".into()),
                lease_duration_ms: Some(3_000),
                node: Node {
                    id: id(place),
                    role: if place == 0 { "leader" } else { "follower" }.into(),
                    version: "0.1.0".into(),
                    time: Some("2026-03-02T12:00:00Z".into()),
                    lease: Lease { valid: true, clock_source: "tsc".into(), clock_trusted: Some(true) },
                    disk: Some(Disk { free_bytes: 10 << 30, reserve_bytes: 128 << 20 }),
                    unfit: None,
                },
                leader: Some(id(0)),
                leader_session: (place == 0).then(|| Session { open: true, pending_seals: Vec::new() }),
                members: (0..3).map(member).collect(),
                secrets: Some(Secrets { in_force: vec!["0a".into()], due: false, next: "nothing".into() }),
            },
        };
        let key = |place: usize| Key {
            node: id(place),
            state: "active".into(),
            changed_at: "2026-03-02T02:00:00Z".into(),
        };
        let nodes = (0..3).map(|place| (url(place), Ok(view(place)))).collect();
        Views { nodes, keys: (0..3).map(key).collect() }
    }

    fn at(views: &mut Views, place: usize) -> &mut View {
        views.nodes[place].1.as_mut().unwrap()
    }

    fn everywhere(views: &mut Views, change: impl Fn(&mut Status)) {
        views.nodes.iter_mut().for_each(|(_, answer)| change(&mut answer.as_mut().unwrap().status));
    }

    #[test]
    fn nothing_is_wrong_with_a_sound_cluster() {
        let what = "cluster c1: 3 of 3 nodes answer, 3 vote, 00000000000000a0 leads";
        assert_eq!(judge(&sound()), [Finding::info("cluster", WHOLE, what)]);
    }

    #[test]
    fn each_trouble_is_found_and_no_other() {
        type Case = (&'static str, fn(&mut Views), &'static str);
        let cases: [Case; 22] = [
            ("unreachable", |views| views.nodes[2].1 = Err("refused".into()), "does not answer: refused"),
            ("several_clusters", |views| at(views, 2).status.cluster_id = Some("c2".into()), "c1, c2"),
            (
                "no_leader",
                |views| everywhere(views, |status| status.node.lease.valid = false),
                "3 nodes vote, 3 answer",
            ),
            (
                "single_voter",
                |views| everywhere(views, |status| demote(status, 1..3)),
                "one node alone votes",
            ),
            ("even_voters", |views| everywhere(views, |status| demote(status, 2..3)), "two nodes vote"),
            ("even_voters", |views| everywhere(views, grow), "4 nodes vote: as many may be lost as with 3"),
            ("lag", |views| at(views, 0).status.members[2].lag = Some(1_001), "lacks 1001 entries"),
            ("draining", |views| at(views, 0).status.members[2].state = "draining".into(), "being removed"),
            ("no_lease", |views| at(views, 1).status.node.lease.valid = false, "no serving lease"),
            (
                "clock_untrusted",
                |views| {
                    at(views, 1).status.node.lease.clock_trusted = Some(false);
                    at(views, 1).status.node.lease.clock_source = "kvm-clock".into();
                },
                "kvm-clock",
            ),
            ("unfit", |views| at(views, 1).status.node.unfit = Some("its disk".into()), "takes no writes"),
            (
                "disk_short",
                |views| at(views, 1).status.node.disk.as_mut().unwrap().free_bytes = 200 << 20,
                "200 MiB left; below 128 MiB",
            ),
            (
                "versions",
                |views| at(views, 1).status.node.version = "0.2.0".into(),
                "0.2.0 at 00000000000000a1",
            ),
            ("issuers", |views| at(views, 1).status.issuer = Some("https://s".into()), "https://s at"),
            ("lease_durations", |views| at(views, 1).status.lease_duration_ms = Some(5_000), "5000 at"),
            ("clocks_apart", |views| at(views, 2).ahead_ms = -2_100, "2 s apart: node 00000000000000a1"),
            ("no_key", |views| views.keys[1].state = "prepared".into(), "no key that signs"),
            ("old_key", |views| views.keys[1].changed_at = "2026-03-01T10:00:00Z".into(), "26 hours"),
            (
                "secret_known",
                |views| at(views, 0).status.secrets.as_mut().unwrap().due = true,
                "must be changed",
            ),
            (
                "secret_rotation",
                |views| at(views, 0).status.secrets.as_mut().unwrap().in_force.push("0b".into()),
                "half done: 2 are in force",
            ),
            (
                "session_closed",
                |views| at(views, 0).status.leader_session.as_mut().unwrap().open = false,
                "does not grant leases yet",
            ),
            (
                "seals_pending",
                |views| at(views, 0).status.leader_session.as_mut().unwrap().pending_seals = vec![17, 18],
                "2 acts do not bind every node yet, the first at index 17",
            ),
        ];
        for (code, make, part) in cases {
            let mut views = sound();
            make(&mut views);
            let found = judge(&views);
            let of_code: Vec<_> = found.iter().filter(|finding| finding.code == code).collect();
            assert!(matches!(of_code[..], [one] if one.what.contains(part)), "{code}: {found:#?}");
            assert!(!of_code[0].remedy.is_empty(), "{code}");
            assert!(found.iter().all(|one| one.code == code || one.code == "cluster"), "{code}: {found:#?}");
        }
    }

    fn demote(status: &mut Status, places: std::ops::Range<usize>) {
        status.members[places].iter_mut().for_each(|member| member.role = "learner".into());
    }

    /// A fourth voter that no test asks; its key does not matter.
    fn grow(status: &mut Status) {
        let fourth = Member { id: id(0), ..status.members[0].clone() };
        status.members.push(fourth);
    }

    #[test]
    fn a_clock_behind_a_slow_network_is_given_the_benefit() {
        let mut views = sound();
        at(&mut views, 2).ahead_ms = -2_500;
        at(&mut views, 2).took_ms = 1_200;
        assert_eq!(judge(&views).len(), 1);
    }

    #[test]
    fn what_a_node_of_another_version_leaves_out_is_not_judged() {
        let mut views = sound();
        for place in 0..3 {
            let status = &mut at(&mut views, place).status;
            (status.issuer, status.lease_duration_ms, status.secrets) = (None, None, None);
            (status.node.time, status.node.disk, status.node.lease.clock_trusted) = (None, None, None);
        }
        assert_eq!(judge(&views).len(), 1);
    }
}
