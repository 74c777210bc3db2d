//! Removes beside everything, without growth.

use super::Op::{Get, Insert, Remove};
use super::rig::{EMPTY, Scene, holding};
use super::{A, A_TWIN, B, explore};

#[test]
fn two_removes_of_one_key() {
    explore(3, holding(&[A]).with(&[&[Remove(A)], &[Remove(A)]]));
}
