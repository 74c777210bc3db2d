//! Inserts that another thread stops before their slots are live, as removals do with loads.

use super::Op::{Get, Grow, Insert, Remove, Stop};
use super::rig::{EMPTY, growing, holding};
use super::{A, B, explore};

#[test]
fn an_insert_that_is_stopped_and_another_one() {
    explore(2, EMPTY.with(&[&[Insert(A)], &[Stop, Insert(A)]]));
}

#[test]
fn a_stopped_insert_and_a_reader() {
    explore(2, EMPTY.with(&[&[Insert(A), Get(A)], &[Stop], &[Get(A)]]));
}

#[test]
fn stopped_inserts_of_two_keys_in_one_bucket() {
    explore(2, EMPTY.with(&[&[Insert(A)], &[Insert(B), Remove(B)], &[Stop]]));
}

#[test]
fn a_stopped_insert_while_its_bucket_moves() {
    explore(2, growing(&[B]).with(&[&[Insert(A)], &[Stop, Grow]]));
}

#[test]
fn a_stopped_insert_and_the_reuse_of_its_slot() {
    explore(2, holding(&[B]).with(&[&[Insert(A), Insert(A)], &[Stop, Get(A), Remove(A)]]));
}
