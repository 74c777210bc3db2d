//! 90 % lookups, 5 % inserts, 5 % removals, on few keys.

use super::{Case, Scale, cases, parallel};
use crate::loads::{Random, zipf};
use crate::peers::Subject;
use crate::time::Coarse;
use std::hint::black_box;
use std::sync::Arc;

#[derive(Clone, Copy)]
enum Op {
    Get(u64),
    Insert(u64),
    Remove(u64),
}

pub(super) fn hot(scale: &Scale, threads: usize) -> Vec<Case> {
    let entries = scale.entries(10_000);
    let mut random = Random::new(5);
    let op = |key| match random.next_u64() % 20 {
        0 => Op::Insert(key),
        1 => Op::Remove(key),
        _ => Op::Get(key),
    };
    let keys = zipf(entries as usize, 0.99, scale.hot_lookups, 1);
    let ops: Arc<[Op]> = keys.into_iter().map(op).collect();
    cases!(all, mixed::<u64, u64, Coarse>(&ops, entries, threads))
}

fn mixed<S: Subject<Key = u64, Value = u64, Time = Coarse>>(
    ops: &Arc<[Op]>,
    entries: u64,
    threads: usize,
) -> Case {
    let subject = S::new(&Coarse, entries as usize);
    (0..entries).for_each(|key| subject.insert(key, key));
    let ops = Arc::clone(ops);
    Case::per_op(S::NAME, (ops.len() * threads) as u64, move || {
        parallel(threads, |thread| {
            let (front, back) = ops.split_at(thread * ops.len() / threads);
            let mut sum = 0;
            for op in back.iter().chain(front) {
                match *op {
                    Op::Get(key) => sum += subject.get(&key).unwrap_or(0),
                    Op::Insert(key) => subject.insert(key, key),
                    Op::Remove(key) => subject.remove(&key),
                }
            }
            black_box(sum);
        })
    })
}
