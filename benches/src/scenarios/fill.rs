//! Inserts into an empty map, growth included.

use super::{Case, Scale, cases, micros, timed};
use crate::peers::Subject;
use crate::time::Coarse;
use std::time::Duration;

pub(super) fn fill(scale: &Scale) -> Vec<Case> {
    cases!(all, whole::<u64, u64, Coarse>(scale.entries(1_000_000)))
}

pub(super) fn longest(scale: &Scale) -> Vec<Case> {
    cases!(all, single::<u64, u64, Coarse>(scale.entries(1_000_000)))
}

fn whole<S: Subject<Key = u64, Value = u64, Time = Coarse>>(entries: u64) -> Case {
    Case::per_op(S::NAME, entries, move || {
        let subject = S::new(&Coarse, entries as usize);
        timed(|| (0..entries).for_each(|key| subject.insert(key, key)))
    })
}

fn single<S: Subject<Key = u64, Value = u64, Time = Coarse>>(entries: u64) -> Case {
    Case::of(S::NAME, move || {
        let subject = S::new(&Coarse, entries as usize);
        let insert = |key| timed(|| subject.insert(key, key));
        vec![micros((0..entries).map(insert).max().unwrap_or(Duration::ZERO))]
    })
}
