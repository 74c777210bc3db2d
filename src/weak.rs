//! Handles that keep no cache alive.

use crate::Cache;
use crate::core::Core;
use crate::linked::Lineage;
use std::fmt;
use std::sync::{Arc, Weak};

/// A handle that does not keep its cache alive; from [`Cache::downgrade`]. For what the cache
/// itself owns: values, and [removal listeners](crate::Builder::on_removal).
///
/// ```
/// let cache = idlewheel::Cache::new();
/// let weak = cache.downgrade();
/// weak.upgrade().unwrap().insert("alice", 1)?;
/// drop(cache);
/// assert!(weak.upgrade().is_none());
/// # Ok::<(), idlewheel::InsertError<i32>>(())
/// ```
pub struct WeakCache<K, V, S = crate::RandomState, P = K> {
    core: Weak<Core<K, V, S>>,
    lineage: Option<Weak<Lineage<K, P>>>,
}

impl<K, V, S, P> Cache<K, V, S, P> {
    /// A handle that does not keep the cache alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakCache<K, V, S, P> {
        let lineage = self.lineage.as_ref().map(Arc::downgrade);
        WeakCache { core: Arc::downgrade(&self.core), lineage }
    }
}

impl<K, V, S, P> WeakCache<K, V, S, P> {
    /// A handle like any other. `None`: the last one was dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<Cache<K, V, S, P>> {
        let core = self.core.upgrade()?;
        // Somebody else, a sweeper perhaps, may have the core when no handle is left.
        if !core.hold_if_held() {
            return None;
        }
        // From here on the handle is let go of when it drops.
        let mut cache = Cache { core, lineage: None };
        if let Some(lineage) = &self.lineage {
            // All handles have it, and one is left as long as ours is counted.
            cache.lineage = Some(lineage.upgrade()?);
        }
        Some(cache)
    }
}

impl<K, V, S, P> Clone for WeakCache<K, V, S, P> {
    fn clone(&self) -> Self {
        WeakCache { core: self.core.clone(), lineage: self.lineage.clone() }
    }
}

impl<K, V, S, P> fmt::Debug for WeakCache<K, V, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakCache").finish_non_exhaustive()
    }
}
