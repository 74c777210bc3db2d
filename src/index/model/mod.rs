//! Models of the index: every interleaving of a few operations on tiny tables.
//!
//! A scenario is data: a table with some keys in it, and what each thread does. The operations are
//! put together as the core does it, from fake slots ([`slots`]) that are reused as soon as a
//! grace period allows. [`rig`] checks what the threads saw, and the index at rest.
//!
//! `LOOM_MAX_PREEMPTIONS` overrides the bound of every scenario; `LOOM_COUNT=1` (with
//! `--nocapture`) prints how many executions each one took.

mod broken;
mod growth;
mod inserts;
mod moves;
mod removes;
mod rig;
mod slots;
mod stops;

use crate::sync::{Step, model};
use rig::Scene;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What a thread of a scenario does.
#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u32),
    Remove(u32),
    Get(u32),
    /// Begins a growth, or advances one by a few buckets and ends it when all are moved.
    Grow,
    /// The same, to a table of the same size.
    Rebuild,
    /// Stops the inserts that are under way, before their slots are live.
    Stop,
}

/// Keys. Their hash is the key without [`TWIN`], so a tag's lowest bit is set, as in [`reduce`].
///
/// [`reduce`]: super::reduce
const A: u32 = 0x0000_0001;
/// In the bucket of [`A`]. Readers start at the other word.
const B: u32 = 0x0000_0101;
/// In the bucket of [`A`].
const C: u32 = 0x0000_0021;
/// In the bucket of [`A`] until the table grows to two buckets.
const H: u32 = 0x8000_0001;
/// Another key with the hash of [`A`].
const A_TWIN: u32 = A | TWIN;
/// The bit of a key that its hash leaves out.
const TWIN: u32 = 0b10;

fn hash(key: u32) -> u32 {
    key & !TWIN
}

/// The bound of scenarios that take long: enough for a run of each on every change.
const SHORT: usize = 1;

/// Runs a scenario in all interleavings with at most `preemptions` preemptions.
///
/// Once for each thread as the first to run: loom remembers only the last access to an atomic, so
/// it does not see that a write also conflicts with another thread's read before its own read, and
/// what it explores depends on the order that it begins with.
fn explore(preemptions: usize, scene: Scene) {
    for first in 0..scene.threads.len() {
        let (count, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let counter = Arc::clone(&count);
        model::check(preemptions, move || {
            // Relaxed: a statistic, outside of the model.
            counter.fetch_add(1, Ordering::Relaxed);
            scene.run(first);
        });
        if std::env::var_os("LOOM_COUNT").is_some() {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            let count = count.load(Ordering::Relaxed);
            eprintln!(
                "{name} ({first}): {count} executions, {:.1} s",
                began.elapsed().as_secs_f32()
            );
        }
    }
}

/// Expects a scenario to fail once a step of the protocol is left out.
fn fails_without(step: Step, preemptions: usize, scene: Scene) {
    model::check_fails_without(step, preemptions, move || scene.run(0));
}
