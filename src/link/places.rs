//! How many children one parent may have: places, counted per parent from before a child is live
//! until it is dead.

use super::Incarnation;
use crate::segments::{Geometry, SlotArray};
use crate::sync::atomic::{AtomicU64, Ordering};

/// The places under all parents of one child cache.
pub(crate) struct ChildPlaces {
    limit: u32,
    /// By the parents' slots: `| generation : 32 | children : 32 |`.
    counts: SlotArray<AtomicU64>,
}

fn parts(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn word(generation: u32, count: u32) -> u64 {
    (u64::from(generation) << 32) | u64::from(count)
}

impl ChildPlaces {
    pub(crate) fn new(limit: u32) -> Self {
        ChildPlaces { limit, counts: SlotArray::new(Geometry::for_capacity(1)) }
    }

    /// Takes a place under a parent, which the caller has seen alive under its pin. `false`: all
    /// are taken.
    pub(crate) fn take(&self, parent: Incarnation) -> bool {
        let one_more = |seen| {
            let (generation, count) = parts(seen);
            // The parent before has lost its children before its slot was reused.
            let count = if generation == parent.generation { count } else { 0 };
            (count < self.limit).then(|| word(parent.generation, count + 1))
        };
        // AcqRel: who takes a place sees what led to its being given back.
        let count = self.counts.reach(parent.slot);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok()
    }

    /// Gives back the place of a child that is dead, or never came.
    pub(crate) fn give_back(&self, parent: Incarnation) {
        let one_less = |seen| {
            let (generation, count) = parts(seen);
            let is_same = generation == parent.generation && count > 0;
            debug_assert!(is_same, "a place is given back that nobody has");
            is_same.then(|| word(generation, count - 1))
        };
        // AcqRel: as above.
        let count = self.counts.reach(parent.slot);
        let _ = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
    }

    /// Places taken under a parent. At rest only.
    pub(crate) fn used(&self, parent: Incarnation) -> u32 {
        let count = self.counts.find(parent.slot);
        let (generation, count) = parts(count.map_or(0, |count| count.load(Ordering::Acquire)));
        if generation == parent.generation { count } else { 0 }
    }

    /// Places taken under all parents. At rest only.
    pub(crate) fn all_used(&self) -> u64 {
        self.counts.all().map(|count| u64::from(parts(count.load(Ordering::Acquire)).1)).sum()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_per_incarnation() {
        let places = ChildPlaces::new(2);
        let parent = |generation| Incarnation { slot: 5000, generation };
        assert!(places.take(parent(1)) && places.take(parent(1)) && !places.take(parent(1)));
        places.give_back(parent(1));
        assert!(places.take(parent(1)));
        assert!(places.take(parent(2)), "the next parent in that slot");
        assert_eq!([1, 2, 3].map(|generation| places.used(parent(generation))), [0, 1, 0]);
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_place_that_nobody_has_is_not_given_back() {
        let places = ChildPlaces::new(2);
        let parent = |generation| Incarnation { slot: 5000, generation };
        let is_refused = |generation| {
            let call = std::panic::AssertUnwindSafe(|| places.give_back(parent(generation)));
            let panic = std::panic::catch_unwind(call).expect_err("nobody has it");
            panic.downcast_ref() == Some(&"a place is given back that nobody has")
        };
        assert!(places.take(parent(2)));
        assert!(is_refused(1) && is_refused(3), "another parent's");
        assert_eq!(places.all_used(), 1);
        places.give_back(parent(2));
        assert!(is_refused(2), "for the second time");
    }
}
