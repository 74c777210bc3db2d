//! Iterators over a cache.

use crate::core::{Core, Course};
use crate::reclaim::Pin;
use crate::{Cache, RandomState};
use std::fmt;
use std::iter::FusedIterator;

impl<K, V, S, P> Cache<K, V, S, P> {
    /// Removes everything, and yields clones of what was there when the call began and is still
    /// there when its turn comes; also entries that have expired and were not swept yet, but no
    /// children of dead parents. For a shutdown that saves its sessions. Entries inserted meanwhile
    /// may stay. Cost: a look at every slot, and a claim for each entry.
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// let saved: Vec<_> = sessions.drain().collect();
    /// assert_eq!(saved, [("alice", 1)]);
    /// assert!(sessions.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&self) -> Drain<'_, K, V, S> {
        Drain::new(&self.core)
    }

    /// Clones of the keys and values of all live entries, in no order. Touches none.
    ///
    /// An entry that lives as long as the iteration lasts is yielded exactly once, with a value
    /// that it had meanwhile; one that comes or goes may be yielded or not; none is yielded that
    /// has expired or lost its parent by the time it is looked at. The iteration holds nothing
    /// back between two steps, and ends however many entries are inserted meanwhile. Cost: a look
    /// at every slot that was in use when it began.
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// assert_eq!(sessions.iter().collect::<Vec<_>>(), [("alice", 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, S> {
        Iter::new(&self.core)
    }

    /// Clones of the keys of all live entries; as [`Cache::iter`].
    ///
    /// ```
    /// let sessions = idlewheel::Cache::new();
    /// sessions.insert("alice", 1)?;
    /// assert_eq!(sessions.keys().collect::<Vec<_>>(), ["alice"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V, S> {
        Keys::new(&self.core)
    }
}

impl<'a, K: Clone, V: Clone, S, P> IntoIterator for &'a Cache<K, V, S, P> {
    type Item = (K, V);
    type IntoIter = Iter<'a, K, V, S>;

    fn into_iter(self) -> Iter<'a, K, V, S> {
        self.iter()
    }
}

/// Clones of the keys and values of a cache; from [`Cache::iter`](crate::Cache::iter).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct Iter<'a, K, V, S = RandomState> {
    core: &'a Core<K, V, S>,
    course: Course,
}

impl<'a, K, V, S> Iter<'a, K, V, S> {
    pub(crate) fn new(core: &'a Core<K, V, S>) -> Self {
        Iter { core, course: core.course() }
    }
}

impl<K: Clone, V: Clone, S> Iterator for Iter<'_, K, V, S> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.core.next_clone(&mut self.course, |key, value| (key.clone(), value.clone()))
    }
}

/// Clones of the keys of a cache; from [`Cache::keys`](crate::Cache::keys).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct Keys<'a, K, V, S = RandomState>(Iter<'a, K, V, S>);

impl<'a, K, V, S> Keys<'a, K, V, S> {
    pub(crate) fn new(core: &'a Core<K, V, S>) -> Self {
        Keys(Iter::new(core))
    }
}

impl<K: Clone, V, S> Iterator for Keys<'_, K, V, S> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.0.core.next_clone(&mut self.0.course, |key, _| key.clone())
    }
}

/// References to the keys and values of a cache; from [`Pinned::iter`](crate::Pinned::iter).
#[must_use = "iterators do nothing unless they are consumed"]
pub struct PinnedIter<'p, K, V, S = RandomState> {
    core: &'p Core<K, V, S>,
    pin: &'p Pin,
    course: Course,
}

impl<'p, K, V, S> PinnedIter<'p, K, V, S> {
    pub(crate) fn new(core: &'p Core<K, V, S>, pin: &'p Pin) -> Self {
        PinnedIter { core, pin, course: core.course() }
    }
}

impl<'p, K, V, S> Iterator for PinnedIter<'p, K, V, S> {
    type Item = (&'p K, &'p V);

    fn next(&mut self) -> Option<(&'p K, &'p V)> {
        let end = self.course.end();
        self.core.next_pair(&mut self.course, end, self.pin)
    }
}

/// What is removed from a cache; from [`Cache::drain`](crate::Cache::drain). Dropped before its
/// end, it removes the rest all the same.
pub struct Drain<'a, K, V, S = RandomState> {
    core: &'a Core<K, V, S>,
    course: Course,
}

impl<'a, K, V, S> Drain<'a, K, V, S> {
    pub(crate) fn new(core: &'a Core<K, V, S>) -> Self {
        Drain { core, course: core.course() }
    }
}

impl<K: Clone, V: Clone, S> Iterator for Drain<'_, K, V, S> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        self.core.drain_next(&mut self.course, |key, value| (key.clone(), value.clone()))
    }
}

impl<K, V, S> Drop for Drain<'_, K, V, S> {
    fn drop(&mut self) {
        while self.core.drain_next(&mut self.course, |_, _| ()).is_some() {}
    }
}

impl<K: Clone, V: Clone, S> FusedIterator for Iter<'_, K, V, S> {}
impl<K: Clone, V, S> FusedIterator for Keys<'_, K, V, S> {}
impl<K, V, S> FusedIterator for PinnedIter<'_, K, V, S> {}
impl<K: Clone, V: Clone, S> FusedIterator for Drain<'_, K, V, S> {}

impl<K, V, S> fmt::Debug for Iter<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<K, V, S> fmt::Debug for Keys<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl<K, V, S> fmt::Debug for PinnedIter<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedIter").finish_non_exhaustive()
    }
}

impl<K, V, S> fmt::Debug for Drain<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
