//! Touchers against expirers.

use super::{LATE, LATER, Play, World, play, race};
use crate::sync::model::scenarios;

scenarios! {
    crate::touches::model::explore;
    3 a_toucher_and_an_expirer;
    3 a_toucher_and_an_expirer_while_time_passes;
    2 a_toucher_and_an_expirer_that_comes_again_while_time_passes;
    3 a_toucher_and_a_reader;
    2 two_touchers_and_an_expirer;
    2 two_touchers_and_an_expirer_while_time_passes;
    3 a_full_log_and_an_expirer;
    2 a_full_log_and_two_expirers;
    2 a_toucher_and_two_expirers;
    2 a_toucher_and_an_expirer_that_relies_on_another;
    3 a_toucher_and_an_expirer_that_both_come_twice;
    3 a_toucher_after_its_own_miss;
    2 touchers_after_a_miss;
}

fn check<const N: usize>(parts: [Play<World>; N]) {
    race(World::new(), parts).check();
}

fn toucher(thread: u32) -> Play<World> {
    play(move |w: &World| w.get(thread, 0))
}

/// Finds the entry due, unless it is touched.
fn expirer() -> Play<World> {
    play(|w: &World| {
        w.advance(LATE);
        w.sweep();
    })
}

pub(super) fn a_toucher_and_an_expirer() {
    check([toucher(0), expirer()]);
}

/// The clock of either may be ahead of the other's.
pub(super) fn a_toucher_and_an_expirer_while_time_passes() {
    check([toucher(0), play(World::sweep), play(|w: &World| w.advance(LATE))]);
}

/// The clock moves while the first fold is under way, which the second claim relies on.
fn a_toucher_and_an_expirer_that_comes_again_while_time_passes() {
    let expirer = |w: &World| {
        w.sweep();
        w.peek(0);
    };
    check([toucher(0), play(expirer), play(|w: &World| w.advance(LATE))]);
}

/// Each may find the entry due, and fold, while the other touches it.
fn a_toucher_and_a_reader() {
    let reader = |w: &World| {
        w.advance(LATE);
        w.get(1, 0);
    };
    check([toucher(0), play(reader)]);
}

fn two_touchers_and_an_expirer() {
    check([toucher(0), toucher(1), expirer()]);
}

fn two_touchers_and_an_expirer_while_time_passes() {
    let last = |w: &World| {
        w.get(0, 0);
        w.advance(LATE);
    };
    check([play(last), toucher(1), play(World::sweep)]);
}

/// The second touch finds the log full: it drains the first one, and is made directly.
fn toucher_of_both() -> Play<World> {
    play(|w: &World| {
        w.get(0, 0);
        w.get(0, 1);
    })
}

pub(super) fn a_full_log_and_an_expirer() {
    check([toucher_of_both(), expirer()]);
}

fn a_full_log_and_two_expirers() {
    check([toucher_of_both(), expirer(), play(|w: &World| w.peek(0))]);
}

fn a_toucher_and_two_expirers() {
    check([toucher(0), expirer(), play(World::sweep)]);
}

/// One folds, and the other claims what is due as of that.
pub(super) fn a_toucher_and_an_expirer_that_relies_on_another() {
    let folder = |w: &World| {
        w.advance(LATE);
        w.fold();
    };
    check([toucher(0), play(folder), play(|w: &World| w.peek(0))]);
}

fn a_toucher_and_an_expirer_that_both_come_twice() {
    let toucher = |w: &World| {
        w.get(0, 0);
        w.get(0, 0);
    };
    let expirer = |w: &World| {
        w.advance(LATE);
        w.sweep();
        w.advance(LATER);
        w.sweep();
    };
    check([play(toucher), play(expirer)]);
}

fn reader() -> Play<World> {
    play(|w: &World| {
        w.advance(LATE);
        w.peek(0);
    })
}

/// Who has missed an entry misses it ever after.
fn a_toucher_after_its_own_miss() {
    let twice = |w: &World| {
        w.get(0, 0);
        w.get(0, 0);
    };
    check([play(twice), reader()]);
}

/// And so does who knows of somebody who has.
fn touchers_after_a_miss() {
    check([toucher(0), reader(), toucher(1)]);
}
