//! Each step of the protocol is needed: without it a scenario fails.

use super::{chain, death, fails_without, lists, reads, reinsertion};
use crate::sync::Step;

#[test]
fn a_reader_looks_at_the_parent() {
    fails_without(Step::CheckParents, 2, reads::REMOVED);
}

#[test]
fn a_reader_looks_at_the_parents_of_the_parent() {
    fails_without(Step::CheckWholeLine, 2, chain::TOP_REMOVED);
}

#[test]
fn a_due_parent_is_claimed_before_it_is_missed() {
    fails_without(Step::ClaimDueParent, 2, reads::DUE_AND_TOUCHED);
}

#[test]
fn a_due_parent_is_claimed_before_its_child_is_missed() {
    fails_without(Step::ClaimDueParent, 2, reads::CHILD_OF_A_DUE_ONE);
}

#[test]
fn an_inserter_looks_at_the_parent_again() {
    fails_without(Step::Settle, 2, death::REMOVED);
}

#[test]
fn an_inserter_looks_at_the_parent_of_a_listed_child_again() {
    fails_without(Step::Settle, 2, death::LISTED_REMOVED);
}

#[test]
fn an_inserter_does_so_behind_a_fence() {
    fails_without(Step::SettleFence, 2, death::REMOVED);
}

#[test]
fn a_cascade_looks_for_children_behind_a_fence() {
    fails_without(Step::CascadeFence, 2, death::EXPIRED);
}

#[test]
fn a_cascade_leaves_the_children_of_the_next_parent_alone() {
    fails_without(Step::CascadeComparesTies, 2, reinsertion::BESIDE_A_SWEEP);
}

#[test]
fn a_cascade_tries_again_after_a_touch() {
    fails_without(Step::OrphanRepeats, 2, reads::CHILD_TOUCHED);
}

#[test]
fn an_inserter_tries_again_after_a_touch() {
    fails_without(Step::OrphanRepeats, 3, death::TOUCHED);
}

#[test]
fn a_parent_is_recycled_after_its_cascade() {
    fails_without(Step::CascadeBeforeRecycling, 2, reads::CHILD_TOUCHED);
}

#[test]
fn a_slot_is_recycled_after_a_grace_period() {
    fails_without(Step::Grace, 2, reads::CHILD_TOUCHED);
}

#[test]
fn a_node_is_marked_before_it_is_cut_out() {
    fails_without(Step::MarkBeforeCut, 2, lists::ONE_MORE_DIES);
}

#[test]
fn a_reserved_child_keeps_its_node() {
    fails_without(Step::ReservedKeepsNode, 2, lists::RESERVED);
}

#[test]
fn a_child_of_another_parent_is_replaced_under_a_living_one() {
    fails_without(Step::ReplaceLooksAtParent, 2, reinsertion::GIVEN_TO_THE_NEXT);
}
