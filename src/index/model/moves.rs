//! Movers that disagree, come late, or find no room; tables of the same size.

use super::Op::{Get, Grow, Insert, Rebuild, Remove};
use super::rig::{Scene, growing, rebuilding};
use super::{A, B, C, H, explore};

/// One mover sees the slot live, the other one finishes, and the slot is removed.
pub(super) const LATE_MOVER: Scene = growing(&[A]).with(&[&[Grow, Remove(A)], &[Grow]]);

#[test]
fn a_late_mover_and_a_remove() {
    explore(3, LATE_MOVER);
}

#[test]
fn a_late_mover_and_reuse_of_the_slot() {
    explore(2, growing(&[A]).with(&[&[Grow, Remove(A), Insert(B), Insert(A)], &[Grow, Get(A)]]));
}

#[test]
fn movers_that_disagree_on_what_is_alive() {
    explore(2, growing(&[A, B]).with(&[&[Grow], &[Grow], &[Remove(A), Insert(C)]]));
}

#[test]
fn movers_that_need_a_line() {
    explore(2, growing(&[A, B, C]).with(&[&[Grow], &[Grow, Get(C)]]));
}

#[test]
fn movers_that_need_a_line_and_a_remove() {
    explore(1, growing(&[A, B, C]).with(&[&[Grow], &[Grow], &[Remove(C), Insert(C)]]));
}

#[test]
fn rebuild_and_gets() {
    explore(2, rebuilding(&[A, B, H]).with(&[&[Rebuild], &[Rebuild], &[Get(H), Get(A)]]));
}

#[test]
fn rebuild_remove_and_insert() {
    explore(2, rebuilding(&[A, B]).with(&[&[Rebuild], &[Remove(A), Insert(C)], &[Insert(A)]]));
}

#[test]
fn rebuild_remove_and_get() {
    explore(2, rebuilding(&[A, H]).with(&[&[Rebuild], &[Remove(A)], &[Get(A), Get(H)]]));
}

#[test]
fn rebuild_under_inserts_of_one_key() {
    explore(2, rebuilding(&[H]).with(&[&[Rebuild], &[Insert(A)], &[Insert(A), Remove(A)]]));
}
