//! Parents and children: entries of one cache that live only while an entry of another one does.
//!
//! A child names its parent by *incarnation*: slot and generation, never by key. Two mechanisms
//! share the work:
//!
//! * **Truth by check.** Whoever reads a child looks at its parent's state word afterwards, and at
//!   that one's parent, and so on. So the exchange that makes a parent dead makes all its
//!   descendants unreadable, at one instant and before anything was reclaimed.
//! * **Memory by cascade.** Whoever erases a dead parent claims its children first. They are found
//!   under the parent's own hash (a child of the same key), or in the parent's [`Broods`] list.
//!
//! # Invariants
//! - **Orphans**: a child that is live at rest has a parent that is live, or dead and not cascaded
//!   yet. An inserter looks at the parent once its child is live ([`settle`]), and a cascade looks
//!   for children once the parent is dead; each has a sequentially consistent fence in between, so
//!   one of them sees the other.
//! - **Recycling**: a parent's slot is recycled only after its cascade has found all children, so a
//!   live child never names a recycled incarnation.
//! - A tie is written before its slot is published and stays until the slot is recycled.
//!
//! Knows slot ids and state words; neither keys nor time nor values.

mod broods;
mod places;

mod family;

#[cfg(all(test, loom))]
mod model;

pub(crate) use broods::{Broods, Fate};

pub(crate) use family::{Descendants, Member, ParentKeys, Sweepable};
pub(crate) use places::ChildPlaces;

use crate::slab::{Flag, State};
use crate::sync::atomic::{Ordering, fence};
use crate::sync::{Step, broken};

/// One life of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Incarnation {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Incarnation {
    /// Both in one word, which is not 0.
    pub(crate) fn word(self) -> u64 {
        u64::from(self.slot) | (u64::from(self.generation) << 32)
    }

    pub(crate) fn of_word(word: u64) -> Self {
        Incarnation { slot: word as u32, generation: (word >> 32) as u32 }
    }

    /// Whether a state word of the slot is of this life, and alive.
    #[inline(always)]
    pub(crate) fn is_live_in(self, state: State) -> bool {
        state.is(Flag::Live) && state.generation() == self.generation
    }
}

/// What a child's slot remembers of its parent, in one word. Zero: it has none.
///
/// ```text
/// | : 11 | listed : 1 | generation : 20 | slot : 32 |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tie(pub(crate) u64);

const LISTED: u64 = 1 << 52;

impl Tie {
    pub(crate) const NONE: Tie = Tie(0);

    /// `listed`: the child is in its parent's list, because their keys differ.
    pub(crate) fn new(parent: Incarnation, listed: bool) -> Self {
        let word = parent.word();
        Tie(if listed { word | LISTED } else { word })
    }

    #[inline(always)]
    pub(crate) fn parent(self) -> Incarnation {
        Incarnation::of_word(self.0 & (LISTED - 1))
    }

    pub(crate) fn is_listed(self) -> bool {
        self.0 & LISTED != 0
    }
}

/// What the protocol asks of the cache that holds the children.
pub(crate) trait Kin {
    /// The state word of a slot, loaded with `Acquire`.
    fn state(&self, slot: u32) -> State;

    /// The tie of a slot, after its state word.
    fn tie(&self, slot: u32) -> Tie;

    /// Turns a child from exactly `state` to dead because its parent is, and takes it out of its
    /// cache. `false`: the word had changed.
    fn claim_orphan(&self, slot: u32, state: State) -> bool;
}

/// The cascade's step: claims the child in `slot` if it is live and tied to `parent`, which is
/// dead. `true`: this call claimed it.
///
/// Repeated when a touch comes between: after one attempt with a stale word nobody would come back.
pub(crate) fn orphan(kin: &impl Kin, parent: Incarnation, slot: u32) -> bool {
    loop {
        let state = kin.state(slot);
        // One that is reserved is its inserter's business: see `settle`.
        if !state.is(Flag::Live) {
            return false;
        }
        let stranger = kin.tie(slot).parent() != parent && !broken(Step::CascadeComparesTies);
        if stranger {
            return false;
        }
        if kin.claim_orphan(slot, state) {
            return true;
        }
        if broken(Step::OrphanRepeats) {
            return false;
        }
    }
}

/// The inserter's last step, once its child is live: if the parent has died meanwhile, the cascade
/// may have passed already, so the child is claimed here. The insert has succeeded all the same, as
/// if made just before that death: others may have read the child.
pub(crate) fn settle(kin: &impl Kin, child: Incarnation, is_parent_alive: impl Fn() -> bool) {
    // Half of a store-load pair with `before_cascade`: "child live, then load the parent" against
    // "parent dead, then load the child".
    if !broken(Step::SettleFence) {
        fence(Ordering::SeqCst);
    }
    if broken(Step::Settle) || is_parent_alive() {
        return;
    }
    loop {
        let state = kin.state(child.slot);
        let settled = !child.is_live_in(state) || kin.claim_orphan(child.slot, state);
        if settled || broken(Step::OrphanRepeats) {
            return;
        }
    }
}

