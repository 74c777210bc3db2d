//! Removes beside everything, without growth.

use super::Op::{Get, Insert, Remove};
use super::rig::{EMPTY, Scene, holding};
use super::{A, A_TWIN, B, explore};

#[test]
fn two_removes_of_one_key() {
    explore(3, holding(&[A]).with(&[&[Remove(A)], &[Remove(A)]]));
}

#[test]
fn remove_and_insert_against_insert_and_remove() {
    explore(2, holding(&[A]).with(&[&[Remove(A), Insert(A)], &[Insert(A), Remove(A)]]));
}

#[test]
fn remove_and_reinsert_with_shared_slots() {
    let scene = holding(&[A]).with(&[&[Remove(A), Insert(B)], &[Insert(A), Get(A)]]);
    explore(2, Scene { shared: true, ..scene });
}

pub(super) const REUSE_UNDER_A_READER: Scene =
    holding(&[A]).with(&[&[Remove(A), Insert(A_TWIN), Insert(A)], &[Get(A), Get(A)]]);

#[test]
fn remove_and_reuse_of_the_slot_under_gets() {
    explore(3, REUSE_UNDER_A_READER);
}

pub(super) const REUSE_WHILE_PENDING: Scene =
    EMPTY.with(&[&[Insert(A), Remove(A), Insert(A)], &[Insert(A), Get(A)]]);

#[test]
fn remove_of_a_pending_slot_and_reuse() {
    explore(2, REUSE_WHILE_PENDING);
}

#[test]
fn insert_remove_and_gets() {
    explore(2, holding(&[B]).with(&[&[Insert(A)], &[Remove(A)], &[Get(A), Get(A)]]));
}

#[test]
fn insert_beside_a_remove_and_reuse() {
    explore(2, holding(&[A]).with(&[&[Insert(A)], &[Remove(A), Insert(B)]]));
}

#[test]
fn two_removes_and_an_insert() {
    explore(2, holding(&[A]).with(&[&[Remove(A)], &[Remove(A)], &[Insert(A)]]));
}

#[test]
fn remove_from_a_line_and_get() {
    explore(2, holding(&[B, A_TWIN, A]).with(&[&[Remove(A), Insert(A)], &[Get(A), Get(B)]]));
}
