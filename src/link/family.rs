//! Caches that are linked, as they know each other: without their types.

use super::Incarnation;
use crate::clock::Clock;
use crate::core::{Allowance, Reclaimed, Report};
use crate::expiry::Schedule;
use crate::reclaim::Pin;
use crate::slab::{Head, State};
use crate::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Weak};

/// What a sweep asks of a cache.
pub(crate) trait Sweepable {
    /// Removes what is due, within `allowance`, and adds it up in `report`.
    fn expire_due(&self, allowance: &mut Allowance, report: &mut Report);

    /// Cascades and erases what was removed, within `allowance`. The caller is not pinned.
    fn reclaim_within(&self, allowance: &mut Allowance) -> Reclaimed;

    /// Waits until the values that other threads are dropping now are dropped. Returns whether
    /// there were any. The caller is not pinned.
    fn wait_for_droppers(&self) -> bool;

    /// Hands what was counted to the facade of metrics.
    #[cfg(feature = "metrics")]
    fn publish(&self);
}

/// One cache of a family.
pub(crate) trait Member: Sweepable + Send + Sync {
    /// Whether an entry is alive, and its own parents are, at `time` of the clock that all share.
    /// The caller is pinned since it met a live child of it.
    fn is_alive(&self, entry: Incarnation, time: u64, pin: &Pin) -> bool;

    /// Whether an entry was ever given another key. The caller is pinned.
    fn is_renamed(&self, entry: Incarnation) -> bool;

    /// The same, and restarts its idleness if it is.
    fn touch_entry(&self, entry: Incarnation, time: u64, pin: &Pin) -> bool;

    /// Claims the children of a dead parent, whose hash is `hash` but for the lowest bits. `false`:
    /// the allowance ended before they did. The caller is not pinned.
    fn orphan_children(&self, parent: Incarnation, hash: u32, allowance: &mut Allowance) -> bool;

    fn clock(&self) -> &Clock;

    /// By what its entries are judged, and when the cache was built; `None`: by their parents, too.
    fn plain(&self) -> Option<(Schedule, u64)>;

    /// The words of a slot, which stay where they are as long as the cache.
    fn head(&self, slot: u32) -> &Head;

    /// The state word of a slot.
    fn state_of_slot(&self, slot: u32) -> State;

    /// The cache that this one's entries have their parents in.
    fn parent(&self) -> Option<&Arc<dyn Member>>;

    /// The caches whose entries have their parents here.
    fn descendants(&self) -> &Descendants;
}

/// A member that can be asked for an entry by its key.
pub(crate) trait ParentKeys<P>: Member {
    /// The live entry whose key has this hash and satisfies `is_key`, which is user code.
    fn locate(&self, hash: u32, is_key: &dyn Fn(&P) -> bool, pin: &Pin) -> Option<Incarnation>;
}

/// The caches that are linked to one: a list that is replaced as a whole when one is built.
pub(crate) struct Descendants {
    list: AtomicPtr<List>,
}

type List = Vec<Weak<dyn Member>>;

impl Descendants {
    pub(crate) fn none() -> Self {
        Descendants { list: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Whether any cache was ever linked.
    #[inline]
    pub(crate) fn exist(&self) -> bool {
        !self.list.load(Ordering::Acquire).is_null()
    }

    /// Links another cache. Those that are gone are forgotten.
    pub(crate) fn add(&self, child: &Weak<dyn Member>, pin: &Pin) {
        loop {
            // Acquire: sees the list.
            let old = self.list.load(Ordering::Acquire);
            // SAFETY: null, or a list that lives as long as the pins that could see it.
            let mut list = unsafe { old.as_ref() }.cloned().unwrap_or_default();
            list.retain(|child| child.strong_count() > 0);
            list.push(Weak::clone(child));
            let new = Box::into_raw(Box::new(list));
            // Release: publishes the list. Before any insert into the child, whose fence (`settle`)
            // orders it against cascades.
            let order = Ordering::AcqRel;
            if self.list.compare_exchange(old, new, order, Ordering::Relaxed).is_ok() {
                if !old.is_null() {
                    // SAFETY: the winner of the exchange retires it, once. A weak reference runs no
                    // user code when it drops: it frees memory at most.
                    unsafe { pin.defer_free(old) };
                }
                return;
            }
            // SAFETY: never published, so this thread still owns it.
            drop(unsafe { Box::from_raw(new) });
        }
    }

    /// The caches that are linked directly and still there. They must not be dropped under a pin:
    /// one of them may be the last reference.
    pub(crate) fn children(&self, _pin: &Pin) -> Vec<Arc<dyn Member>> {
        // SAFETY: null, or a list that lives as long as the pins that could see it.
        let list = unsafe { self.list.load(Ordering::Acquire).as_ref() };
        list.map(|list| list.iter().filter_map(Weak::upgrade).collect()).unwrap_or_default()
    }

    /// All caches below, each after its parent. Depth and width are only as large as there are
    /// caches.
    pub(crate) fn all(&self) -> Vec<Arc<dyn Member>> {
        let pin = crate::reclaim::pin();
        let mut all = self.children(&pin);
        let mut at = 0;
        while at < all.len() {
            let below = all[at].descendants().children(&pin);
            all.extend(below);
            at += 1;
        }
        all
    }
}

impl Drop for Descendants {
    fn drop(&mut self) {
        // Relaxed: `&mut self` orders this after every other access.
        let list = self.list.load(Ordering::Relaxed);
        if !list.is_null() {
            // SAFETY: it came from Box::into_raw, and `&mut self` shows that nobody uses it.
            drop(unsafe { Box::from_raw(list) });
        }
    }
}
