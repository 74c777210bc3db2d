//! A growth beside everything.

use super::Op::{Get, Grow, Insert, Remove};
use super::rig::{Scene, growing};
use super::{A, B, H, explore};

#[test]
fn growth_and_gets() {
    explore(3, growing(&[A, H]).with(&[&[Grow], &[Get(A), Get(H), Get(A)]]));
}
