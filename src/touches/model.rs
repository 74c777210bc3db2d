//! Models of the logs: touchers, expirers and a clock that moves between any two of their steps.
//!
//! [`World`] plays `core`'s part, on real state words. An entry that was touched at tick `t` is due
//! after `t + TIMEOUT`. What no touch may suffer is checked by a book outside of the model: an
//! entry that expired was not touched later than its state word says, and once a thread has missed
//! it, whoever knows of that misses it, too.

mod lives;
mod negative;
mod races;

use super::{Folds, Touches};
use crate::slab::{Flag, State};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Step, broken, model};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Plain;

/// In ticks; the clock shows ticks, too.
const TIMEOUT: u64 = 2;
/// When the entries were touched last.
const BORN: u64 = 1;
/// What the clock shows at the start.
const START: u64 = 2;
/// An entry is due by now, unless it was touched at [`START`].
const LATE: u64 = 4;
/// An entry that was touched at [`START`] is due as well.
const LATER: u64 = 5;
const SLOTS: usize = 2;
/// Threads that touch.
const LOGS: u32 = 2;

thread_local! {
    // loom runs all executions of a model on one OS thread.
    /// Which part of a scenario runs first, and how many there are.
    static FIRST: Cell<usize> = const { Cell::new(0) };
    static PARTS: Cell<usize> = const { Cell::new(1) };
    static EXECUTIONS: Cell<u64> = const { Cell::new(0) };
}

/// Runs a scenario in all interleavings: once for each part as the first one to run, because loom
/// misses some of them otherwise (see `link::model`).
fn explore(name: &str, preemptions: usize, scenario: fn()) {
    EXECUTIONS.set(0);
    let mut first = 0;
    while first < PARTS.get() {
        FIRST.set(first);
        model::check(preemptions, scenario);
        first += 1;
    }
    println!("{name}: {} executions", EXECUTIONS.get());
}

/// Entries, the logs of who touches them, and what an observer outside of the model knows.
struct World {
    touches: Touches,
    clock: AtomicU64,
    states: [AtomicU64; SLOTS],
    /// Whether a thread has reported that an entry is gone.
    missed: [AtomicBool; SLOTS],
    /// The time of the latest hit.
    hits: [Plain; SLOTS],
    /// As of which fold an entry expired.
    expired: [Plain; SLOTS],
}

impl World {
    fn new() -> Self {
        let world = World {
            touches: Touches::new(),
            clock: AtomicU64::new(START),
            states: std::array::from_fn(|_| AtomicU64::new(State::new(BORN, 1, Flag::Live).0)),
            missed: std::array::from_fn(|_| AtomicBool::new(false)),
            hits: Default::default(),
            expired: Default::default(),
        };
        // A thread's first touch, which makes its log.
        (0..LOGS).for_each(|thread| world.drain(thread));
        world
    }

    fn now(&self) -> u64 {
        // Relaxed: as the cached clock. What else a clock orders is not relied upon.
        self.clock.load(Ordering::Relaxed)
    }

    fn advance(&self, to: u64) {
        // Relaxed: see `now`. Maximum: it never goes back.
        self.clock.fetch_max(to, Ordering::Relaxed);
    }

    fn load(&self, slot: usize) -> State {
        // Acquire: as in the core.
        State(self.states[slot].load(Ordering::Acquire))
    }

    fn exchange(&self, slot: usize, from: State, to: State, order: Ordering) -> bool {
        self.states[slot].compare_exchange(from.0, to.0, order, Ordering::Acquire).is_ok()
    }

    /// As `Core::get`, with a touch.
    fn get(&self, thread: u32, slot: usize) {
        // Acquire: knows what the thread knew that has missed it.
        let was_missed = self.missed[slot].load(Ordering::Acquire);
        let early = broken(Step::ClockAfterFolds).then(|| self.now());
        let begun = self.touches.begin();
        let now = early.unwrap_or_else(|| self.now());
        let hit = self.glance(thread, slot, begun, now).unwrap_or_else(|| {
            // Mostly the log is full.
            self.drain(thread);
            self.find_and_touch(slot)
        });
        if let Some(now) = hit {
            assert!(!was_missed, "a hit at {now} after a miss");
            self.hits[slot].fetch_max(now, Ordering::Relaxed);
        } else {
            // Release: see above.
            self.missed[slot].store(true, Ordering::Release);
        }
    }

    /// As `Core::glance`: the time of a hit, or `Some(None)` for a miss. `None`: something else.
    fn glance(&self, thread: u32, slot: usize, begun: Folds, now: u64) -> Option<Option<u64>> {
        let state = self.load(slot);
        if !state.is(Flag::Live) {
            return Some(None);
        }
        let is_hit = !is_due(state, now)
            && (state.tick() >= now || self.touches.record(thread, slot as u32, now, begun));
        is_hit.then_some(Some(now))
    }

    /// As `Core::find_and_touch`: the time of a hit.
    fn find_and_touch(&self, slot: usize) -> Option<u64> {
        loop {
            let (state, now) = self.find(slot)?;
            let touched = state.with_tick(now.max(state.tick()));
            // AcqRel: as in `Core::change`.
            if state.tick() >= now || self.exchange(slot, state, touched, Ordering::AcqRel) {
                return Some(now);
            }
        }
    }

