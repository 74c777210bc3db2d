//! Inserts beside each other and beside readers.

use super::Op::{Get, Insert, Remove};
use super::rig::{EMPTY, Scene, holding};
use super::{A, A_TWIN, B, C, H, SHORT, explore};

pub(super) const SAME_KEY: Scene = EMPTY.with(&[&[Insert(A)], &[Insert(A)]]);

#[test]
fn two_inserts_of_one_key() {
    explore(3, SAME_KEY);
}

#[test]
fn three_inserts_of_one_key() {
    explore(SHORT, EMPTY.with(&[&[Insert(A)], &[Insert(A)], &[Insert(A)]]));
}

#[test]
fn two_inserts_of_one_key_and_gets() {
    explore(2, EMPTY.with(&[&[Insert(A)], &[Insert(A)], &[Get(A), Get(A)]]));
}

#[test]
fn inserts_of_different_keys() {
    explore(3, EMPTY.with(&[&[Insert(A), Get(A)], &[Insert(B), Get(B)]]));
}

#[test]
fn inserts_of_keys_with_one_hash() {
    explore(3, EMPTY.with(&[&[Insert(A), Get(A)], &[Insert(A_TWIN), Get(A)]]));
}

#[test]
fn inserts_that_compete_for_the_last_word() {
    explore(3, holding(&[C]).with(&[&[Insert(A), Get(A)], &[Insert(B), Get(B)]]));
}

#[test]
fn inserts_of_one_key_that_add_a_line() {
    explore(2, holding(&[B, C]).with(&[&[Insert(A), Get(A)], &[Insert(A)]]));
}

#[test]
fn inserts_of_different_keys_that_add_lines() {
    explore(2, holding(&[B, C]).with(&[&[Insert(A), Get(A)], &[Insert(H), Get(H)]]));
}

#[test]
fn insert_that_adds_a_line_and_gets() {
    explore(3, holding(&[B, C]).with(&[&[Insert(A)], &[Get(A), Get(A), Get(B)]]));
}

pub(super) const ANOTHER_COMMIT_BETWEEN: Scene =
    EMPTY.with(&[&[Insert(A)], &[Insert(B), Insert(A)]]);

#[test]
fn insert_while_another_key_commits() {
    explore(2, ANOTHER_COMMIT_BETWEEN);
}

pub(super) const REINSERT_UNDER_A_STALE_HEADER: Scene =
    EMPTY.with(&[&[Insert(A)], &[Insert(A), Remove(A), Insert(A)]]);

#[test]
fn insert_with_a_stale_header_while_its_key_comes_and_goes() {
    explore(2, REINSERT_UNDER_A_STALE_HEADER);
}
