//! Each step of the protocol is needed: without it a scenario fails.

use super::{fails_without, growth, inserts, moves, removes};
use crate::sync::Step;

#[test]
fn commit_fails_when_the_header_changed() {
    fails_without(Step::CommitFromScannedHeader, 2, inserts::SAME_KEY);
}

#[test]
fn pending_slot_goes_live_before_the_next_commit() {
    fails_without(Step::HelpPending, 2, inserts::ANOTHER_COMMIT_BETWEEN);
}

#[test]
fn unlink_follows_a_move() {
    fails_without(Step::UnlinkFollowsMove, 2, growth::REMOVE_BESIDE);
}

#[test]
fn next_table_is_used_only_after_the_move() {
    fails_without(Step::GateOnMoved, 2, growth::GETS_BESIDE);
}

#[test]
fn pending_slot_is_taken_off_its_header() {
    fails_without(Step::TakeOff, 2, removes::REUSE_WHILE_PENDING);
}

#[test]
fn slots_are_reused_after_a_grace_period() {
    fails_without(Step::Grace, 2, removes::REUSE_UNDER_A_READER);
}

#[test]
fn new_bucket_is_sealed_against_late_movers() {
    fails_without(Step::SealBeforeUse, 2, moves::LATE_MOVER);
}
