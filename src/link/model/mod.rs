//! Models of the links: every interleaving of a few operations on a family of tiny caches.
//!
//! A scenario is data: what is there at the start, and what each thread does. The operations are
//! put together as the core does it, from fake slots ([`slots`]) that are reused as soon as a grace
//! period allows. [`books`] knows what must not happen: a hit on an entry after a thread knew one
//! above it to be dead, a removal by a cascade under a living parent, two removals of one entry.
//! [`rig`] checks what is left at rest: no live orphan, no lost node, no lost slot.
//!
//! Clocks are constants, one per operation. Entries at the top are due [`TIMEOUT`] after their last
//! touch; all others live until they are removed, or their parent is dead.
//!
//! `LOOM_MAX_PREEMPTIONS` overrides the bound of every scenario; `LOOM_COUNT=1` (with
//! `--nocapture`) prints how many executions each one took.

mod books;
mod broken;
mod cache;
mod chain;
mod death;
mod lists;
mod reads;
mod reinsertion;
mod rig;
mod slots;
mod sweepers;
mod worker;

use super::Incarnation;
use crate::slab::FIRST_ID;
use crate::sync::{Step, model};
use rig::Scene;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A key in one of the caches. Level 0 is the top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct At {
    level: usize,
    key: u32,
}

impl At {
    /// Whether an entry is in its parent's list, because their keys differ.
    fn is_listed(self) -> bool {
        self.level > 0 && self.key != SAME
    }
}

/// What a thread of a scenario does.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// At [`EARLY`].
    Get(At),
    /// At [`LATE`].
    GetLate(At),
    /// At [`MIDDLE`].
    Touch(At),
    /// The same, and touches those above it.
    TouchUp(At),
    /// As a child of the parent that is there then.
    Insert(At),
    Remove(At),
    /// Lists the children on a level, of the parent that is there then.
    List(usize),
    /// Cuts dead children out of the list of the first parent.
    Prune,
    Sweep,
    /// Expires what is due at [`LATE`], too.
    SweepLate,
    /// The same, under one pin: as if a fresh pin were no fence, which nobody promises.
    SweepUnderOnePin,
    /// Hands on what the thread knows, by a flag.
    Tell,
    Listen,
}

/// Time after which an entry at the top is due.
const TIMEOUT: u64 = 4;
/// When entries are inserted.
const EARLY: u64 = 0;
/// An entry touched now is not due at [`LATE`].
const MIDDLE: u64 = 3;
/// When what was not touched is due.
const LATE: u64 = 5;

/// The key of all parents, and of children that have the key of their parent.
const SAME: u32 = 0x0000_0001;

const PARENT: At = At { level: 0, key: SAME };
const CHILD: At = At { level: 1, key: SAME };
/// Children in their parent's list.
const LISTED: At = At { level: 1, key: 0x0000_0101 };
const OTHER: At = At { level: 1, key: 0x0000_0021 };
/// Children of [`CHILD`].
const LEAF: At = At { level: 2, key: SAME };
const LISTED_LEAF: At = At { level: 2, key: 0x0000_0101 };

/// The first parent that a scenario inserts.
const FIRST: Incarnation = Incarnation { slot: FIRST_ID, generation: 1 };

fn hash(key: u32) -> u32 {
    key
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
            let took = began.elapsed().as_secs_f32();
            eprintln!("{name} ({first}): {count} executions, {took:.1} s");
        }
    }
}

/// Expects a scenario to fail once a step of the protocol is left out.
fn fails_without(step: Step, preemptions: usize, scene: Scene) {
    model::check_fails_without(step, preemptions, move || scene.run(0));
}
