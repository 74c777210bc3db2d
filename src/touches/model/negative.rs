//! Every step of the protocol is needed: without it some touch is lost.

use super::{lives, races};
use crate::sync::model::needed;

needed! {
    a_record_needs_a_barrier: TouchBarrier in races::a_toucher_and_an_expirer;
    a_toucher_needs_to_look_again: TouchLooksAgain in races::a_toucher_and_an_expirer;
    the_clock_needs_to_come_after_the_folds:
        ClockAfterFolds in races::a_toucher_and_an_expirer_while_time_passes;
    an_expirer_needs_a_fold: ExpireAsOfFold in races::a_toucher_and_an_expirer;
    a_fold_needs_to_be_published_last:
        FoldedIsLast in races::a_toucher_and_an_expirer_that_relies_on_another;
    a_slot_needs_a_grace_period: Grace in lives::a_slot_that_is_used_again;
}
