//! Making room in a bounded cache: expired entries go first, then those that expire soonest.

use super::Core;
use crate::capacity::Capacity;
use crate::expiry::Timing;
use crate::reclaim::Pin;
use crate::slab::{Flag, State};
use crate::stats::RemovalCause;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::wheel::Budget;

/// Expired entries that one insert removes at most.
const VISITS: u64 = 64;

/// What a bounded cache has beside its places.
pub(crate) struct Bound {
    pub(crate) places: Capacity,
    /// What was due at this time was swept.
    swept: AtomicU64,
    /// Where to look next for an entry that never expires: a hint.
    rover: AtomicU32,
}

impl Bound {
    pub(crate) fn new(places: Capacity) -> Self {
        Bound { places, swept: AtomicU64::new(0), rover: AtomicU32::new(0) }
    }
}

/// A sweep of so many entries.
struct Visits(u64);

impl Budget for Visits {
    fn proceed(&mut self, visited: u64) -> bool {
        visited < self.0
    }
}

/// What became of an attempt to make room.
enum Room {
    /// An entry went; its part of the limbo is so crowded.
    Made(u32),
    /// An entry that was to go was touched meanwhile.
    Raced,
    /// Nothing can go.
    None,
}

impl<K, V, S> Core<K, V, S> {
    /// Takes a place for a new entry; other entries may have to go. Returns how crowded the limbo
    /// is; `None`: there is no place to be had. Runs no user code.
    pub(super) fn take_place(&self, pin: &Pin) -> Option<u32> {
        let Some(bound) = &self.bound else { return Some(0) };
        let mut crowd = 0;
        while !bound.places.take() {
            match self.make_room(bound, pin) {
                Room::Made(more) => crowd = crowd.max(more),
                // Somebody else made progress.
                Room::Raced => {}
                Room::None => {
                    self.ledger.refused();
                    return None;
                }
            }
        }
        Some(crowd)
    }

    /// Gives back the place of an entry that is dead, or of an insert that did not happen.
    pub(super) fn give_back_place(&self) {
        if let Some(bound) = &self.bound {
            bound.places.give_back();
        }
    }

    /// Makes room for one entry.
    fn make_room(&self, bound: &Bound, pin: &Pin) -> Room {
        let now = self.now();
        // Once a tick: in between hardly anything falls due. Relaxed: a hint.
        while self.stamp(bound.swept.load(Ordering::Relaxed)) < self.stamp(now) {
            let walk = self.wheel.sweep(self, now, &mut Visits(VISITS));
            if !walk.more {
                // Relaxed: a hint; at worst it is swept once more.
                bound.swept.fetch_max(now, Ordering::Relaxed);
            }
            if walk.expired > 0 {
                return Room::Made(0);
            }
        }
        if !bound.places.evicts() {
            return Room::None;
        }
        match self.evict_soonest(now, pin) {
            Room::None => self.evict_lasting(bound, pin),
            room => room,
        }
    }

    /// Removes the entry that expires soonest.
    fn evict_soonest(&self, now: u64, pin: &Pin) -> Room {
        let mut room = Room::None;
        self.wheel.soonest(self, |slot, state| {
            let timing = self.timing(slot, state);
            if timing.holds > 0 {
                return false;
            }
            let cause = self.cause_to_yield(state, timing, now);
            room = self.claim(slot, state, cause, pin).map_or(Room::Raced, Room::Made);
            matches!(room, Room::Made(_))
        });
        room
    }

    /// Why an entry goes that makes room: it has expired, or not.
    pub(super) fn cause_to_yield(&self, state: State, timing: Timing, now: u64) -> RemovalCause {
        match self.schedule.is_due(state.tick(), timing, now) {
            true => self.schedule.cause(state.tick(), timing),
            false => RemovalCause::Capacity,
        }
    }

    /// Removes any entry: nothing is filed in the wheel, so hardly any expires.
    fn evict_lasting(&self, bound: &Bound, pin: &Pin) -> Room {
        let mut room = Room::None;
        // Relaxed: a hint.
        let start = bound.rover.load(Ordering::Relaxed);
        for slot in self.slab.ids_from(start).chain(self.slab.ids()) {
            // Acquire: sees the entry that this word speaks of.
            let state = State(self.slab.state(slot).load(Ordering::Acquire));
            // If the word moves on after this, the claim fails.
            let ext = self.ext(slot, state);
            let may_go = state.is(Flag::Live)
                && !ext.is_alias()
                && self.timing_in(slot, ext, state).holds == 0;
            if !may_go {
                continue;
            }
            if let Some(crowd) = self.claim(slot, state, RemovalCause::Capacity, pin) {
                bound.rover.store(slot + 1, Ordering::Relaxed);
                return Room::Made(crowd);
            }
            room = Room::Raced;
        }
        room
    }
}