    /// As `Core::find`: an entry that is alive, and the time by which it is.
    fn find(&self, slot: usize) -> Option<(State, u64)> {
        loop {
            let now = self.now();
            let state = self.load(slot);
            if !state.is(Flag::Live) {
                return None;
            }
            if !is_due(state, now) {
                return Some((state, now));
            }
            if self.bury(slot, state, now) {
                return None;
            }
        }
    }

    /// As `Core::bury`, of an entry that is due at `now`. `false`: look again.
    fn bury(&self, slot: usize, state: State, now: u64) -> bool {
        let as_of = if broken(Step::ExpireAsOfFold) { now } else { self.touches.folded() };
        if !is_due(state, as_of) {
            self.fold();
            return false;
        }
        self.expire(slot, state, as_of)
    }

    /// As `Core::get`, without a touch.
    fn peek(&self, slot: usize) {
        // Acquire: as in `get`.
        let was_missed = self.missed[slot].load(Ordering::Acquire);
        let is_hit = self.find(slot).is_some();
        assert!(!is_hit || !was_missed, "a hit after a miss");
        if !is_hit {
            // Release: as in `get`.
            self.missed[slot].store(true, Ordering::Release);
        }
    }

    /// As `Core::walk_wheel`.
    fn sweep(&self) {
        let now = self.now();
        if !broken(Step::ExpireAsOfFold) {
            self.fold();
            assert!(self.touches.folded() >= now, "the sweep goes further than the fold");
        }
        for slot in 0..SLOTS {
            let mut state = self.load(slot);
            // Again when a touch comes between.
            while state.is(Flag::Live) && is_due(state, now) && !self.expire(slot, state, now) {
                state = self.load(slot);
            }
        }
    }

    /// As `Core::claim`, of an entry that is due as of a fold.
    fn expire(&self, slot: usize, state: State, as_of: u64) -> bool {
        // SeqCst: as in the core.
        let dead = self.exchange(slot, state, state.with_flag(Flag::Dead), Ordering::SeqCst);
        if dead {
            self.expired[slot].store(as_of, Ordering::Relaxed);
        }
        dead
    }

    fn fold(&self) {
        self.touches.fold(|| self.now(), |slot, tick| self.apply(slot, tick));
    }

    fn drain(&self, thread: u32) {
        self.touches.drain(thread, |slot, tick| self.apply(slot, tick));
    }

    /// As `Core::apply_touch`.
    fn apply(&self, slot: u32, tick: u64) {
        let slot = slot as usize;
        loop {
            let state = self.load(slot);
            let is_stale = !state.is(Flag::Live) || state.tick() >= tick;
            // AcqRel: as in `Core::change`.
            if is_stale || self.exchange(slot, state, state.with_tick(tick), Ordering::AcqRel) {
                return;
            }
        }
    }

    /// At rest: no touch was lost that counts, and nothing expired before its time.
    fn check(&self) {
        let hits = |slot: usize| self.hits[slot].load(Ordering::Relaxed);
        for slot in 0..SLOTS {
            let state = self.load(slot);
            let logged = self.touches.latest(slot as u32).max(state.tick());
            assert!(!state.is(Flag::Live) || logged >= hits(slot), "lost: {state:?}");
        }
        self.fold();
        for slot in 0..SLOTS {
            let state = self.load(slot);
            assert!(state.tick() >= hits(slot), "lost: {state:?}, hit at {}", hits(slot));
            let as_of = self.expired[slot].load(Ordering::Relaxed);
            assert!(state.is(Flag::Live) || is_due(state, as_of), "too early: {state:?}");
            assert!(as_of <= self.now(), "as of the future: {state:?}");
        }
        (0..LOGS).for_each(|thread| self.drain(thread));
        self.touches.fold(|| self.now(), |slot, _| panic!("never drained: {slot}"));
        EXECUTIONS.set(EXECUTIONS.get() + 1);
    }
}

/// Whether an entry is past its deadline.
fn is_due(state: State, now: u64) -> bool {
    now > state.tick() + TIMEOUT
}

/// One thread of a scenario.
type Play<W> = Box<dyn FnOnce(&W) + Send>;

/// Boxes a thread's part.
fn play<W>(part: impl FnOnce(&W) + Send + 'static) -> Play<W> {
    Box::new(part)
}

/// Runs all parts at once and waits for them.
fn race<W: Send + Sync + 'static, const N: usize>(world: W, mut parts: [Play<W>; N]) -> Arc<W> {
    PARTS.set(N);
    parts.rotate_left(FIRST.get());
    let world = Arc::new(world);
    let mut parts = parts.into_iter();
    let first = parts.next().expect("there is one");
    let others = parts.map(|part| {
        let world = Arc::clone(&world);
        loom::thread::spawn(move || part(&world))
    });
    let others: Vec<_> = others.collect();
    first(&world);
    others.into_iter().for_each(|other| other.join().expect("the part panicked"));
    world
}
