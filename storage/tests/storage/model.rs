//! Random operations, with restarts in between, against a model in memory.

use std::collections::BTreeMap;

use hapi_storage::Storage;
use openraft::storage::{RaftLogReader, RaftLogStorage};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{Types, append, compact, data, entry, log_id, open, open_uncached, vote};

/// Places in the log are given in thousandths of its length, so that they fit any log.
#[derive(Clone, Debug)]
enum Step {
    Append { entries: u64 },
    Vote,
    Truncate { at: u64 },
    Purge { at: u64 },
    PurgeBeyond { by: u64 },
    Put { key: u8, value: u8 },
    Read { from: u64, count: u64 },
    Reopen { cached: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..60_u64).prop_map(|entries| Step::Append { entries }),
        1 => Just(Step::Vote),
        2 => (0..1000_u64).prop_map(|at| Step::Truncate { at }),
        2 => (0..1000_u64).prop_map(|at| Step::Purge { at }),
        1 => (1..50_u64).prop_map(|by| Step::PurgeBeyond { by }),
        1 => (0..4_u8, any::<u8>()).prop_map(|(key, value)| Step::Put { key, value }),
        3 => (0..1000_u64, 0..80_u64).prop_map(|(from, count)| Step::Read { from, count }),
        2 => any::<bool>().prop_map(|cached| Step::Reopen { cached }),
    ]
}

/// What the store must hold.
#[derive(Default)]
struct Model {
    /// The term of each entry.
    log: BTreeMap<u64, u64>,
    purged: Option<(u64, u64)>,
    term: u64,
    records: BTreeMap<String, Vec<u8>>,
}

impl Model {
    fn next(&self) -> u64 {
        let last = self.log.keys().next_back().or(self.purged.as_ref().map(|(_, index)| index));
        last.map_or(0, |last| last + 1)
    }

    /// The entry at this many thousandths of the log.
    fn at(&self, thousandth: u64) -> Option<(u64, u64)> {
        let place = self.log.len() * thousandth as usize / 1000;
        self.log.iter().nth(place).map(|(index, term)| (*term, *index))
    }

    fn purge(&mut self, term: u64, index: u64) {
        self.log.retain(|other, _| *other > index);
        self.purged = Some((term, index));
    }
}

struct Run {
    dir: TempDir,
    storage: Storage<Types>,
    model: Model,
}

impl Run {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Append { entries } => self.append(entries).await,
            Step::Vote => self.vote().await,
            Step::Truncate { at } => self.truncate(at).await,
            Step::Purge { at } => {
                let Some((term, index)) = self.model.at(at) else { return };
                self.purge(term, index).await;
            }
            Step::PurgeBeyond { by } => self.purge(self.model.term, self.model.next() + by).await,
            Step::Put { key, value } => self.put(&format!("key{key}"), vec![value; 10]).await,
            Step::Read { from, count } => self.read(from, count).await,
            Step::Reopen { .. } => unreachable!("needs the store by value"),
        }
    }

    async fn append(&mut self, count: u64) {
        let (term, first) = (self.model.term, self.model.next());
        let entries = (first..first + count).map(|index| entry(term, index, &data(term, index))).collect();
        append(&mut self.storage.log, entries).await.unwrap();
        self.model.log.extend((first..first + count).map(|index| (index, term)));
    }

    async fn vote(&mut self) {
        self.model.term += 1;
        self.storage.log.save_vote(&vote(self.model.term)).await.unwrap();
    }

    async fn truncate(&mut self, at: u64) {
        let Some((term, index)) = self.model.at(at) else { return };
        self.storage.log.truncate_after(Some(log_id(term, index))).await.unwrap();
        self.model.log.retain(|other, _| *other <= index);
        self.vote().await;
    }

    async fn purge(&mut self, term: u64, index: u64) {
        compact(&mut self.storage, term, index).await;
        self.model.purge(term, index);
    }

    async fn put(&mut self, key: &str, value: Vec<u8>) {
        self.storage.meta.put(key, value.clone()).await.unwrap();
        self.model.records.insert(key.to_owned(), value);
    }

    async fn read(&mut self, from: u64, count: u64) {
        let Some((_, from)) = self.model.at(from) else { return };
        let range = from.saturating_sub(5)..from + count;
        let found = self.storage.log.try_get_log_entries(range.clone()).await.unwrap();
        let expected =
            self.model.log.range(range).map(|(index, term)| entry(*term, *index, &data(*term, *index)));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    async fn reopen(self, cached: bool) -> Self {
        self.storage.close().await;
        let open = if cached { open } else { open_uncached };
        let storage = open(self.dir.path());
        Self { storage, ..self }
    }

    async fn check(&mut self) {
        let model = &self.model;
        let found = self.storage.log.try_get_log_entries(..).await.unwrap();
        let expected = model.log.iter().map(|(index, term)| entry(*term, *index, &data(*term, *index)));
        assert_eq!(found, expected.collect::<Vec<_>>());
        let state = self.storage.log.get_log_state().await.unwrap();
        let purged = model.purged.map(|(term, index)| log_id(term, index));
        let last = model.log.last_key_value().map(|(index, term)| log_id(*term, *index));
        assert_eq!((state.last_purged_log_id, state.last_log_id), (purged, last.or(purged)));
        let voted = (model.term > 0).then(|| vote(model.term));
        assert_eq!(self.storage.log.read_vote().await.unwrap(), voted);
        for (key, value) in &model.records {
            assert_eq!(self.storage.meta.get(key).unwrap().as_ref(), Some(value));
        }
    }
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let mut run = Run { dir, storage, model: Model::default() };
    for step in steps {
        match step {
            Step::Reopen { cached } => run = run.reopen(cached).await,
            step => run.step(step).await,
        }
        run.check().await;
    }
    run.reopen(true).await.check().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
