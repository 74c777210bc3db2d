//! Histories made by hand: bad ones, which the checker must reject, and good ones beside them.

use super::checker::Timed;
use super::family::{Answer, Call, Ends, History, LISTED, Op, Place, Version};
use Answer::{Done, Exists, Missing, New, ParentGone, Replaced, Saw};
use Op::{Get, Insert, InsertNew, Peek, Rekey, Remove, Renew, Take, Touch, Update};
use idlewheel::RemovalCause;
use idlewheel::RemovalCause::{
    Absolute, Capacity, Cascade, Dropped, Explicit, Idle, Replaced as Superseded,
};

const P: Place = Place::Parent(0);
const Q: Place = Place::Parent(1);
const C: Place = Place::Child(0);
const L: Place = Place::Child(LISTED);

pub(crate) type Case = (&'static str, History);

/// Calls one after the other, each at a time of the clock, and how the values ended, after all
/// calls.
fn one_by_one(calls: &[(u64, Op, Answer)], ends: &[(Version, RemovalCause)]) -> History {
    let calls = calls.iter().enumerate().map(|(at, (now, op, answer))| {
        let call =
            Call { op: *op, answer: *answer, clock: (2 * now, 2 * now), beside_rekey: false };
        Timed { begin: 2 * at as u64, end: 2 * at as u64 + 1, call }
    });
    History { calls: calls.collect(), ends: told(ends, 1000) }
}

/// Calls that are all under way at once, after a first one.
fn at_once(
    first: (Op, Answer),
    calls: &[(Op, Answer)],
    ends: &[(Version, RemovalCause)],
) -> History {
    let call = |(op, answer): (Op, Answer), begin, end| Timed {
        begin,
        end,
        call: Call { op, answer, clock: (0, 0), beside_rekey: false },
    };
    let mut all = vec![call(first, 0, 1)];
    all.extend(calls.iter().enumerate().map(|(at, one)| call(*one, 10 + at as u64, 100)));
    History { calls: all, ends: told(ends, 1000) }
}

fn told(ends: &[(Version, RemovalCause)], when: u64) -> Ends {
    let mut all = Ends::new();
    for (version, cause) in ends {
        all.entry(*version).or_default().push((*cause, when));
    }
    all
}

/// One of the calls goes on until the last one ends.
fn overlapping(mut history: History, call: usize) -> History {
    history.calls[call].end = history.calls.last().expect("there are calls").end;
    history
}

/// Told of before the last call began.
fn told_early(mut history: History, version: Version) -> History {
    let last = history.calls.last().expect("there are calls").begin;
    let told = history.ends.get_mut(&version).expect("it is told of");
    told[0].1 = last - 1;
    history
}

pub(crate) fn bad() -> Vec<Case> {
    let groups = [bad_values(), bad_times(), bad_events(), bad_families(), bad_keys()];
    groups.into_iter().flatten().collect()
}

/// Without regard to time.
fn bad_values() -> Vec<Case> {
    let first = (0, Insert(P, 1), New);
    vec![
        (
            "nothing is there though nothing ended it",
            one_by_one(&[first, (0, Get(P), Missing)], &[(1, Dropped)]),
        ),
        (
            "a value that was replaced",
            one_by_one(
                &[first, (0, Insert(P, 2), Replaced), (0, Get(P), Saw(1))],
                &[(1, Superseded), (2, Dropped)],
            ),
        ),
        (
            "a value that was removed",
            one_by_one(&[first, (0, Remove(P), Done), (0, Get(P), Saw(1))], &[(1, Explicit)]),
        ),
        (
            "two threads create one key",
            at_once(
                (Remove(P), Missing),
                &[(InsertNew(P, 1), New), (InsertNew(P, 2), New)],
                &[(1, Dropped), (2, Dropped)],
            ),
        ),
        ("a key is refused that nobody has", one_by_one(&[(0, InsertNew(P, 1), Exists)], &[])),
        (
            "one entry is removed twice",
            at_once((Insert(P, 1), New), &[(Remove(P), Done), (Remove(P), Done)], &[(1, Explicit)]),
        ),
        (
            "one value is taken twice",
            at_once((Insert(P, 1), New), &[(Take(P), Saw(1)), (Take(P), Saw(1))], &[(1, Explicit)]),
        ),
        ("an update creates an entry", one_by_one(&[(0, Update(P, 1), Replaced)], &[(1, Dropped)])),
        (
            "a renewal changes nothing",
            one_by_one(&[first, (3, Renew(P), Done), (5, Get(P), Missing)], &[(1, Idle)]),
        ),
        ("a value that nobody stored", one_by_one(&[(0, Get(P), Saw(7))], &[])),
        (
            "an evicted entry is read again",
            one_by_one(&[first, (0, Get(P), Missing), (0, Get(P), Saw(1))], &[(1, Capacity)]),
        ),
        (
            "reads of a new value, then of the old one",
            one_by_one(
                &[first, (0, Update(P, 2), Replaced), (0, Peek(P), Saw(2)), (0, Peek(P), Saw(1))],
                &[(1, Superseded), (2, Dropped)],
            ),
        ),
    ]
}

/// Of times: an entry is idle for 3.5 units, and 9.5 old, at most.
fn bad_times() -> Vec<Case> {
    let first = (0, Insert(P, 1), New);
    vec![
        ("a read after the idle timeout", one_by_one(&[first, (4, Get(P), Saw(1))], &[(1, Idle)])),
        (
            "activity does not move the absolute deadline",
            one_by_one(
                &[
                    first,
                    (3, Touch(P), Done),
                    (6, Touch(P), Done),
                    (9, Touch(P), Done),
                    (10, Peek(P), Saw(1)),
                ],
                &[(1, Absolute)],
            ),
        ),
        (
            "it comes back after a miss",
            one_by_one(&[first, (4, Get(P), Missing), (4, Get(P), Saw(1))], &[(1, Idle)]),
        ),
        ("a touch of what has expired", one_by_one(&[first, (4, Touch(P), Done)], &[(1, Idle)])),
        (
            "a peek is no activity",
            one_by_one(&[first, (3, Peek(P), Saw(1)), (5, Peek(P), Saw(1))], &[(1, Idle)]),
        ),
        (
            "a touch is lost",
            one_by_one(&[first, (3, Touch(P), Done), (5, Get(P), Missing)], &[(1, Idle)]),
        ),
        ("it expires early", one_by_one(&[first, (3, Get(P), Missing)], &[(1, Idle)])),
        (
            "it expires by the later deadline",
            one_by_one(&[first, (4, Get(P), Missing)], &[(1, Absolute)]),
        ),
    ]
}

/// Of what listeners were told.
fn bad_events() -> Vec<Case> {
    let first = (0, Insert(P, 1), New);
    vec![
        (
            "told of as removed, and nobody removed it",
            one_by_one(&[first, (0, Get(P), Saw(1))], &[(1, Explicit)]),
        ),
        (
            "told of as replaced, and it was removed",
            one_by_one(&[first, (0, Remove(P), Done)], &[(1, Superseded)]),
        ),
        (
            "told of twice",
            one_by_one(&[first, (0, Remove(P), Done)], &[(1, Explicit), (1, Explicit)]),
        ),
        ("never told of", one_by_one(&[first, (0, Remove(P), Done)], &[])),
        (
            "told of though it never was there",
            one_by_one(&[first, (0, InsertNew(P, 2), Exists)], &[(1, Dropped), (2, Dropped)]),
        ),
        (
            "read after it was told of",
            told_early(one_by_one(&[first, (0, Get(P), Saw(1))], &[(1, Idle)]), 1),
        ),
    ]
}

/// Of parents and children.
fn bad_families() -> Vec<Case> {
    let (first, child) = ((0, Insert(P, 1), New), (0, Insert(C, 2), New));
    vec![
        (
            "a child outlives its parent",
            one_by_one(
                &[first, child, (0, Remove(P), Done), (0, Get(C), Saw(2))],
                &[(1, Explicit), (2, Cascade)],
            ),
        ),
        (
            "a child outlives its parent's timeout",
            one_by_one(
                &[first, (2, Insert(C, 2), New), (4, Get(C), Saw(2))],
                &[(1, Idle), (2, Cascade)],
            ),
        ),
        ("a child of nobody", one_by_one(&[(0, Insert(C, 2), New)], &[(2, Dropped)])),
        (
            "a child is refused under a live parent",
            one_by_one(&[first, (0, Insert(L, 2), ParentGone)], &[(1, Dropped)]),
        ),
        (
            "a child of another life of its parent",
            one_by_one(
                &[first, child, (0, Remove(P), Done), (0, Insert(P, 3), New), (0, Get(C), Saw(2))],
                &[(1, Explicit), (2, Cascade), (3, Dropped)],
            ),
        ),
        (
            "children die though their parent was only replaced",
            one_by_one(
                &[first, child, (0, Insert(P, 3), Replaced), (0, Get(C), Missing)],
                &[(1, Superseded), (2, Cascade), (3, Dropped)],
            ),
        ),
        (
            "a child is told of as an orphan, and its parent lives",
            one_by_one(&[first, child], &[(1, Dropped), (2, Cascade)]),
        ),
        (
            "a parent comes back that its child's reader found dead",
            one_by_one(
                &[first, (2, Insert(C, 2), New), (4, Get(C), Missing), (4, Get(P), Saw(1))],
                &[(1, Idle), (2, Cascade)],
            ),
        ),
    ]
}

/// Of entries that get another key.
fn bad_keys() -> Vec<Case> {
    let first = (0, Insert(P, 1), New);
    vec![
        (
            "an entry has two keys at once",
            one_by_one(&[first, (0, Rekey(0), Done), (0, Get(P), Saw(1))], &[(1, Dropped)]),
        ),
        (
            "an entry has no key for a moment",
            overlapping(
                one_by_one(
                    &[first, (0, Rekey(0), Done), (0, Remove(P), Missing), (0, Remove(Q), Missing)],
                    &[(1, Idle)],
                ),
                1,
            ),
        ),
        (
            "a new name takes the place of a live entry",
            one_by_one(
                &[first, (0, Insert(Q, 2), New), (0, Rekey(0), Done), (0, Get(Q), Saw(1))],
                &[(1, Dropped), (2, Dropped)],
            ),
        ),
        (
            "children of the new bearer of a key are readable by those of the old one",
            one_by_one(
                &[first, (0, Rekey(0), Done), (0, Insert(C, 2), New)],
                &[(1, Dropped), (2, Dropped)],
            ),
        ),
    ]
}

/// The same situations, as they may be.
pub(crate) fn good() -> Vec<Case> {
    [good_entries(), good_families()].into_iter().flatten().collect()
}

fn good_entries() -> Vec<Case> {
    let first = (0, Insert(P, 1), New);
    vec![
        (
            "a day in a life",
            one_by_one(
                &[
                    first,
                    (3, Touch(P), Done),
                    (6, Get(P), Saw(1)),
                    (9, Peek(P), Saw(1)),
                    (10, Get(P), Missing),
                ],
                &[(1, Absolute)],
            ),
        ),
        (
            "a read beside a removal",
            at_once(
                (Insert(P, 1), New),
                &[(Remove(P), Done), (Get(P), Saw(1)), (Get(P), Missing)],
                &[(1, Explicit)],
            ),
        ),
        (
            "of two removals one succeeds",
            at_once(
                (Insert(P, 1), New),
                &[(Remove(P), Missing), (Take(P), Saw(1))],
                &[(1, Explicit)],
            ),
        ),
        (
            "of two creators one succeeds",
            at_once(
                (Remove(P), Missing),
                &[(InsertNew(P, 1), Exists), (InsertNew(P, 2), New)],
                &[(2, Dropped)],
            ),
        ),
        (
            "a renewal moves both deadlines",
            one_by_one(
                &[
                    first,
                    (3, Renew(P), Done),
                    (6, Renew(P), Done),
                    (9, Renew(P), Done),
                    (12, Get(P), Saw(1)),
                ],
                &[(1, Idle)],
            ),
        ),
        ("an eviction", one_by_one(&[first, (1, Get(P), Missing)], &[(1, Capacity)])),
    ]
}

fn good_families() -> Vec<Case> {
    let (first, child) = ((0, Insert(P, 1), New), (0, Insert(C, 2), New));
    vec![
        (
            "a family",
            one_by_one(
                &[
                    first,
                    child,
                    (0, Insert(L, 3), New),
                    (0, Rekey(0), Done),
                    (0, Get(C), Saw(2)),
                    (0, Remove(Q), Done),
                    (0, Get(L), Missing),
                    (0, Insert(C, 4), ParentGone),
                ],
                &[(1, Explicit), (2, Cascade), (3, Cascade)],
            ),
        ),
        (
            "a child that lives less long",
            one_by_one(
                &[first, child, (2, Get(P), Saw(1)), (3, Get(C), Missing), (3, Get(P), Saw(1))],
                &[(1, Dropped), (2, Idle)],
            ),
        ),
        (
            "a read of a child beside the end of its parent",
            at_once(
                (Insert(P, 1), New),
                &[(Insert(C, 2), New), (Remove(P), Done), (Get(C), Saw(2))],
                &[(1, Explicit), (2, Cascade)],
            ),
        ),
    ]
}
