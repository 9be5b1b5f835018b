//! What is wrong with a data folder, by what a look at it has found.

use super::finding::Finding;
use hapi_raft::{Checkup, KeyCondition, SeenFile, Stage};
use std::collections::BTreeSet;

/// Below it a node with the default settings takes no writes.
const LITTLE: u64 = 128 << 20;

const SET_ASIDE: &str = "set the folder aside and start the node with an empty one, as a new node: the cluster sends it \
                         the state; then `cluster remove` the old one. Do not copy parts of the old folder back";

/// Every rule, in the order in which an operator would look.
pub(super) fn judge(dir: &str, seen: &Checkup) -> Vec<Finding> {
    if seen.files.is_empty() {
        let what = "the folder is empty: no node has been started on it yet";
        return vec![Finding::info("empty", dir, what)];
    }
    let mut found = Vec::new();
    found.extend(access(dir, seen));
    found.extend(owners(dir, seen));
    found.extend(open_secrets(dir, seen));
    found.extend(space(dir, seen));
    found.extend(format(dir, seen));
    found.extend(damage(dir, seen));
    found.extend(key(dir, seen));
    found.extend(stage(dir, seen));
    found.extend(put_aside(dir, seen));
    found.push(summary(dir, seen));
    found
}

fn access(dir: &str, seen: &Checkup) -> Option<Finding> {
    let first = seen.unread.first()?;
    let more = match seen.unread.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let remedy = "run the doctor as the user that runs the node, or as root; if it is that user, let it own everything in \
                  the folder";
    Some(Finding::error("unreadable", dir, format!("not everything can be read: {first}{more}"), remedy))
}

fn owners(dir: &str, seen: &Checkup) -> Option<Finding> {
    let strange = seen.files.iter().find(|file| file.user != seen.user)?;
    let what = format!(
        "the folder belongs to user {}, and {} in it to user {}: the node may not be able to write it",
        seen.user,
        strange.path.display(),
        strange.user
    );
    Some(Finding::error(
        "owners",
        dir,
        what,
        format!("`chown --recursive USER {dir}` with the user that runs the node"),
    ))
}

/// Private halves of keys are for their node alone.
fn open_secrets(dir: &str, seen: &Checkup) -> Option<Finding> {
    let is_secret = |file: &&SeenFile| {
        let is_file = file.mode & 0o170_000 == 0o100_000;
        is_file && (file.path.starts_with("keys") || file.path.as_os_str() == "peer.key")
    };
    let open = seen.files.iter().filter(is_secret).find(|file| file.mode & 0o077 != 0)?;
    let what = format!("others on this machine may read the private key {}", open.path.display());
    let remedy = format!(
        "`chmod 0600 {dir}/{}`, and if anybody may have read it: `keys revoke` for a key under keys/, `cluster remove` for \
         a node whose peer.key it is",
        open.path.display()
    );
    Some(Finding::error("open_secret", dir, what, remedy))
}

fn space(dir: &str, seen: &Checkup) -> Option<Finding> {
    let free = seen.free?;
    let remedy = "free some space there, or enlarge the file system";
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    if free < seen.start_needs {
        let what = format!("{} are free, a start needs {}", mib(free), mib(seen.start_needs));
        return Some(Finding::error("disk_full", dir, what, remedy));
    }
    (free < LITTLE).then(|| {
        let what = format!(
            "{} are free: below {} (`disk.reserve_bytes`) a node takes no writes",
            mib(free),
            mib(LITTLE)
        );
        Finding::warning("disk_short", dir, what, remedy)
    })
}

fn format(dir: &str, seen: &Checkup) -> Option<Finding> {
    let (found, supported) = seen.foreign_format?;
    let what = format!("the folder has format {found}, this program reads format {supported}");
    Some(Finding::error("format", dir, what, "start it with the version of this program that wrote it"))
}

fn damage(dir: &str, seen: &Checkup) -> Vec<Finding> {
    let damage: BTreeSet<_> = seen.damage.iter().collect();
    damage.into_iter().map(|what| Finding::error("damaged", dir, what.as_str(), SET_ASIDE)).collect()
}

fn key(dir: &str, seen: &Checkup) -> Option<Finding> {
    let what = match &seen.key {
        KeyCondition::Unknown | KeyCondition::Good => return None,
        KeyCondition::Missing => "peer.key is missing, though the node has a place in a cluster".to_owned(),
        KeyCondition::Foreign => "peer.key is not the key with which this node made itself known".to_owned(),
        KeyCondition::Unreadable(error) => format!("peer.key cannot be used: {error}"),
    };
    let remedy = format!("put the old file back, or {SET_ASIDE}");
    Some(Finding::error("identity", dir, what, remedy))
}

fn stage(dir: &str, seen: &Checkup) -> Option<Finding> {
    match seen.stage? {
        Stage::Searching => {
            let what = "the node is in no cluster yet";
            Some(Finding::info("searching", dir, what))
        }
        Stage::Accepted { inviter, .. } => {
            let what = format!(
                "the node has given its word to node {inviter:016x}, which has not formed a cluster yet"
            );
            let remedy = "start that node; if it is lost for good, empty the folder and start this one anew";
            Some(Finding::warning("waiting_for_inviter", dir, what, remedy))
        }
        Stage::Inviting { cluster_id } | Stage::Initializing { cluster_id } => {
            let what =
                format!("the node has invited others to cluster {cluster_id:032x}, which is not formed yet");
            Some(Finding::warning("forming", dir, what, "start all nodes that are to form it"))
        }
        Stage::Joining { .. } | Stage::Member { .. } => None,
    }
}

