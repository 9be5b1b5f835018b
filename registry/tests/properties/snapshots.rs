//! A snapshot is the registry; what is damaged is none.

use crate::{apply, cases, connects, set, strategy};
use hapi_registry_state::{ListQuery, Registry, Server, Viewer, snapshot};
use proptest::{prelude::*, sample::Index};

fn read(records: &[Vec<u8>]) -> Result<Registry, snapshot::SnapshotError> {
    let mut builder = snapshot::Builder::new(snapshot::VERSION)?;
    records.iter().try_for_each(|record| builder.push(record))?;
    builder.finish()
}

fn records(registry: &Registry) -> Vec<Vec<u8>> {
    snapshot::records(registry).collect()
}

/// What a hash does not see: the versions that are kept at hand, and so the answers; whether there is a budget; what a
/// search finds, and in which order.
fn answers(registry: &Registry) -> (Vec<Option<Server>>, bool, String) {
    let servers = crate::cast::names().map(|name| registry.server(&name).cloned()).collect();
    let found = ["gale", "a", "x", "server"].map(|words| {
        let query = ListQuery { limit: 100, search: Some(words.into()), ..ListQuery::default() };
        registry.list(&query, Viewer::Anonymous)
    });
    (servers, registry.has_connect_budgets(), format!("{:?} {found:?}", connects::all(registry)))
}

proptest! {
    #![proptest_config(cases(32))]

    /// A replica that was restored in the midst goes on like one that never was.
    #[test]
    fn a_restored_registry_goes_on_like_the_original(
        before in strategy::entries(50),
        after in strategy::entries(50),
    ) {
        let mut original = set();
        apply(&mut original, &before);
        let mut restored = read(&records(&original)).unwrap();
        prop_assert_eq!(restored.hash(), original.hash());
        prop_assert_eq!(format!("{:?}", answers(&restored)), format!("{:?}", answers(&original)));
        prop_assert_eq!(apply(&mut restored, &after), apply(&mut original, &after));
        prop_assert_eq!(restored.hash(), original.hash());
        prop_assert_eq!(format!("{:?}", answers(&restored)), format!("{:?}", answers(&original)));
    }

    #[test]
    fn a_snapshot_that_was_cut_off_is_refused(entries in strategy::entries(20), kept in any::<Index>()) {
        let mut registry = set();
        apply(&mut registry, &entries);
        let mut records = records(&registry);
        records.truncate(kept.index(records.len()));
        prop_assert!(read(&records).is_err());
    }

    #[test]
    fn a_record_that_was_cut_off_or_goes_on_is_refused(
        entries in strategy::entries(20),
        record in any::<Index>(),
        cut in any::<Index>(),
        tail in proptest::collection::vec(any::<u8>(), 1..9),
    ) {
        let mut registry = set();
        apply(&mut registry, &entries);
        let records = records(&registry);
        let at = record.index(records.len());
        let mut short = records.clone();
        short[at].truncate(cut.index(records[at].len()));
        prop_assert!(read(&short).is_err());
        let mut long = records;
        long[at].extend(tail);
        prop_assert!(read(&long).is_err());
    }

    /// A changed record is refused, or makes a registry whose hash is another: replicas that compare their
    /// checkpoints find it. That no byte changes on the way is the storage's promise.
    #[test]
    fn a_changed_record_never_goes_unnoticed(
        entries in strategy::entries(20),
        record in any::<Index>(),
        byte in any::<Index>(),
        flip in 1..=u8::MAX,
    ) {
        let mut registry = set();
        apply(&mut registry, &entries);
        let mut records = records(&registry);
        let at = record.index(records.len());
        let byte = byte.index(records[at].len());
        records[at][byte] ^= flip;
        if let Ok(other) = read(&records) {
            prop_assert_ne!(other.hash(), registry.hash());
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let records = vec![bytes];
        prop_assert!(read(&records).is_err());
    }
}

#[test]
fn another_form_is_refused_by_name() {
    let error = snapshot::Builder::new(snapshot::VERSION + 1).err().unwrap();
    assert_eq!(error.to_string(), "the snapshot has form 5, this software reads forms 3 to 4");
}
