//! Steps that a scenario needs: without them it fails under some schedule. Of the others the loom
//! models show it; here the schedules that do are too rare.

use super::links;
use super::schedules::needs;
use crate::sync::Step;

#[test]
fn readers_look_at_the_parents() {
    needs(Step::CheckParents, links::read_against_death);
}

#[test]
fn cascades_claim_only_children_of_their_very_parent() {
    needs(Step::CascadeComparesTies, links::cascade_against_reinsertion);
}

#[test]
fn parents_are_recycled_after_their_cascade() {
    needs(Step::CascadeBeforeRecycling, links::two_sweepers_and_a_remover);
}

#[test]
fn a_loader_must_look_whether_it_was_cancelled() {
    needs(Step::LoaderLooksForCancel, super::loading::load_against_removal);
}

#[test]
fn a_remover_must_kill_what_is_about_to_be_published() {
    needs(Step::RemoverKillsAnnounced, super::loading::load_against_removal);
}

#[test]
fn what_was_announced_is_confirmed_by_whoever_meets_it() {
    needs(Step::ConfirmAnnounced, super::rekey::rekey_against_removal);
}
