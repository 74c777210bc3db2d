//! A growth, not finished at the start, beside everything.

use super::Op::{Get, Grow, Insert, Remove};
use super::rig::{EMPTY, Scene, growing};
use super::{A, B, C, H, SHORT, explore};

pub(super) const GETS_BESIDE: Scene = growing(&[A, H]).with(&[&[Grow], &[Get(A), Get(H), Get(A)]]);

#[test]
fn growth_and_gets() {
    explore(3, GETS_BESIDE);
}

#[test]
fn two_movers_and_gets() {
    explore(2, growing(&[A, H]).with(&[&[Grow], &[Grow], &[Get(A), Get(H)]]));
}

pub(super) const REMOVE_BESIDE: Scene = growing(&[A]).with(&[&[Grow], &[Remove(A)]]);

#[test]
fn growth_and_remove() {
    explore(3, REMOVE_BESIDE);
}

#[test]
fn two_movers_and_remove() {
    explore(2, growing(&[A, H]).with(&[&[Grow], &[Grow], &[Remove(A)]]));
}

#[test]
fn growth_remove_and_get() {
    explore(2, growing(&[A, H]).with(&[&[Grow], &[Remove(A)], &[Get(A), Get(H)]]));
}

#[test]
fn growth_and_two_removes() {
    explore(2, growing(&[A]).with(&[&[Grow], &[Remove(A)], &[Remove(A)]]));
}

#[test]
fn growth_insert_and_remove() {
    explore(2, growing(&[H]).with(&[&[Grow], &[Insert(A)], &[Remove(A)]]));
}

#[test]
fn growth_and_two_inserts() {
    explore(SHORT, growing(&[H]).with(&[&[Grow], &[Insert(A)], &[Insert(A)]]));
}

pub(super) const REINSERT_BESIDE: Scene =
    growing(&[A]).with(&[&[Grow], &[Remove(A), Insert(H), Insert(A)]]);

#[test]
fn growth_remove_and_reinsert() {
    explore(2, REINSERT_BESIDE);
}

#[test]
fn remove_in_a_growth_and_reuse_under_a_late_reader() {
    explore(2, growing(&[A, H]).with(&[&[Remove(A), Insert(A), Insert(B)], &[Get(H), Get(A)]]));
}

#[test]
fn late_reader_after_a_growth() {
    let scene = growing(&[A, H]).with(&[&[Grow, Remove(A), Insert(B)], &[Get(A), Get(A), Get(H)]]);
    explore(2, scene);
}

#[test]
fn growth_of_a_bucket_with_a_line() {
    explore(SHORT, growing(&[A, B, H]).with(&[&[Grow], &[Remove(H), Insert(C)]]));
}

#[test]
fn growth_of_a_bucket_with_a_line_and_gets() {
    explore(SHORT, growing(&[A, B, H]).with(&[&[Grow], &[Grow], &[Get(H), Get(A)]]));
}

#[test]
fn begin_growth_while_another_inserts() {
    explore(3, EMPTY.with(&[&[Grow, Grow], &[Insert(A), Get(A)]]));
}

pub(super) const FREEZE_UNDER_A_CLAIM: Scene =
    EMPTY.with(&[&[Grow, Insert(A)], &[Insert(A)], &[Get(A)]]);

#[test]
fn growth_begins_under_a_claim_and_a_get() {
    explore(SHORT, FREEZE_UNDER_A_CLAIM);
}

#[test]
fn growth_begins_under_inserts_and_removes() {
    let scene = EMPTY.with(&[&[Grow, Grow], &[Insert(A), Remove(A), Insert(H)]]);
    explore(2, scene);
}

#[test]
fn begin_growth_and_insert_while_another_inserts() {
    explore(2, EMPTY.with(&[&[Grow, Insert(A)], &[Insert(A), Get(A)]]));
}
