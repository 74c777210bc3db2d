//! Links against the death of their parent.

use super::Op::{Get, Insert, Remove, Sweep, SweepLate, SweepUnderOnePin, Touch};
use super::rig::{Scene, family};
use super::{CHILD, LISTED, OTHER, PARENT, SHORT, explore};

pub(super) const REMOVED: Scene =
    family(&[Insert(PARENT)]).with(&[&[Insert(CHILD)], &[Remove(PARENT), Sweep]]);

#[test]
fn insert_while_the_parent_is_removed() {
    explore(3, REMOVED);
}

pub(super) const LISTED_REMOVED: Scene =
    family(&[Insert(PARENT)]).with(&[&[Insert(LISTED)], &[Remove(PARENT), Sweep]]);

#[test]
fn insert_into_a_list_while_the_parent_is_removed() {
    explore(2, LISTED_REMOVED);
}

pub(super) const EXPIRED: Scene =
    family(&[Insert(PARENT)]).with(&[&[Insert(CHILD)], &[SweepUnderOnePin]]);

#[test]
fn insert_while_the_parent_expires() {
    explore(3, EXPIRED);
}

#[test]
fn insert_while_the_parent_expires_and_is_noted() {
    explore(3, family(&[Insert(PARENT)]).with(&[&[Insert(CHILD)], &[SweepLate]]));
}

#[test]
fn insert_into_a_list_while_the_parent_expires() {
    explore(2, family(&[Insert(PARENT)]).with(&[&[Insert(LISTED)], &[SweepLate]]));
}

#[test]
fn insert_while_the_parent_is_removed_and_swept_by_another() {
    let threads: &[&[_]] = &[&[Insert(CHILD)], &[Remove(PARENT)], &[Sweep]];
    explore(2, family(&[Insert(PARENT)]).with(threads));
}

#[test]
fn insert_and_get_while_the_parent_is_removed() {
    let threads: &[&[_]] = &[&[Insert(CHILD)], &[Remove(PARENT), Sweep], &[Get(CHILD), Get(CHILD)]];
    explore(2, family(&[Insert(PARENT)]).with(threads));
}

pub(super) const TOUCHED: Scene =
    family(&[Insert(PARENT)]).with(&[&[Touch(CHILD)], &[Insert(CHILD)], &[Remove(PARENT), Sweep]]);

/// The toucher is late: it sees the parent alive once more.
#[test]
fn insert_and_touch_while_the_parent_is_removed() {
    explore(2, TOUCHED);
}

#[test]
fn two_inserts_while_the_parent_is_removed() {
    let threads: &[&[_]] = &[&[Insert(CHILD)], &[Insert(CHILD)], &[Remove(PARENT)]];
    explore(SHORT, family(&[Insert(PARENT)]).with(threads));
}

#[test]
fn two_inserts_into_a_list_while_the_parent_is_removed() {
    let threads: &[&[_]] = &[&[Insert(LISTED)], &[Insert(OTHER)], &[Remove(PARENT), Sweep]];
    explore(SHORT, family(&[Insert(PARENT)]).with(threads));
}
