//! The core's side of loads: what a removal does to those that are under way.

use super::Core;
use crate::flights::Flights;
use crate::link::{Incarnation, Tie};
use crate::reclaim::{Pin, pin};
use crate::slab::{Flag, State};
use crate::sync::atomic::Ordering;
use std::hash::{BuildHasher, Hash};

use super::insert::Locate;
use super::{Parent, Refused};

impl<K, V, S> Core<K, V, S> {
    /// The loads of this cache.
    pub(crate) fn flights(&self) -> &Flights {
        self.flights.get_or_init(|| Box::new(Flights::new()))
    }

    /// Cancels the loads of keys with a hash, or all. What they load is not stored any more, or can
    /// be found and removed.
    pub(super) fn cancel_loads(&self, hash: Option<u32>, _pin: &Pin) {
        // Not built yet: no load began before this.
        let Some(flights) = self.flights.get() else { return };
        let stop = |entry| self.stop_insert(entry);
        match hash {
            Some(hash) => flights.cancel(hash, stop),
            None => flights.cancel_all(stop),
        }
    }

    /// Turns the slot of an insert dead before it is live. The caller is pinned.
    fn stop_insert(&self, entry: Incarnation) {
        let word = self.slab.state(entry.slot);
        // Acquire: a failure below means that it is live, and then it is in the index.
        let state = State(word.load(Ordering::Acquire));
        if state.is(Flag::Reserved) && state.generation() == entry.generation {
            // SeqCst: as for a removal, see `Index::unlink`, which the inserter calls.
            let order = Ordering::SeqCst;
            let _ = word.compare_exchange(state.0, state.stopped().0, order, Ordering::Acquire);
        }
    }

    /// Finds the parent of an entry that is to be loaded, as it is now.
    pub(crate) fn tie_of(&self, key: &K, parent: &Parent<'_, K>) -> Result<Tie, Refused>
    where
        K: Hash,
        S: BuildHasher,
    {
        let pin = pin();
        let find = |locate: &Locate<'_, K>| {
            let parent = locate(key, self.hash(key), &pin).ok_or(Refused::ParentGone)?;
            // The wish for the child is activity, however long its load takes.
            self.touch_above(parent, &pin).then_some(parent).ok_or(Refused::ParentGone)
        };
        match parent {
            Parent::None => Ok(Tie::NONE),
            Parent::Fixed(tie) => Ok(*tie),
            Parent::Unnamed => Err(Refused::NoParent),
            Parent::OfKey(locate) => Ok(self.tie_by_key(find(locate)?)),
            Parent::Named(locate) => Ok(Tie::new(find(locate)?, true)),
        }
    }

    /// Shows the value of a live entry, and touches it. Not counted as a lookup.
    pub(crate) fn show<R>(&self, key: &K, show: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        let pin = pin();
        let hash = self.hash(key);
        loop {
            let met = self.find_and_touch(key, hash, &pin)?;
            // SAFETY: met alive under `pin`.
            if let Some(value) = unsafe { self.value_by_key(&met) } {
                return Some(show(value));
            }
        }
    }
}
