//! Each step of the protocol is needed: without it a scenario fails.

use super::fails_without;
use super::inserts;
use crate::sync::Step;

#[test]
fn commit_fails_when_the_header_changed() {
    fails_without(Step::CommitFromScannedHeader, 2, inserts::SAME_KEY);
}
