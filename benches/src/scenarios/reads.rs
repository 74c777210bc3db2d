//! Lookups that all hit and touch.

use super::{Case, Scale, cases, parallel, timed};
use crate::loads::{text, uniform, zipf};
use crate::peers::{Key, Subject, Value};
use crate::time::Coarse;
use std::hint::black_box;
use std::sync::Arc;

/// Lookups under one pin.
const BATCH: usize = 16;

pub(super) fn hot(scale: &Scale, threads: usize) -> Vec<Case> {
    let entries = scale.entries(10_000);
    on_numbers(entries, zipf(entries as usize, 0.99, scale.hot_lookups, 1), threads)
}

pub(super) fn one_key(scale: &Scale, threads: usize) -> Vec<Case> {
    on_numbers(scale.entries(10_000), vec![3; scale.hot_lookups], threads)
}

pub(super) fn cold(scale: &Scale, threads: usize) -> Vec<Case> {
    let entries = scale.entries(1_000_000);
    on_numbers(entries, uniform(entries, scale.cold_lookups, 2), threads)
}

fn on_numbers(entries: u64, keys: Vec<u64>, threads: usize) -> Vec<Case> {
    let (filling, keys): (Arc<[u64]>, Arc<[u64]>) = ((0..entries).collect(), keys.into());
    let value = |key: &u64| *key;
    let read = |value: &u64| *value;
    cases!(all, lookups::<u64, u64, Coarse>(&filling, value, &keys, read, threads))
}

pub(super) fn strings(scale: &Scale) -> Vec<Case> {
    let entries = scale.entries(100_000);
    let filling: Arc<[String]> = (0..entries).map(text).collect();
    let keys = uniform(entries, scale.cold_lookups / 2, 4);
    let keys: Arc<[String]> = keys.into_iter().map(text).collect();
    let value = |key: &String| Arc::new(key.len() as u64);
    let read = |value: &Arc<u64>| **value;
    cases!(all, lookups::<String, Arc<u64>, Coarse>(&filling, value, &keys, read, 1))
}

fn filled<S: Subject<Time = Coarse>>(keys: &[S::Key], value: impl Fn(&S::Key) -> S::Value) -> S {
    let subject = S::new(&Coarse, keys.len());
    keys.iter().for_each(|key| subject.insert(key.clone(), value(key)));
    subject.flush();
    subject
}

/// Of several threads each begins at another place of the keys.
fn lookups<S: Subject<Time = Coarse>>(
    filling: &Arc<[S::Key]>,
    value: impl Fn(&S::Key) -> S::Value,
    keys: &Arc<[S::Key]>,
    read: impl Fn(&S::Value) -> u64 + Copy + Send + Sync + 'static,
    threads: usize,
) -> Case
where
    S::Key: Key,
    S::Value: Value,
{
    let subject: S = filled(filling, value);
    let keys = Arc::clone(keys);
    let each = if threads <= 2 { keys.len() } else { 2 * keys.len() / threads };
    Case::per_op(S::NAME, (each * threads) as u64, move || {
        parallel(threads, |thread| {
            let (front, back) = keys.split_at(thread * keys.len() / threads);
            let one = |key| subject.get(key).map_or(0, |value| read(&value));
            let sum: u64 = back.iter().chain(front).take(each).map(one).sum();
            black_box(sum);
        })
    })
}

pub(super) fn hot_batches(scale: &Scale) -> Vec<Case> {
    let entries = scale.entries(10_000);
    batches(entries, zipf(entries as usize, 0.99, scale.hot_lookups, 1))
}

pub(super) fn cold_batches(scale: &Scale) -> Vec<Case> {
    let entries = scale.entries(1_000_000);
    batches(entries, uniform(entries, scale.cold_lookups, 2))
}

fn batches(entries: u64, keys: Vec<u64>) -> Vec<Case> {
    let (filling, keys): (Arc<[u64]>, Arc<[u64]>) = ((0..entries).collect(), keys.into());
    cases!(all, in_batches::<u64, u64, Coarse>(&filling, &keys))
}

fn in_batches<S: Subject<Key = u64, Value = u64, Time = Coarse>>(
    filling: &Arc<[u64]>,
    keys: &Arc<[u64]>,
) -> Case {
    let subject: S = filled(filling, |key| *key);
    let keys = Arc::clone(keys);
    Case::per_op(S::NAME, keys.len() as u64, move || {
        timed(|| {
            let mut sum = 0;
            for batch in keys.chunks(BATCH) {
                subject.get_batch(batch, |value| sum += value);
            }
            black_box(sum);
        })
    })
}
