//! Lists of children: pushes, prunes, cascades and readers.

use super::Op::{Insert, List, Prune, Remove, Sweep, SweepLate};
use super::rig::{Scene, family};
use super::{LISTED, OTHER, Op, PARENT, SHORT, explore};

const ONE: &[Op] = &[Insert(PARENT), Insert(LISTED)];
const TWO: &[Op] = &[Insert(PARENT), Insert(LISTED), Insert(OTHER)];
/// One dead child in the list, behind one that lives.
const ONE_DEAD: &[Op] = &[Insert(PARENT), Insert(LISTED), Insert(OTHER), Remove(LISTED)];
/// Two dead children in the list, side by side.
const TWO_DEAD: &[Op] =
    &[Insert(PARENT), Insert(LISTED), Insert(OTHER), Remove(LISTED), Remove(OTHER)];

#[test]
fn two_walkers_and_two_dead_children() {
    explore(3, family(TWO_DEAD).with(&[&[Prune], &[Prune]]));
}

pub(super) const ONE_MORE_DIES: Scene = family(ONE_DEAD).with(&[&[Prune], &[Remove(OTHER), Prune]]);

/// One walker cuts a node out through another one, which the second walker cuts out.
#[test]
fn two_walkers_and_a_child_that_dies() {
    explore(3, ONE_MORE_DIES);
}

#[test]
fn two_walkers_that_recycle_nodes() {
    explore(2, family(TWO_DEAD).with(&[&[Prune, Sweep, Insert(LISTED)], &[Prune, List(1)]]));
}

#[test]
fn a_walker_and_a_pusher() {
    let scene = family(&[Insert(PARENT), Insert(OTHER), Remove(OTHER)]);
    explore(2, scene.with(&[&[Insert(LISTED)], &[Prune]]));
}

pub(super) const RESERVED: Scene =
    family(&[Insert(PARENT)]).with(&[&[Insert(LISTED), List(1)], &[Prune]]);

#[test]
fn a_reserved_child_and_a_walker() {
    explore(3, RESERVED);
}

#[test]
fn a_child_that_dies_at_once_and_a_walker() {
    let threads: &[&[_]] = &[&[Insert(LISTED)], &[Remove(LISTED), Prune], &[List(1)]];
    explore(2, family(ONE).with(threads));
}

#[test]
fn a_removed_child_a_sweeper_and_a_pusher() {
    let threads: &[&[_]] = &[&[Remove(LISTED), Sweep, List(1)], &[Insert(OTHER), List(1)]];
    explore(2, family(ONE).with(threads));
}

#[test]
fn a_child_that_comes_back_beside_a_sweeper() {
    let threads: &[&[_]] = &[&[Remove(LISTED), Insert(LISTED), List(1)], &[Sweep, List(1)]];
    explore(2, family(TWO).with(threads));
}

#[test]
fn a_cascade_and_a_walker() {
    explore(2, family(TWO).with(&[&[SweepLate], &[Remove(OTHER), Prune]]));
}

#[test]
fn a_cascade_a_walker_and_a_pusher() {
    explore(SHORT, family(ONE).with(&[&[SweepLate], &[Prune], &[Insert(OTHER)]]));
}

#[test]
fn two_cascades_and_a_reader() {
    explore(SHORT, family(TWO).with(&[&[SweepLate], &[SweepLate], &[List(1)]]));
}

#[test]
fn the_list_of_the_next_parent_in_a_slot() {
    const AGAIN: &[Op] = &[Remove(PARENT), Sweep, Insert(PARENT), Insert(LISTED), List(1)];
    explore(2, family(ONE).with(&[AGAIN, &[Prune, Sweep]]));
}

#[test]
fn two_inserts_of_one_key_and_a_walker() {
    let threads: &[&[_]] = &[&[Insert(LISTED)], &[Insert(LISTED), List(1)], &[Prune]];
    explore(SHORT, family(&[Insert(PARENT)]).with(threads));
}
