//! Reads of a child against the death of its parent, and touches of both.

use super::Op::{Get, GetLate, Listen, Remove, Sweep, SweepLate, Tell, Touch, TouchUp};
use super::rig::{Scene, family};
use super::{CHILD, LISTED, Op, PARENT, explore};

const BOTH: &[Op] = &[Op::Insert(PARENT), Op::Insert(CHILD)];
const BOTH_LISTED: &[Op] = &[Op::Insert(PARENT), Op::Insert(LISTED)];

pub(super) const REMOVED: Scene =
    family(BOTH).with(&[&[Remove(PARENT), Get(CHILD)], &[Get(PARENT), Get(CHILD)]]);

#[test]
fn parent_removed_and_reads() {
    explore(3, REMOVED);
}

#[test]
fn parent_removed_and_reads_elsewhere() {
    let threads: &[&[_]] =
        &[&[Remove(PARENT), Tell], &[Listen, Get(CHILD)], &[Get(PARENT), Get(CHILD)]];
    explore(3, family(BOTH).with(threads));
}

#[test]
fn parent_found_removed_and_read_elsewhere() {
    let threads: &[&[_]] = &[&[Remove(PARENT)], &[Get(PARENT), Tell], &[Listen, Get(CHILD)]];
    explore(3, family(BOTH).with(threads));
}

#[test]
fn parent_removed_and_swept_under_reads() {
    let threads: &[&[_]] = &[&[Remove(PARENT), Sweep], &[Get(PARENT), Get(CHILD)]];
    explore(3, family(BOTH).with(threads));
}

#[test]
fn parent_removed_and_swept_under_reads_of_its_list() {
    let threads: &[&[_]] = &[&[Remove(PARENT), Sweep], &[Get(PARENT), Get(LISTED)]];
    explore(2, family(BOTH_LISTED).with(threads));
}

pub(super) const DUE_AND_TOUCHED: Scene =
    family(BOTH).with(&[&[GetLate(PARENT), GetLate(CHILD)], &[Touch(PARENT)]]);

#[test]
fn parent_due_touched_and_read() {
    explore(3, DUE_AND_TOUCHED);
}

pub(super) const CHILD_OF_A_DUE_ONE: Scene =
    family(BOTH).with(&[&[GetLate(CHILD), GetLate(PARENT)], &[Touch(PARENT)]]);

#[test]
fn child_read_while_its_due_parent_is_touched() {
    explore(3, CHILD_OF_A_DUE_ONE);
}

#[test]
fn parent_due_touched_read_and_swept() {
    let threads: &[&[_]] =
        &[&[GetLate(PARENT), GetLate(CHILD)], &[Touch(PARENT), Get(CHILD)], &[SweepLate]];
    explore(2, family(BOTH).with(threads));
}

#[test]
fn child_of_a_due_parent_removed_and_swept() {
    let threads: &[&[_]] =
        &[&[GetLate(CHILD), GetLate(PARENT)], &[Touch(PARENT), Remove(CHILD)], &[SweepLate]];
    explore(2, family(BOTH).with(threads));
}

pub(super) const CHILD_TOUCHED: Scene =
    family(BOTH).with(&[&[Touch(CHILD)], &[Remove(PARENT), Sweep]]);

#[test]
fn child_touched_while_its_parent_is_removed() {
    explore(3, CHILD_TOUCHED);
}

#[test]
fn listed_child_touched_while_its_parent_is_removed() {
    explore(3, family(BOTH_LISTED).with(&[&[Touch(LISTED)], &[Remove(PARENT), Sweep]]));
}

#[test]
fn child_touched_and_removed_while_its_parent_expires() {
    explore(2, family(BOTH).with(&[&[Touch(CHILD)], &[Remove(CHILD)], &[SweepLate]]));
}

#[test]
fn child_touched_with_its_parent_while_that_expires() {
    let threads: &[&[_]] =
        &[&[TouchUp(CHILD), Get(CHILD)], &[SweepLate], &[GetLate(PARENT), GetLate(CHILD)]];
    explore(2, family(BOTH).with(threads));
}

#[test]
fn reads_in_a_row_while_a_parent_expires() {
    let threads: &[&[_]] = &[
        &[GetLate(PARENT), Tell],
        &[Listen, Get(CHILD), Get(CHILD)],
        &[Touch(PARENT), Get(CHILD)],
    ];
    explore(2, family(BOTH).with(threads));
}
