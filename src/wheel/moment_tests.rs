//! The moments of races, played on one thread: what each thread finds, and must do about it.

use super::{Budget, Home, Plan, Timers, Walk, Wheel};
use crate::segments::Geometry;
use crate::slab::{FIRST_ID, Flag, State};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const TIMEOUT: u64 = 1000;
/// Slots of one word of the wheel.
const A: u32 = FIRST_ID;
const B: u32 = A + 1;
const C: u32 = A + 2;
const D: u32 = A + 3;
const GENERATION: u32 = 5;
/// When the latest sweep started.
const NOW: u64 = 5000;

/// Slots that a test puts into any state.
#[derive(Default)]
struct Slots {
    all: RefCell<BTreeMap<u32, (State, Option<Home>)>>,
    expired: RefCell<Vec<u32>>,
    /// Touches that come between the look at a slot and its expiry, and where the last one goes.
    touches: Cell<u32>,
    touched_to: Cell<Option<Home>>,
}

impl Slots {
    fn put(&self, slot: u32, flag: Flag, home: Option<Home>) {
        self.all.borrow_mut().insert(slot, (State::new(0, GENERATION, flag), home));
    }

    fn take_expired(&self) -> Vec<u32> {
        self.expired.take()
    }
}

impl Timers for Slots {
    fn timer(&self, slot: u32) -> (State, Option<Home>) {
        let free = (State::new(0, 0, Flag::Free), None);
        self.all.borrow().get(&slot).copied().unwrap_or(free)
    }

    fn expire(&self, slot: u32, state: State) -> bool {
        let mut all = self.all.borrow_mut();
        let (now, home) = all.get_mut(&slot).expect("a slot that was met");
        if let Some(left) = self.touches.get().checked_sub(1) {
            self.touches.set(left);
            *now = now.with_tick(now.tick() + 1);
            *home = self.touched_to.get().filter(|_| left == 0).or(*home);
        }
        let wins = *now == state;
        if wins {
            *now = now.with_flag(Flag::Dead);
            self.expired.borrow_mut().push(slot);
        }
        wins
    }
}

/// Ends a walk after so many visits.
struct Visits(u64);

impl Budget for Visits {
    fn proceed(&mut self, visited: u64) -> bool {
        visited < self.0
    }
}

/// A wheel whose latest sweep started at `NOW`, a home that it passed, and two that it did not, in
/// two levels.
fn world() -> (Wheel, Slots, [Home; 3]) {
    let plan = Plan::new(10, 20, TIMEOUT);
    let wheel = Wheel::new(Geometry::for_capacity(1000), &plan);
    let slots = Slots::default();
    assert_eq!(wheel.sweep(&slots, NOW, &mut Visits(u64::MAX)), Walk::default());
    let homes = [
        plan.home(TIMEOUT, NOW - 100),
        plan.home(TIMEOUT, NOW + 300),
        plan.home(8 * TIMEOUT, NOW + 300),
    ];
    (wheel, slots, homes)
}

#[test]
fn who_goes_live_in_a_bucket_that_was_passed_claims_the_slot() {
    let (wheel, slots, [passed, later, _]) = world();
    let cases = [
        (Flag::Live, Some(passed), GENERATION, true),
        (Flag::Live, Some(later), GENERATION, false),
        (Flag::Live, None, GENERATION, false),
        (Flag::Live, Some(passed), GENERATION + 1, false),
        (Flag::Dead, Some(passed), GENERATION, false),
    ];
    for (flag, home, generation, claims) in cases {
        slots.put(A, flag, home);
        wheel.went_live(&slots, passed, A, generation);
        assert_eq!(
            slots.take_expired(),
            if claims { vec![A] } else { vec![] },
            "{flag:?} {home:?}"
        );
    }
}

#[test]
fn who_files_a_slot_in_a_bucket_that_was_passed_claims_it() {
    let (wheel, slots, [passed, later, _]) = world();
    slots.put(A, Flag::Live, Some(later));
    wheel.refile(&slots, A, None, Some(later));
    assert_eq!((slots.take_expired(), wheel.is_filed(later, A)), (vec![], true));
    slots.put(A, Flag::Live, Some(passed));
    wheel.refile(&slots, A, Some(later), Some(passed));
    assert_eq!(slots.take_expired(), [A]);
    assert_eq!((wheel.is_filed(later, A), wheel.count_bits()), (false, 1));
}

#[test]
fn a_claim_is_repeated_after_touches_until_one_moves_the_slot_on() {
    let (wheel, slots, [passed, later, _]) = world();
    for (moves_to, expired) in [(None, vec![A]), (Some(later), vec![])] {
        slots.put(A, Flag::Live, Some(passed));
        slots.touched_to.set(moves_to);
        slots.touches.set(3);
        wheel.went_live(&slots, passed, A, GENERATION);
        assert_eq!((slots.take_expired(), slots.touches.get()), (expired, 0));
    }
}

