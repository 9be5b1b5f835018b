//! Equal entries, equal registries.

use crate::{apply, cases, connects, set, strategy};
use proptest::prelude::*;

proptest! {
    #![proptest_config(cases(32))]

    /// Two replicas that share nothing give the same answers and have the same state.
    #[test]
    fn replicas_agree(entries in strategy::entries(80)) {
        let (mut one, mut other) = (set(), set());
        prop_assert_eq!(apply(&mut one, &entries), apply(&mut other, &entries));
        prop_assert_eq!(one.hash(), other.hash());
    }

    /// A clone shares the structure, never the future: what the original does behind it, it does not see.
    #[test]
    fn a_clone_stays_as_it_was(before in strategy::entries(30), after in strategy::entries(30)) {
        let mut registry = set();
        apply(&mut registry, &before);
        let clone = registry.clone();
        let (hash, answers) = (clone.hash(), format!("{:?}", connects::all(&clone)));
        apply(&mut registry, &after);
        prop_assert_eq!(clone.hash(), hash);
        prop_assert_eq!(format!("{:?}", connects::all(&clone)), answers);
    }

    /// An entry that is not for the registry moves the index and nothing else.
    #[test]
    fn skipping_moves_the_index_alone(entries in strategy::entries(30)) {
        let mut registry = set();
        apply(&mut registry, &entries);
        let mut skipped = registry.clone();
        skipped.skip(registry.applied() + 1);
        prop_assert_eq!(skipped.applied(), registry.applied() + 1);
        let records = |registry| hapi_registry_state::snapshot::records(registry).skip(1).collect::<Vec<_>>();
        prop_assert_eq!(records(&skipped), records(&registry));
    }
}
