//! Namespaces with a record of their own; one without a record is public.

use crate::{Namespace, Outcome, Principal, Registry, Rejection, Right};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is known of a namespace beyond its moderation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Seen only by tenants that list the namespace, and by those who govern.
    pub private: bool,
}

impl Registry {
    pub(crate) fn put_namespace(
        &mut self,
        by: &Principal,
        namespace: &Namespace,
        private: bool,
    ) -> Result<Outcome, Rejection> {
        self.require(by, Right::Operate)?;
        self.namespaces.insert(namespace.clone(), Arc::new(NamespaceRecord { private }));
        Ok(Outcome::Done)
    }

    pub(crate) fn is_private(&self, namespace: &Namespace) -> bool {
        self.namespaces.get(namespace).is_some_and(|record| record.private)
    }

    /// All namespaces with a record of their own, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = (&Namespace, &NamespaceRecord)> {
        self.namespaces.iter().map(|(namespace, record)| (namespace, &**record))
    }
}