#[test]
fn who_clears_a_bit_late_sets_that_of_the_present_home() {
    let (wheel, slots, [_, later, other]) = world();
    for flag in [Flag::Live, Flag::Reserved] {
        slots.put(A, flag, Some(later));
        wheel.reserve(later, A);
        // By one that was late by a turn of the wheel; then with the right bit gone.
        wheel.unset(&slots, later, A);
        assert!(wheel.is_filed(later, A), "{flag:?}");
        wheel.bits(later, A).0.clear();
        wheel.unset(&slots, other, A);
        assert!(wheel.is_filed(later, A), "{flag:?}");
        assert_eq!(wheel.count_bits(), 1);
    }
    for (flag, home) in [(Flag::Dead, Some(later)), (Flag::Free, None), (Flag::Live, None)] {
        slots.put(A, flag, home);
        wheel.reserve(later, A);
        wheel.unset(&slots, later, A);
        assert_eq!(wheel.count_bits(), 0, "{flag:?}");
        assert!(!wheel.bits(later, A).0.has_summary());
    }
}

#[test]
fn a_bit_without_its_summary_is_not_filed_and_whoever_comes_by_raises_it() {
    let (wheel, slots, [_, later, other]) = world();
    slots.put(A, Flag::Live, Some(later));
    let (spot, level) = wheel.bits(later, A);
    spot.set_leaf();
    assert!(!wheel.is_filed(later, A));
    spot.raise_summary();
    assert!(!wheel.is_filed(later, A), "the level has not heard of it");
    spot.clear();
    assert!(!spot.drop_summary());
    level.occupy(level.place(later.bucket));
    spot.set_leaf();
    assert!(!wheel.is_filed(later, A));
    wheel.unset(&slots, other, A);
    assert!(wheel.is_filed(later, A));
}

#[test]
fn under_a_summary_that_is_raised_again_everything_is_claimed_that_a_sweep_has_passed() {
    let (wheel, slots, [passed, later, other]) = world();
    let flags = [Flag::Live, Flag::Live, Flag::Dead, Flag::Live];
    let homes = [Some(passed), Some(later), Some(passed), None];
    for ((slot, flag), home) in [A, B, C, D].into_iter().zip(flags).zip(homes) {
        slots.put(slot, flag, home);
        wheel.bits(passed, slot).0.set();
    }
    let (spot, level) = wheel.bits(passed, A);
    wheel.reopen(&slots, &spot, wheel.bits(other, A).1);
    assert_eq!(slots.take_expired(), [], "it is another level's");
    wheel.reopen(&slots, &spot, level);
    assert_eq!(slots.take_expired(), [A]);
}

#[test]
fn a_sweep_files_a_slot_that_is_on_its_way_before_it_clears_the_bit_it_met() {
    let (wheel, slots, [_, here, other]) = world();
    slots.put(A, Flag::Live, Some(other));
    slots.put(B, Flag::Reserved, Some(other));
    [A, B].iter().for_each(|slot| wheel.bits(here, *slot).0.set());
    let end = (here.bucket + 1) * wheel.level_of(here).width;
    let walk = wheel.sweep(&slots, end, &mut Visits(u64::MAX));
    assert_eq!((walk.visited, walk.expired, walk.survivors), (2, 0, 0));
    assert!(wheel.is_filed(other, A) && wheel.is_filed(other, B));
    assert_eq!(wheel.count_bits(), 2);
}

#[test]
fn a_sweep_clears_the_bit_it_met_of_what_it_expires_elsewhere() {
    let (wheel, slots, [passed, here, _]) = world();
    slots.put(A, Flag::Live, Some(passed));
    wheel.reserve(passed, A);
    wheel.bits(here, A).0.set();
    let end = (here.bucket + 1) * wheel.level_of(here).width;
    let walk = wheel.sweep(&slots, end, &mut Visits(u64::MAX));
    assert_eq!((walk.visited, walk.expired, slots.take_expired()), (1, 1, vec![A]));
    let is_set = |home| wheel.bits(home, A).0.is_set();
    assert_eq!((is_set(here), is_set(passed)), (false, true), "the other one is its remover's");
}

#[test]
fn the_slices_of_a_sweep_after_a_whole_turn_meet_a_survivor_once() {
    let (wheel, slots, [_, here, _]) = world();
    let level = wheel.level_of(here);
    let next_turn = Home { bucket: here.bucket + level.buckets as u64, ..here };
    let (first, second) = (A + 64, A + 128);
    for (slot, home) in [(A, next_turn), (first, here), (second, here)] {
        slots.put(slot, Flag::Live, Some(home));
        wheel.reserve(home, slot);
    }
    // The last turn begins with this very bucket.
    let end = next_turn.bucket * level.width;
    for (slot, survivors) in [(first, 1), (second, 0)] {
        let walk = wheel.sweep(&slots, end, &mut Visits(survivors + 1));
        assert_eq!((walk.survivors, walk.expired), (survivors, 1));
        assert_eq!(slots.take_expired(), [slot]);
    }
}

