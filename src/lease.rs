//! Leases: what keeps an entry that is in use from going idle.

use crate::Cache;
use crate::core::{Core, Held};
use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// Keeps an entry from expiring for idleness, and from making room for others, until it is dropped;
/// from [`Cache::hold`].
///
/// It does not keep the entry from dying otherwise: of its absolute timeout, of an explicit
/// removal, with its parent or its cache. Nor does it keep the cache alive.
#[must_use = "the lease ends when this drops"]
pub struct Lease<K, V, S = crate::RandomState> {
    core: Arc<Core<K, V, S>>,
    held: Held,
}

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// Takes a lease on an entry, for as long as a request is under way or a stream is open: until
    /// the lease is dropped, the entry does not expire for idleness, and does not make room in a
    /// bounded cache. Any number of leases may be held; when the last one drops, the entry's
    /// idleness begins anew. Taking one is activity.
    ///
    /// `None`: there is no entry (or, when some 10^9 entries have timeouts of their own, no room to
    /// note it). A held child keeps no parent: hold that instead. When every entry is held, a
    /// bounded cache refuses new ones.
    ///
    /// Cost: to take one, and to drop it, is about as much as an insert each, and writes a record
    /// of 104 bytes, which the next sweep gives back. From then on a lookup of that entry searches
    /// twice and reads the record, as that of any entry with [timeouts of its
    /// own](Cache::insert_with).
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let hour = Duration::from_secs(3600);
    /// let (clock, mock) = Clock::mock();
    /// let sessions = Cache::builder().clock(clock).build()?;
    /// sessions.insert("alice", 1)?;
    /// let stream = sessions.hold("alice").expect("she is logged in");
    /// mock.advance(3 * hour); // longer than the idle timeout
    /// assert_eq!(sessions.sweep().expired, 0);
    /// assert!(stream.is_live());
    /// drop(stream);
    /// mock.advance(hour);
    /// assert_eq!(sessions.get("alice"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "the lease ends when this drops"]
    pub fn hold<Q>(&self, key: &Q) -> Option<Lease<K, V, S>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let held = self.core.take_lease(key)?;
        Some(Lease { core: Arc::clone(&self.core), held })
    }
}

impl<K, V, S> Lease<K, V, S> {
    /// Whether the entry is still there: a long stream should ask now and then, and end when its
    /// session has.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.core.is_held_alive(self.held)
    }
}

impl<K, V, S> Drop for Lease<K, V, S> {
    fn drop(&mut self) {
        self.core.end_lease(self.held);
    }
}

impl<K, V, S> fmt::Debug for Lease<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("is_live", &self.is_live()).finish_non_exhaustive()
    }
}
