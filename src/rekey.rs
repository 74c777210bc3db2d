//! Giving an entry another key.

use crate::Cache;
use crate::core::Unnamed;
use crate::error::RekeyError;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

impl<K: Hash + Eq, V, S: BuildHasher, P> Cache<K, V, S, P> {
    /// Gives a live entry another key, in one step: no lookup finds it under both keys, or under
    /// neither. For session ids that change when their user logs in, so that an id that was planted
    /// or seen before is worth nothing afterwards.
    ///
    /// It stays the same entry: value, deadlines, timeouts, leases, parent and children are kept.
    /// It counts neither as an insertion nor as a removal, and is activity. The old key is free at
    /// once.
    ///
    /// In [linked caches](crate#linked-caches), children of the same key keep theirs: rekey them
    /// first, then their parent; they stay its children.
    ///
    /// Cost: that of an insert, and one slot for the new key, as long as it is the entry's. The
    /// first key stays in memory, unreachable, until the entry is erased. A lookup of the entry
    /// costs some three times as much from then on, as with [timeouts of its
    /// own](Cache::insert_with).
    ///
    /// # Errors
    /// [`RekeyError::Missing`] when there is no live entry. [`RekeyError::Exists`] when the new key
    /// is that of a live entry (of the same one, too), or is just being inserted by another thread.
    /// [`RekeyError::Full`] when there is no slot left. The entry is as it was then.
    ///
    /// ```
    /// use idlewheel::{Cache, RekeyError};
    ///
    /// let sessions = Cache::new();
    /// sessions.insert("anonymous", 7)?;
    /// sessions.rekey("anonymous", "logged in")?;
    /// assert_eq!((sessions.get("anonymous"), sessions.get("logged in")), (None, Some(7)));
    /// assert_eq!(sessions.rekey("anonymous", "again"), Err(RekeyError::Missing));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rekey<Q>(&self, old: &Q, new: K) -> Result<(), RekeyError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.core.rekey(old, new).map_err(|unnamed| match unnamed {
            Unnamed::Missing => RekeyError::Missing,
            Unnamed::Exists => RekeyError::Exists,
            Unnamed::Full => RekeyError::Full,
        })
    }
}
