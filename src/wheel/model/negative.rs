//! Every step of the protocol is needed: without it some race goes wrong.

use super::{lost, races, timing};
use crate::sync::model::needed;

needed! {
    a_late_clear_needs_ensure: EnsureAfterClear in races::a_clear_that_is_late_by_a_lap;
    crossing_changes_need_ensure: EnsureAfterClear in timing::a_change_there_and_one_back;
    an_insert_needs_its_look_at_swept:
        InsertLooksAtSwept in races::an_insert_with_a_stale_clock_and_a_sweeper;
    swept_needs_to_be_published_first:
        PublishSweptFirst in races::an_insert_with_a_stale_clock_and_a_sweeper;
    a_reserved_slot_needs_a_home: ReservedHasHome in races::reuse_under_a_sweep;
    a_cleared_summary_needs_a_second_look:
        SummaryRecheck in races::one_leaves_and_one_is_inserted;
    a_raised_summary_needs_claims: ReopenClaims in races::one_leaves_and_one_is_inserted;
    an_own_claim_needs_repetition: ClaimRepeats in races::a_touch_within_the_bucket_of_an_insert;
    a_touch_needs_its_look_at_swept: FileLooksAtSwept in races::a_jump_past_a_lap_and_a_touch;
    ensure_needs_a_look_at_swept:
        FileLooksAtSwept in races::a_clear_that_is_late_by_a_lap_and_a_sweep;
    a_mover_needs_to_set_first: SetBeforeClear in lost::a_mover_lost_in_its_clear;
    a_sweep_needs_to_ensure_first: EnsureBeforeClear in lost::a_sweeper_in_its_second_look;
    ensure_needs_the_summary: EnsureSeesSummary in lost::a_mover_between_leaf_and_summary;
}
