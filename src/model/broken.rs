//! Each step is needed: without it a scenario fails under some schedule.

use super::{links, needs};
use crate::sync::Step;

#[test]
fn readers_look_at_the_parents() {
    needs(Step::CheckParents, links::read_against_death);
}

#[test]
fn inserters_look_at_the_parent_once_their_child_is_live() {
    needs(Step::Settle, links::link_against_removal);
}

#[test]
fn cascades_claim_only_children_of_their_very_parent() {
    needs(Step::CascadeComparesTies, links::cascade_against_reinsertion);
}

#[test]
fn parents_are_recycled_after_their_cascade() {
    needs(Step::CascadeBeforeRecycling, links::two_sweepers_and_a_remover);
}