#[test]
fn a_sweep_clears_the_bits_of_what_is_gone() {
    let (wheel, slots, [_, here, _]) = world();
    slots.put(A, Flag::Dead, Some(here));
    slots.put(B, Flag::Free, None);
    slots.put(C, Flag::Live, None);
    [A, B, C].iter().for_each(|slot| wheel.bits(here, *slot).0.set());
    let end = (here.bucket + 1) * wheel.level_of(here).width;
    let walk = wheel.sweep(&slots, end, &mut Visits(u64::MAX));
    assert_eq!((walk.visited, walk.expired, walk.survivors), (3, 0, 0));
    assert_eq!((wheel.count_bits(), slots.take_expired()), (0, vec![]));
}

#[test]
fn a_sweep_that_is_interrupted_among_a_million_slots_goes_on_there() {
    let (wheel, slots, [_, here, _]) = world();
    // In the first segment, and in one of a million, where groups have large numbers.
    let far = 1 << 20;
    let due = [A + 50 * 64, A + 51 * 64, far + 5, far + 300, far + 4096 * 3 + 70, far + 4096 * 200];
    for slot in due {
        slots.put(slot, Flag::Live, Some(here));
        wheel.reserve(here, slot);
    }
    let end = (here.bucket + 1) * wheel.level_of(here).width;
    let buckets = end / wheel.level_of(here).width - NOW / wheel.level_of(here).width;
    for (at, slot) in due.into_iter().enumerate() {
        let walk = wheel.sweep(&slots, end, &mut Visits(1));
        let is_last = at == due.len() - 1;
        assert_eq!((slots.take_expired(), walk.more), (vec![slot], !is_last));
        let passed = [buckets - 1, 0, 0, 0, 0, 1][at];
        assert_eq!((walk.visited, walk.buckets), (1, passed));
        wheel.unset(&slots, here, slot);
    }
    assert_eq!(wheel.count_bits(), 0);
}

#[test]
fn buckets_of_several_levels_are_offered_in_the_order_in_which_they_end() {
    let (wheel, slots, [_, later, other]) = world();
    let end = |home: Home| (home.bucket + 1) * wheel.level_of(home).width;
    // Two of the wide level, and all of the narrow one from before the first to after the second.
    let wide = [other, Home { bucket: other.bucket + 1, ..other }];
    let narrow = (0..30).map(|n| Home { bucket: later.bucket + n, ..later });
    let mut homes: Vec<Home> = narrow.chain(wide).collect();
    assert!(end(homes[0]) < end(wide[0]) && end(wide[1]) < end(homes[29]));
    homes.sort_by_key(|home| (end(*home), home.level));
    // Each in a group of its own.
    let all: Vec<u32> = (0..32).map(|n| A + 64 * n).collect();
    for (slot, home) in all.iter().zip(&homes) {
        slots.put(*slot, Flag::Live, Some(*home));
        wheel.reserve(*home, *slot);
    }
    let mut offered = Vec::new();
    let claim = |slot, _| {
        offered.push(slot);
        offered.len() > 100
    };
    assert!(!wheel.soonest(&slots, claim));
    assert_eq!(offered, all);
}

#[test]
fn what_expires_soonest_is_offered_first_and_stale_bits_are_not() {
    let (wheel, slots, [_, later, other]) = world();
    let next = Home { bucket: later.bucket + 1, ..later };
    let homes = [Some(next), Some(later), Some(other), None];
    for (slot, home) in [A, B, C, D].into_iter().zip(homes) {
        slots.put(slot, Flag::Live, home);
        wheel.reserve(home.unwrap_or(later), slot);
    }
    // B's bit of a former home, a reserved slot's and a dead one's.
    wheel.reserve(next, B);
    slots.put(D + 1, Flag::Reserved, Some(later));
    slots.put(D + 2, Flag::Dead, Some(later));
    wheel.reserve(later, D + 1);
    wheel.reserve(later, D + 2);
    let mut offered = Vec::new();
    let claim = |slot, _| {
        offered.push(slot);
        false
    };
    assert!(!wheel.soonest(&slots, claim));
    let at = |wanted| offered.iter().position(|slot| *slot == wanted).expect("it is live");
    assert_eq!(offered.len(), 3);
    assert!(at(B) < at(A), "{offered:?}");
    for wanted in [A, B, C] {
        assert!(wheel.soonest(&slots, |slot, state| {
            assert!(state.is(Flag::Live));
            slot == wanted
        }));
    }
}
