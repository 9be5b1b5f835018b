//! The versions of one server.

use crate::{Published, Version};
use std::{ops::Index, slice, sync::Arc};

/// The versions of one server, in the order of their text.
///
/// Most servers have one or two, and a catalog has very many servers: this is as small as it can be. What has thousands
/// of versions copies some kilobytes with each change.
#[derive(Clone, Debug, Default)]
pub struct Versions(Vec<Arc<Published>>);

impl Versions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The version of this text.
    pub fn get(&self, version: &Version) -> Option<&Arc<Published>> {
        self.place(version).ok().map(|place| &self.0[place])
    }

    /// Whether there is a version of this text.
    pub fn contains_key(&self, version: &Version) -> bool {
        self.place(version).is_ok()
    }

    /// All, each with its text.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Version, &Arc<Published>)> {
        self.0.iter().map(|published| (published.document.version(), published))
    }

    /// Their texts.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Version> {
        self.0.iter().map(|published| published.document.version())
    }

    /// All.
    pub fn values(&self) -> slice::Iter<'_, Arc<Published>> {
        self.0.iter()
    }

    /// Adds a version, or puts it in the place of the one with the same text.
    pub(crate) fn insert(&mut self, published: Arc<Published>) {
        match self.place(published.document.version()) {
            Ok(place) => self.0[place] = published,
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, published);
            }
        }
    }

    fn place(&self, version: &Version) -> Result<usize, usize> {
        self.0.binary_search_by(|published| published.document.version().cmp(version))
    }
}

impl Index<&Version> for Versions {
    type Output = Published;

    fn index(&self, version: &Version) -> &Published {
        match self.place(version) {
            Ok(place) => &self.0[place],
            Err(_) => panic!("there is no version {version}"),
        }
    }
}
