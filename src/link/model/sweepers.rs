//! Two sweepers, and a remover, on one family.

use super::Op::{Get, Remove, Sweep, SweepLate, Touch};
use super::rig::family;
use super::{CHILD, LISTED, Op, PARENT, SHORT, explore};

const BOTH: &[Op] = &[Op::Insert(PARENT), Op::Insert(CHILD)];
const LISTS: &[Op] = &[Op::Insert(PARENT), Op::Insert(CHILD), Op::Insert(LISTED)];

#[test]
fn two_sweepers_and_a_dead_parent() {
    explore(2, family(BOTH).with(&[&[Remove(PARENT), Sweep], &[Sweep]]));
}

#[test]
fn two_sweepers_and_a_dead_parent_with_a_list() {
    explore(2, family(LISTS).with(&[&[Remove(PARENT), Sweep], &[Sweep]]));
}

#[test]
fn two_sweepers_and_a_remover_of_the_child() {
    explore(SHORT, family(BOTH).with(&[&[SweepLate], &[SweepLate], &[Remove(CHILD)]]));
}

#[test]
fn two_sweepers_and_a_remover_of_the_parent() {
    explore(2, family(BOTH).with(&[&[SweepLate], &[Sweep], &[Remove(PARENT), Get(CHILD)]]));
}

#[test]
fn two_sweepers_and_a_toucher() {
    explore(2, family(BOTH).with(&[&[SweepLate], &[Sweep], &[Touch(PARENT), Touch(CHILD)]]));
}

#[test]
fn a_remover_of_each_and_a_sweeper() {
    explore(2, family(BOTH).with(&[&[Remove(PARENT)], &[Remove(CHILD)], &[Sweep]]));
}

#[test]
fn a_remover_of_each_and_a_sweeper_with_a_list() {
    explore(2, family(LISTS).with(&[&[Remove(PARENT)], &[Remove(LISTED)], &[Sweep]]));
}
