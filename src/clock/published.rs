//! The time that an upkeep publishes, and for whom: words that anybody reads without waiting.

use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The published time, in one word.
///
/// ```text
/// | nanoseconds, the low 6 bits cut off : 58 | promise : 6 |
/// ```
/// The promise is the power of two of nanoseconds within which the next time follows. So who reads
/// the word knows by how much it may be behind, as long as the upkeep gets to run.
///
/// On lines of its own: all threads read it, and it is written a few times a second.
pub(super) struct Published(CachePadded<AtomicU64>);

const PROMISE: u64 = 63;
/// The promise of nobody: longer than half of any tick.
const NOBODY: u64 = PROMISE;

impl Published {
    pub(super) const fn new() -> Self {
        Published(CachePadded::new(AtomicU64::new(NOBODY)))
    }

    /// The time, if the next one follows within half a tick of 2^`shift` nanoseconds.
    #[inline(always)]
    pub(super) fn read(&self, shift: u32) -> Option<u64> {
        // Relaxed: time and promise are one word, and the time orders nothing else. Partner:
        // `publish`, `freshen`, `clear`. An old word is an early clock.
        let word = self.0.load(Ordering::Relaxed);
        // `promise <= shift - 1`: half of the tick.
        (word & PROMISE < u64::from(shift)).then_some(word & !PROMISE)
    }

    /// Publishes the time, or a later one that a sweep has published, with a promise.
    pub(super) fn publish(&self, time: u64, promise: u32) {
        let next = |word| Some(word_of(latest(word, time), promise.into()));
        // Relaxed: see `read`. An exchange, so that a sweep's later time stays.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Publishes a later time under the promise that stands, if there is one.
    pub(super) fn freshen(&self, time: u64) {
        let next = |word| {
            let is_later = word & PROMISE != NOBODY && time & !PROMISE > word & !PROMISE;
            is_later.then(|| word_of(time, word & PROMISE))
        };
        // Relaxed: see `read`. An exchange, so that nothing is published after `clear`.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Nobody publishes any more. Safe in a signal handler.
    pub(super) fn clear(&self) {
        // Relaxed: see `read`. Who reads the old word for a moment longer reads a time as fresh as
        // it was promised.
        self.0.store(NOBODY, Ordering::Relaxed);
    }

    /// Whether caches with this tick are served already.
    pub(super) fn serves(&self, shift: u32) -> bool {
        self.read(shift).is_some()
    }

    pub(super) fn is_kept(&self) -> bool {
        self.serves(PROMISE as u32)
    }
}

fn word_of(time: u64, promise: u64) -> u64 {
    time & !PROMISE | promise
}

fn latest(word: u64, time: u64) -> u64 {
    if word & PROMISE == NOBODY { time } else { time.max(word & !PROMISE) }
}

/// The finest ticks that are served: 2^23 ns, so that the upkeep sleeps 2.1 ms.
pub(super) const FINEST_TICK: u32 = 23;
/// The coarsest ticks that make a difference: the upkeep sleeps 0.54 s.
const COARSEST_TICK: u32 = 31;

/// How many caches with which ticks read the published time.
pub(super) struct Ticks([AtomicU32; (COARSEST_TICK - FINEST_TICK + 1) as usize]);

impl Ticks {
    pub(super) const fn new() -> Self {
        Ticks([const { AtomicU32::new(0) }; (COARSEST_TICK - FINEST_TICK + 1) as usize])
    }

    fn of(&self, shift: u32) -> &AtomicU32 {
        &self.0[(shift.clamp(FINEST_TICK, COARSEST_TICK) - FINEST_TICK) as usize]
    }

    pub(super) fn raise(&self, shift: u32) {
        // Relaxed: a count. Partner: `promise`; what has to see it is notified under a lock.
        self.of(shift).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lower(&self, shift: u32) {
        // Relaxed: a count. Partner: `promise`, which may promise too much for a while.
        self.of(shift).fetch_sub(1, Ordering::Relaxed);
    }

    /// The promise that serves all of them: half of the finest tick.
    pub(super) fn promise(&self) -> u32 {
        // Relaxed: counts. Partners: `raise`, `lower`.
        let is_used = |count: &AtomicU32| count.load(Ordering::Relaxed) > 0;
        let finest = self.0.iter().position(is_used);
        finest.map_or(COARSEST_TICK, |at| FINEST_TICK + at as u32) - 1
    }
}