/// What a removed node has left, and what the next start will put aside.
fn put_aside(dir: &str, seen: &Checkup) -> Option<Finding> {
    let is =
        |test: fn(&str) -> bool| seen.files.iter().find(move |file| file.path.to_str().is_some_and(test));
    if is(|path| path == "set-aside").is_some() {
        let what =
            "the cluster has removed this node: the next start puts its data aside and joins as a new node";
        return Some(Finding::info("removed", dir, what));
    }
    let kept = is(|path| path.starts_with("removed-") && !path.contains('/'))?;
    let what = format!(
        "{} holds the data of a node that was removed: delete it once nobody needs it",
        kept.path.display()
    );
    Some(Finding::info("put_aside", dir, what))
}

/// Whose folder it is and what it holds.
fn summary(dir: &str, seen: &Checkup) -> Finding {
    if seen.is_locked {
        let what = "a process has the folder open, so that its database was left alone: ask the node itself, with \
                    `doctor --node URL`, or stop it and look again";
        return Finding::info("in_use", dir, format!("{what}{}", contents(seen)));
    }
    let node = seen.node.map(|node| format!("node {node}")).unwrap_or("a node that is not known".into());
    let cluster = match seen.stage {
        Some(Stage::Member { cluster_id } | Stage::Joining { cluster_id }) => {
            format!(" of cluster {cluster_id:032x}")
        }
        _ => String::new(),
    };
    let facts = seen
        .facts
        .as_ref()
        .map(|facts| format!(", issuer {}, lease.duration_ms {}", facts.issuer, facts.lease_duration_ms));
    Finding::info("folder", dir, format!("{node}{cluster}{}{}", facts.unwrap_or_default(), contents(seen)))
}

fn contents(seen: &Checkup) -> String {
    let log = seen.log.map(|(first, last)| format!("; log from {first} to {last}"));
    let acknowledged = seen.acknowledged.map(|index| format!("; acknowledged up to {index}"));
    let snapshot = seen.snapshot.map(|index| format!("; newest snapshot up to {index}, intact"));
    [log, acknowledged, snapshot].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hapi_raft::ClusterFacts;
    use hapi_registry_state::NodeId;

    fn file(path: &str, mode: u32) -> SeenFile {
        SeenFile { path: path.into(), user: 100, mode }
    }

    fn sound() -> Checkup {
        Checkup {
            free: Some(10 << 30),
            start_needs: 4 << 20,
            user: 100,
            files: vec![file("lock", 0o100_644), file("peer.key", 0o100_600), file("keys", 0o040_755)],
            acknowledged: Some(40),
            log: Some((1, 41)),
            snapshot: Some(20),
            node: Some(NodeId(0xa1)),
            key: KeyCondition::Good,
            stage: Some(Stage::Member { cluster_id: 0xc1 }),
            facts: Some(ClusterFacts { issuer: "https://r.example".into(), lease_duration_ms: 3_000 }),
            ..Checkup::default()
        }
    }

    #[test]
    fn a_sound_folder_is_told_by_its_owner_and_content() {
        let found = judge("/data", &sound());
        assert_eq!(
            found,
            [Finding::info(
                "folder",
                "/data",
                "node 00000000000000a1 of cluster 000000000000000000000000000000c1, issuer https://r.example, \
                 lease.duration_ms 3000; log from 1 to 41; acknowledged up to 40; newest snapshot up to 20, intact"
            )]
        );
    }

    #[test]
    fn each_trouble_is_found() {
        type Case = (&'static str, fn(&mut Checkup), &'static str);
        let cases: [Case; 15] = [
            ("unreadable", |seen| seen.unread.push("/data/db: denied".into()), "/data/db: denied"),
            ("owners", |seen| seen.files[0].user = 0, "lock in it to user 0"),
            ("open_secret", |seen| seen.files[1].mode = 0o100_640, "private key peer.key"),
            ("open_secret", |seen| seen.files.push(file("keys/x", 0o100_604)), "private key keys/x"),
            ("disk_full", |seen| seen.free = Some(3 << 20), "3 MiB are free, a start needs 4 MiB"),
            ("disk_short", |seen| seen.free = Some(100 << 20), "100 MiB are free"),
            ("format", |seen| seen.foreign_format = Some((2, 3)), "format 2, this program reads format 3"),
            ("damaged", |seen| seen.damage.push("the log has a gap".into()), "the log has a gap"),
            ("identity", |seen| seen.key = KeyCondition::Missing, "is missing"),
            ("identity", |seen| seen.key = KeyCondition::Foreign, "is not the key"),
            (
                "waiting_for_inviter",
                |seen| seen.stage = Some(Stage::Accepted { inviter: 0xb2, cluster_id: 1 }),
                "word to node 00000000000000b2",
            ),
            ("forming", |seen| seen.stage = Some(Stage::Inviting { cluster_id: 1 }), "invited others"),
            ("removed", |seen| seen.files.push(file("set-aside", 0o100_644)), "has removed this node"),
            ("put_aside", |seen| seen.files.push(file("removed-a1", 0o040_755)), "removed-a1 holds"),
            ("in_use", |seen| seen.is_locked = true, "has the folder open"),
        ];
        for (code, make, part) in cases {
            let mut seen = sound();
            make(&mut seen);
            let found = judge("/data", &seen);
            let of_code: Vec<_> = found.iter().filter(|finding| finding.code == code).collect();
            assert!(matches!(of_code[..], [one] if one.what.contains(part)), "{code}: {found:?}");
            assert!(found.iter().all(|one| one.code == code || one.code == "folder"), "{code}: {found:?}");
        }
    }

    #[test]
    fn a_folder_of_nobody_is_no_trouble() {
        let found = judge("/data", &Checkup::default());
        assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["empty"]);
    }
}