/// Comes between "these parents were seen dead" and the search for their children.
pub(crate) fn before_cascade() {
    // The other half of the pair in `settle`.
    if !broken(Step::CascadeFence) {
        fence(Ordering::SeqCst);
    }
}

/// What becomes of a node: it is cut out when its child is dead, or tied to `dead`.
///
/// A reserved child counts as alive. Its node was pushed before it goes live, and is all that a
/// later cascade would find it by.
pub(crate) fn fate(kin: &impl Kin, child: Incarnation, dead: Option<Incarnation>) -> Fate {
    let state = kin.state(child.slot);
    let reserved = state.is(Flag::Reserved) && !broken(Step::ReservedKeepsNode);
    let alive = reserved || state.is(Flag::Live);
    if !alive || state.generation() != child.generation {
        return Fate::Cut;
    }
    if Some(kin.tie(child.slot).parent()) == dead { Fate::Cut } else { Fate::Keep }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_tie_keeps_slot_generation_and_kind() {
        for listed in [false, true] {
            for generation in [0, 1, (1 << 20) - 1] {
                let parent = Incarnation { slot: u32::MAX, generation };
                let tie = Tie::new(parent, listed);
                assert_eq!((tie.parent(), tie.is_listed()), (parent, listed));
                assert_ne!(tie, Tie::NONE);
            }
        }
    }

    const PARENT: Incarnation = Incarnation { slot: 9, generation: 4 };
    const CHILD: Incarnation = Incarnation { slot: 70, generation: 6 };

    /// One child, which is touched when it is about to be claimed, some times.
    struct One {
        state: Cell<State>,
        tie: Tie,
        touches: Cell<u32>,
    }

    impl Kin for One {
        fn state(&self, _slot: u32) -> State {
            self.state.get()
        }

        fn tie(&self, _slot: u32) -> Tie {
            self.tie
        }

        fn claim_orphan(&self, _slot: u32, state: State) -> bool {
            if let Some(left) = self.touches.get().checked_sub(1) {
                self.touches.set(left);
                let now = self.state.get();
                self.state.set(now.with_tick(now.tick() + 1));
            }
            let wins = self.state.get() == state;
            if wins {
                self.state.set(state.with_flag(Flag::Dead));
            }
            wins
        }
    }

    fn one(flag: Flag, generation: u32, parent: Incarnation, touches: u32) -> One {
        let state = Cell::new(State::new(0, generation, flag));
        One { state, tie: Tie::new(parent, true), touches: Cell::new(touches) }
    }

    #[test]
    fn a_cascade_claims_the_live_children_of_its_parent_whatever_touches_them() {
        let next_parent = Incarnation { generation: 5, ..PARENT };
        for touches in [0, 3] {
            for (flag, parent, claims) in [
                (Flag::Live, PARENT, true),
                (Flag::Live, next_parent, false),
                (Flag::Reserved, PARENT, false),
                (Flag::Dead, PARENT, false),
            ] {
                let child = one(flag, CHILD.generation, parent, touches);
                assert_eq!(orphan(&child, PARENT, CHILD.slot), claims, "{flag:?}");
                let end = if claims { Flag::Dead } else { flag };
                assert_eq!(child.state.get().flag(), end);
            }
        }
    }

    #[test]
    fn an_inserter_claims_its_child_if_the_parent_has_died_meanwhile() {
        for touches in [0, 3] {
            for (parent_lives, generation, end) in [
                (true, CHILD.generation, Flag::Live),
                (false, CHILD.generation, Flag::Dead),
                (false, CHILD.generation + 1, Flag::Live),
            ] {
                let child = one(Flag::Live, generation, PARENT, touches);
                settle(&child, CHILD, || parent_lives);
                assert_eq!(child.state.get().flag(), end, "{parent_lives} {generation}");
            }
        }
    }

    #[test]
    fn a_node_stays_while_its_child_lives_or_will_and_its_parent_does() {
        for (flag, generation, dead, expected) in [
            (Flag::Live, CHILD.generation, None, Fate::Keep),
            (Flag::Reserved, CHILD.generation, None, Fate::Keep),
            (Flag::Dead, CHILD.generation, None, Fate::Cut),
            (Flag::Live, CHILD.generation + 1, None, Fate::Cut),
            (Flag::Live, CHILD.generation, Some(PARENT), Fate::Cut),
            (Flag::Live, CHILD.generation, Some(CHILD), Fate::Keep),
        ] {
            let child = one(flag, generation, PARENT, 0);
            assert_eq!(fate(&child, CHILD, dead), expected, "{flag:?} {generation} {dead:?}");
        }
    }

    #[test]
    fn only_the_same_life_of_a_slot_counts_as_live() {
        let live = |flag, generation| CHILD.is_live_in(State::new(3, generation, flag));
        assert!(live(Flag::Live, CHILD.generation));
        assert!(!live(Flag::Live, CHILD.generation + 1) && !live(Flag::Dead, CHILD.generation));
    }
}
