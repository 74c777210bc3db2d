//! Three levels: a leaf is not hit once any entry above it is dead.

use super::Op::{Get, GetLate, Insert, Listen, Remove, Sweep, SweepLate, Tell, Touch, TouchUp};
use super::rig::{Scene, three_levels};
use super::{CHILD, LEAF, LISTED_LEAF, Op, PARENT, SHORT, explore};

const LINE: &[Op] = &[Insert(PARENT), Insert(CHILD), Insert(LEAF)];

#[test]
fn leaf_after_its_parent_was_missed() {
    explore(3, three_levels(LINE).with(&[&[Remove(PARENT)], &[Get(CHILD), Get(LEAF)]]));
}

pub(super) const TOP_REMOVED: Scene =
    three_levels(LINE).with(&[&[Remove(PARENT), Get(LEAF)], &[Get(CHILD), Get(LEAF)]]);

#[test]
fn leaf_after_the_top_was_removed() {
    explore(3, TOP_REMOVED);
}

#[test]
fn leaf_after_its_parent_was_missed_elsewhere() {
    let threads: &[&[_]] = &[&[Remove(PARENT)], &[Get(CHILD), Tell], &[Listen, Get(LEAF)]];
    explore(2, three_levels(LINE).with(threads));
}

#[test]
fn leaf_of_a_top_that_is_due_and_touched() {
    let threads: &[&[_]] = &[&[GetLate(CHILD), GetLate(LEAF)], &[Touch(PARENT), Get(LEAF)]];
    explore(3, three_levels(LINE).with(threads));
}

#[test]
fn leaf_touched_with_all_above_while_the_top_expires() {
    let threads: &[&[_]] = &[&[TouchUp(LEAF)], &[SweepLate, Get(LEAF)]];
    explore(2, three_levels(LINE).with(threads));
}

#[test]
fn leaf_read_while_all_is_swept() {
    let threads: &[&[_]] = &[&[Remove(PARENT), Sweep], &[Get(CHILD), Get(LEAF)]];
    explore(2, three_levels(LINE).with(threads));
}

#[test]
fn leaf_inserted_while_the_top_is_removed() {
    let scene = three_levels(&[Insert(PARENT), Insert(CHILD)]);
    explore(2, scene.with(&[&[Insert(LEAF), Get(LEAF)], &[Remove(PARENT), Sweep]]));
}

#[test]
fn listed_leaf_inserted_while_the_top_is_removed() {
    let scene = three_levels(&[Insert(PARENT), Insert(CHILD)]);
    explore(2, scene.with(&[&[Insert(LISTED_LEAF)], &[Remove(PARENT), Sweep]]));
}

#[test]
fn leaf_inserted_while_the_middle_is_removed() {
    let scene = three_levels(&[Insert(PARENT), Insert(CHILD)]);
    explore(2, scene.with(&[&[Insert(LEAF)], &[Remove(CHILD), Sweep]]));
}

#[test]
fn all_three_again_beside_a_sweep() {
    const AGAIN: &[Op] = &[Remove(PARENT), Insert(PARENT), Insert(CHILD), Insert(LEAF), Get(LEAF)];
    explore(2, three_levels(LINE).with(&[AGAIN, &[Sweep]]));
}

/// The next entry on the middle level gets the slot of the one that the other sweep has noted.
#[test]
fn middle_and_leaf_again_in_the_same_slots_beside_a_sweep() {
    const AGAIN: &[Op] = &[Remove(CHILD), Sweep, Insert(CHILD), Insert(LEAF), Get(LEAF)];
    explore(2, three_levels(LINE).with(&[&[Sweep], AGAIN]));
}

#[test]
fn two_sweepers_on_three_levels() {
    let threads: &[&[_]] = &[&[Remove(PARENT), Sweep], &[Sweep], &[Get(LEAF)]];
    explore(SHORT, three_levels(LINE).with(threads));
}
