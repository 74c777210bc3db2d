//! Cascades against parents and children that come back under the same keys.

use super::Op::{Get, Insert, List, Remove, Sweep};
use super::rig::{Scene, family};
use super::{CHILD, LISTED, Op, PARENT, SHORT, explore};

const BOTH: &[Op] = &[Insert(PARENT), Insert(CHILD)];
const BOTH_LISTED: &[Op] = &[Insert(PARENT), Insert(LISTED)];

pub(super) const BESIDE_A_SWEEP: Scene =
    family(BOTH).with(&[&[Sweep], &[Remove(PARENT), Insert(PARENT), Insert(CHILD), Get(CHILD)]]);

#[test]
fn both_again_beside_a_sweep() {
    explore(2, BESIDE_A_SWEEP);
}

#[test]
fn both_again_beside_two_sweeps() {
    const AGAIN: &[Op] = &[Remove(PARENT), Insert(PARENT), Insert(CHILD), Get(CHILD)];
    explore(SHORT, family(BOTH).with(&[&[Sweep], &[Sweep], AGAIN]));
}

#[test]
fn both_again_beside_a_sweep_in_a_list() {
    const AGAIN: &[Op] = &[Remove(PARENT), Insert(PARENT), Insert(LISTED), Get(LISTED)];
    explore(2, family(BOTH_LISTED).with(&[&[Sweep, Sweep], AGAIN]));
}

#[test]
fn parent_again_while_a_child_is_inserted() {
    const AGAIN: &[Op] = &[Remove(PARENT), Insert(PARENT), Sweep];
    explore(2, family(&[Insert(PARENT)]).with(&[&[Insert(CHILD), Get(CHILD)], AGAIN]));
}

#[test]
fn both_again_while_a_child_of_the_old_one_is_inserted() {
    const AGAIN: &[Op] = &[Remove(PARENT), Insert(PARENT), Insert(CHILD)];
    explore(SHORT, family(&[Insert(PARENT)]).with(&[&[Insert(CHILD)], AGAIN, &[Sweep]]));
}

#[test]
fn listed_child_is_given_to_the_next_parent() {
    const AGAIN: &[Op] = &[Remove(PARENT), Insert(PARENT), Insert(LISTED), List(1)];
    explore(SHORT, family(BOTH_LISTED).with(&[AGAIN, &[Sweep], &[Insert(LISTED)]]));
}

pub(super) const GIVEN_TO_THE_NEXT: Scene = family(&[Insert(PARENT)])
    .with(&[&[Insert(LISTED)], &[Remove(PARENT), Insert(PARENT), Insert(LISTED), Get(LISTED)]]);

/// An insert that has found the old parent meets a child of the next one.
#[test]
fn a_child_of_the_next_parent_and_an_insert_under_the_old_one() {
    explore(SHORT, GIVEN_TO_THE_NEXT);
}

/// The next parent gets the slot of the one that the other sweep has noted.
pub(super) const IN_THE_SAME_SLOT: Scene =
    family(BOTH).with(&[&[Sweep], &[Remove(PARENT), Sweep, Insert(PARENT), Insert(CHILD)]]);

#[test]
fn both_again_in_the_same_slot_beside_a_sweep() {
    explore(2, IN_THE_SAME_SLOT);
}

#[test]
fn both_again_in_the_same_slot_beside_a_sweep_in_a_list() {
    const AGAIN: &[Op] = &[Remove(PARENT), Sweep, Insert(PARENT), Insert(LISTED), List(1)];
    explore(2, family(BOTH_LISTED).with(&[&[Sweep], AGAIN]));
}

#[test]
fn parent_slot_is_reused_while_its_old_children_are_read() {
    const AGAIN: &[Op] = &[Remove(PARENT), Sweep, Insert(PARENT), Insert(CHILD)];
    explore(2, family(BOTH).with(&[AGAIN, &[Get(CHILD), Get(CHILD)]]));
}
