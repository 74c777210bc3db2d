//! Threads that resume: after every race all invariants hold.
//!
//! Slot 0 mostly starts with tick 4, so its home is bucket 6, which lies in place 2 of 4.

use super::{A, B, World, play, race};
use crate::slab::Flag;
use crate::sync::model::scenarios;

scenarios! {
    crate::wheel::model::explore;
    2 two_touchers_and_a_sweeper;
    2 touchers_of_two_slots_and_a_sweeper;
    2 a_toucher_and_two_sweepers;
    2 a_toucher_and_a_sweeper_that_comes_twice;
    2 two_sweepers;
    2 an_insert_with_a_stale_clock_and_a_sweeper;
    2 the_first_insert_and_a_sweeper;
    2 an_insert_a_touch_and_a_sweeper;
    2 an_insert_a_helper_and_a_sweeper;
    2 reuse_under_a_touch_and_a_sweep;
    2 reuse_under_a_sweep;
    2 a_jump_past_a_lap_and_a_touch;
    2 a_clear_that_is_late_by_a_lap;
    2 a_clear_that_is_late_by_a_lap_and_a_sweep;
    2 one_leaves_and_one_enters_a_bucket;
    2 one_leaves_and_one_is_inserted;
    2 a_touch_within_the_bucket_of_an_insert;
    2 touches_within_a_bucket_and_a_sweep;
    2 a_sweep_in_steps_and_a_toucher;
    2 two_sweeps_in_steps;
    2 two_timeouts_on_one_level;
}

fn one() -> World {
    World::new(1, 6, [Some(4), None])
}

fn both() -> World {
    World::new(1, 6, [Some(4), Some(4)])
}

fn two_touchers_and_a_sweeper() {
    race(one(), [play(|w| w.touch(A, 1, 5)), play(|w| w.touch(A, 1, 6)), play(|w| w.sweep(8))])
        .check();
}

fn touchers_of_two_slots_and_a_sweeper() {
    race(both(), [play(|w| w.touch(A, 1, 5)), play(|w| w.touch(B, 1, 6)), play(|w| w.sweep(8))])
        .check();
}

fn a_toucher_and_two_sweepers() {
    race(one(), [play(|w| w.touch(A, 1, 6)), play(|w| w.sweep(7)), play(|w| w.sweep(9))]).check();
}

fn a_toucher_and_a_sweeper_that_comes_twice() {
    let sweeps = |w: &World| {
        w.sweep(7);
        w.sweep(9);
    };
    race(one(), [play(|w| w.touch(A, 1, 6)), play(sweeps)]).check();
}

fn two_sweepers() {
    race(both(), [play(|w| w.sweep(7)), play(|w| w.sweep(8))]).check();
}

pub(super) fn an_insert_with_a_stale_clock_and_a_sweeper() {
    race(World::new(1, 6, [None, None]).built(), [play(|w| w.insert(B, 4)), play(|w| w.sweep(7))])
        .check();
}

/// The insert allocates the bitmaps, the sweep meets an unused level.
fn the_first_insert_and_a_sweeper() {
    race(World::new(1, 6, [None, None]), [play(|w| w.insert(B, 4)), play(|w| w.sweep(7))]).check();
}

fn an_insert_a_touch_and_a_sweeper() {
    race(
        World::new(1, 6, [None, None]).built(),
        [play(|w| w.insert(B, 4)), play(|w| w.touch(B, 2, 5)), play(|w| w.sweep(8))],
    )
    .check();
}

/// Another thread makes the entry live, but leaves the look at `swept` to the insert.
fn an_insert_a_helper_and_a_sweeper() {
    let helper = |w: &World| {
        let state = w.load(B);
        if state.is(Flag::Reserved) {
            w.publish(B, state);
        }
    };
    race(
        World::new(1, 6, [None, None]).built(),
        [play(|w| w.insert(B, 4)), play(helper), play(|w| w.sweep(7))],
    )
    .check();
}

fn reuse_under_a_touch_and_a_sweep() {
    race(one(), [play(|w| w.touch(A, 1, 6)), play(|w| w.reincarnate(A, 5)), play(|w| w.sweep(8))])
        .check();
}

/// The new life falls into the very place that the sweep cleans up after the old one.
pub(super) fn reuse_under_a_sweep() {
    race(one(), [play(|w| w.reincarnate(A, 8)), play(|w| w.sweep(7))]).check();
}

/// From 8 to 10, against a sweep that walks place 2 (bucket 6, and 10) before place 0 (bucket 8).
pub(super) fn a_jump_past_a_lap_and_a_touch() {
    race(World::new(1, 6, [Some(6), None]), [play(|w| w.touch(A, 1, 8)), play(|w| w.sweep(13))])
        .check();
}

/// The first mover clears place 2 for bucket 6, where the second one has set it for bucket 10.
pub(super) fn a_clear_that_is_late_by_a_lap() {
    race(one(), [play(|w| w.touch(A, 1, 6)), play(|w| w.touch(A, 1, 8))]).check();
}

pub(super) fn a_clear_that_is_late_by_a_lap_and_a_sweep() {
    race(one(), [play(|w| w.touch(A, 1, 6)), play(|w| w.touch(A, 1, 8)), play(|w| w.sweep(11))])
        .check();
}

/// Slot 0 empties bucket 6, slot 1 moves there: the summary bit is cleared and wanted.
fn one_leaves_and_one_enters_a_bucket() {
    race(
        World::new(1, 5, [Some(4), Some(3)]),
        [play(|w| w.touch(A, 1, 5)), play(|w| w.touch(B, 1, 4)), play(|w| w.sweep(7))],
    )
    .check();
}

pub(super) fn one_leaves_and_one_is_inserted() {
    race(one(), [play(|w| w.touch(A, 1, 5)), play(|w| w.insert(B, 4)), play(|w| w.sweep(7))])
        .check();
}

/// Two ticks per bucket: the touch changes the word but not the home, so it never looks at the
/// wheel, and the insert has to claim a word that it has not written.
pub(super) fn a_touch_within_the_bucket_of_an_insert() {
    race(
        World::new(2, 6, [None, None]).built(),
        [play(|w| w.insert(B, 4)), play(|w| w.touch(B, 2, 5)), play(|w| w.sweep(8))],
    )
    .check();
}

fn touches_within_a_bucket_and_a_sweep() {
    race(
        World::new(2, 6, [Some(4), None]),
        [play(|w| w.touch(A, 1, 5)), play(|w| w.touch(A, 1, 6)), play(|w| w.sweep(8))],
    )
    .check();
}

/// The second step starts from a cursor that stands within a bucket.
fn a_sweep_in_steps_and_a_toucher() {
    let steps = |w: &World| {
        w.sweep_some(7, 1);
        w.sweep(8);
    };
    race(both(), [play(|w| w.touch(A, 1, 6)), play(steps)]).check();
}

fn two_sweeps_in_steps() {
    let steps = |w: &World| {
        w.sweep_some(7, 1);
        w.sweep(7);
    };
    race(both(), [play(steps), play(|w| w.sweep(8))]).check();
}

/// The second slot is due after one tick.
fn two_timeouts_on_one_level() {
    let mut world = World::new(1, 5, [Some(4), None]);
    world.timeouts[1] = 1;
    race(world, [play(|w| w.touch(A, 1, 6)), play(|w| w.insert(B, 5)), play(|w| w.sweep(7))])
        .check();
}
