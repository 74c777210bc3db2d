//! Scenarios in every interleaving with at most so many preemptions (`LOOM_MAX_PREEMPTIONS`), and
//! with every value that a load may return by the C11 memory model.

use super::Part;
use crate::sync::model::check;
use loom::cell::UnsafeCell;
use loom::thread::JoinHandle;
use std::cell::Cell;

/// Preemptions, unless the environment says otherwise.
const PREEMPTIONS: usize = 1;

thread_local! {
    // loom runs all executions of a model on one OS thread.
    /// Which part of a scenario runs first, and how many there are.
    static FIRST: Cell<usize> = const { Cell::new(0) };
    static PARTS: Cell<usize> = const { Cell::new(1) };
    static EXECUTIONS: Cell<u64> = const { Cell::new(0) };
}

/// Runs a model of one thread.
pub(super) fn once(f: impl Fn() + Sync + Send + 'static) {
    check(0, f);
}

/// Runs a scenario in all interleavings: once for each part as the first one to run, because loom
/// misses some of them otherwise (see `link::model`).
pub(super) fn explore(scenario: impl Fn() + Clone + Sync + Send + 'static) {
    let began = std::time::Instant::now();
    EXECUTIONS.set(0);
    let mut first = 0;
    while first < PARTS.get() {
        FIRST.set(first);
        check(PREEMPTIONS, scenario.clone());
        first += 1;
    }
    println!("{} executions, {:.1} s", EXECUTIONS.get(), began.elapsed().as_secs_f32());
}

/// What a value says: loom reports whoever reads it without having it from the writer.
pub(super) struct Number(UnsafeCell<u32>);

// SAFETY: written once, by `new`.
unsafe impl Sync for Number {}

impl Number {
    pub(super) fn new(number: u32) -> Self {
        Number(UnsafeCell::new(number))
    }

    pub(super) fn get(&self) -> u32 {
        // SAFETY: a copy; loom reports a race.
        self.0.with(|number| unsafe { *number })
    }
}

/// Starts the parts of a scenario.
pub(super) fn spawn_all(mut parts: Vec<Part>) -> Vec<JoinHandle<()>> {
    EXECUTIONS.set(EXECUTIONS.get() + 1);
    PARTS.set(parts.len());
    parts.rotate_left(FIRST.get());
    parts.into_iter().map(loom::thread::spawn).collect()
}
