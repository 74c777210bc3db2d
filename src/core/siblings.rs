//! Making room under one parent: of its children the one that expires soonest goes.

use super::Core;
use super::kin::Uplink;
use crate::link::{Incarnation, Tie};
use crate::reclaim::Pin;
use crate::slab::{Flag, State};
use crate::sync::atomic::Ordering;

/// A child that may go: when it expires, and what it was met as.
type Candidate = (u64, u32, State);

impl<K, V, S> Core<K, V, S> {
    /// Takes a place under a parent for a new child; another child may have to go. Returns how
    /// crowded the limbo is; `None`: there is no place to be had. Runs no user code.
    pub(super) fn take_child_place(&self, parent: Incarnation, pin: &Pin) -> Option<u32> {
        let Some((up, places)) = self.uplink.as_ref().and_then(|up| Some((up, up.places()?)))
        else {
            return Some(0);
        };
        let mut crowd = 0;
        while !places.take(parent) {
            let now = self.now();
            let Some((_, slot, state)) = self.soonest_child(up, parent, now, pin) else {
                self.ledger.refused();
                return None;
            };
            let timing = self.timing(slot, state);
            let cause = self.cause_to_yield(state, timing, now);
            // A failure means that it was touched, or went: somebody else made progress.
            if let Some(more) = self.claim(slot, state, cause, pin) {
                crowd = crowd.max(more);
            }
        }
        Some(crowd)
    }

    /// The child that expires soonest, if any may go: where they are to be refused, only one that
    /// has expired at `now` may.
    fn soonest_child(
        &self,
        up: &Uplink,
        parent: Incarnation,
        now: u64,
        pin: &Pin,
    ) -> Option<Candidate> {
        let mut soonest: Option<Candidate> = None;
        for child in up.broods().children(parent.slot, pin) {
            // Acquire: sees the tie and the timing of the entry that the word speaks of.
            let state = State(self.slab.state(child.slot).load(Ordering::Acquire));
            let is_mine = state.is(Flag::Live)
                && state.generation() == child.generation
                && self.is_tied(child.slot, parent);
            if !is_mine {
                continue;
            }
            // If the word moves on after this, the claim fails.
            let timing = self.timing(child.slot, state);
            if timing.holds > 0 {
                continue;
            }
            let deadline = self.schedule.deadline(state.tick(), timing).unwrap_or(u64::MAX);
            let may_go = up.evicts_children() || deadline < now;
            if may_go && soonest.is_none_or(|(other, ..)| deadline < other) {
                soonest = Some((deadline, child.slot, state));
            }
        }
        soonest
    }

    /// Gives back the place of a child that is dead.
    pub(super) fn give_back_child_place(&self, slot: u32) {
        if let Some(up) = self.uplink.as_ref().filter(|up| up.places().is_some()) {
            self.give_back_place_under(up.tie(slot));
        }
    }

    /// Gives back the place of a child that never came, or has died.
    pub(super) fn give_back_place_under(&self, tie: Tie) {
        if let Some(places) = self.uplink.as_ref().and_then(Uplink::places) {
            if tie.is_listed() {
                places.give_back(tie.parent());
            }
        }
    }
}
