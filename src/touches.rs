//! Touches that the state words do not show yet: one small log per thread and cache.
//!
//! To touch an entry is a compare-and-swap on a line that often has just come from memory, and the
//! processor begins no further miss before it is done. So a lookup writes a record to its thread's
//! own log, and the thread brings the records into the state words later, many at once. The idea
//! is that of Caffeine's read buffers (Manes, "Design of a Modern Cache", 2016); but these lose
//! nothing, because whoever means to expire an entry *folds* all logs into the state words first.
//!
//! # Why no touch is lost
//! - A toucher loads `folds`, then the clock, finds the entry alive at that time, writes the
//!   record, passes a barrier, and loads `folds` again. If it changed, the record does not count,
//!   and the toucher exchanges the state word itself.
//! - A fold reads the clock, adds 1 to `folds`, passes a barrier, brings all records into the state
//!   words, and only then publishes the time that it read as `folded`.
//! - An entry is expired only if by its state word it is due at `folded`.
//!
//! So if a fold did not see the record of a touch that counts, the toucher had loaded `folds` after
//! the fold began, and then its clock was not before `folded`: an entry that is due at `folded` was
//! due for the toucher as well.
//!
//! The toucher's barrier is a compiler fence where the fold can make all threads pass one
//! ([`crate::reclaim::barrier`]); elsewhere nothing is logged, because a fence costs as much as
//! the exchange that it would save.
//!
//! Knows slot ids and ticks; what they stand for is the caller's business.

use crate::reclaim::barrier;
use crate::segments::{Geometry, SlotArray};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Step, TINY, Zeroed, broken};

#[cfg(all(test, loom))]
mod model;

/// Records in one log: enough for many misses to overlap, few enough to stay in the first cache.
const RECORDS: usize = if TINY { 1 } else { 31 };
/// Logs in the smallest array of them, as a power of two.
const FIRST_LOGS: u32 = 3;

/// The logs of one cache.
pub(crate) struct Touches {
    /// Folds that have begun.
    folds: AtomicU64,
    /// The time of the latest fold that has ended: no record of an earlier touch is left.
    folded: AtomicU64,
    logs: SlotArray<Log>,
}

/// The log of one thread: four cache lines.
#[repr(C, align(64))]
struct Log {
    /// Zero, or a touch. Written by the thread only.
    records: [AtomicU64; RECORDS],
    /// How many were written since the log was last empty. The thread's alone.
    len: AtomicU64,
}

// SAFETY: made of integers, for which zero is valid.
unsafe impl Zeroed for Log {
    #[cfg(any(loom, shuttle))]
    fn zeroed() -> Self {
        Log { records: std::array::from_fn(|_| AtomicU64::new(0)), len: AtomicU64::new(0) }
    }
}

/// One touch in one word, so that nobody reads half of it.
///
/// ```text
/// | tick : 36 | slot : 28 |
/// ```
/// It needs no generation: a slot is not recycled while its toucher is pinned, so an entry that
/// came later has a later tick already, and the record changes nothing.
#[derive(Clone, Copy)]
struct Record(u64);

const SLOT_BITS: u32 = 28;

impl Record {
    /// `None`: the slot's number is too large. Those above 268 million are touched directly.
    #[inline(always)]
    fn new(slot: u32, tick: u64) -> Option<Self> {
        (slot >> SLOT_BITS == 0).then_some(Record((tick << SLOT_BITS) | u64::from(slot)))
    }

    fn parts(self) -> (u32, u64) {
        ((self.0 as u32) & ((1 << SLOT_BITS) - 1), self.0 >> SLOT_BITS)
    }
}

/// What a toucher has seen before it read the clock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Folds(u64);

impl Touches {
    pub(crate) fn new() -> Self {
        Touches {
            folds: AtomicU64::new(0),
            folded: AtomicU64::new(0),
            logs: SlotArray::new(Geometry::starting_at(FIRST_LOGS)),
        }
    }

    /// A toucher's first step, before it reads the clock.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Folds {
        // Acquire: pairs with `fold`. Who sees its count reads the clock after it did.
        Folds(self.folds.load(Ordering::Acquire))
    }

    /// Logs a touch of an entry that was found alive, by the clock as read after `begin`, under a
    /// pin that holds. `false`: the caller has to touch it directly.
    #[inline(always)]
    pub(crate) fn record(&self, thread: u32, slot: u32, tick: u64, begun: Folds) -> bool {
        let (Some(log), Some(record)) = (self.log(thread), Record::new(slot, tick)) else {
            return false;
        };
        // Relaxed: nobody else writes it.
        let len = log.len.load(Ordering::Relaxed);
        let Some(place) = log.records.get(len as usize) else { return false };
        // Release: what the touch follows happened before for whoever brings it into the word.
        place.store(record.0, Ordering::Release);
        log.len.store(len + 1, Ordering::Relaxed);
        if !broken(Step::TouchBarrier) {
            barrier::light();
        }
        // Acquire: the toucher's half of the store-load pair in the module's documentation.
        broken(Step::TouchLooksAgain) || self.folds.load(Ordering::Acquire) == begun.0
    }

    /// Whether the thread's log, if it has one, takes no more records.
    pub(crate) fn is_full(&self, thread: u32) -> bool {
        // Relaxed: the thread's own.
        let has_room = |log: &Log| log.len.load(Ordering::Relaxed) < RECORDS as u64;
        !self.log(thread).is_some_and(has_room)
    }

    /// The log of a thread, if it has one.
    #[inline(always)]
    fn log(&self, thread: u32) -> Option<&Log> {
        self.logs.find(self.logs.geometry().nth(thread))
    }

    /// Brings the thread's own records into the state words through `apply(slot, tick)`, and makes
    /// room for others.
    pub(crate) fn drain(&self, thread: u32, mut apply: impl FnMut(u32, u64)) {
        let Some(log) = self.log(thread) else {
            let id = self.logs.geometry().nth(thread);
            if barrier::is_asymmetric() && self.logs.can_reach(id) {
                self.logs.reach(id);
            }
            return;
        };
        for place in &log.records[..log.len.load(Ordering::Relaxed) as usize] {
            let (slot, tick) = Record(place.load(Ordering::Relaxed)).parts();
            apply(slot, tick);
            // Release: a fold that finds nothing here sees the state word.
            place.store(0, Ordering::Release);
        }
        log.len.store(0, Ordering::Relaxed);
    }

    /// Brings the records of all threads into the state words. `now` reads the clock.
    pub(crate) fn fold(&self, now: impl FnOnce() -> u64, apply: impl FnMut(u32, u64)) {
        let now = now();
        // SeqCst: the fold's half of the store-load pair. Release: hands on that the clock was
        // read.
        self.folds.fetch_add(1, Ordering::SeqCst);
        if broken(Step::FoldedIsLast) {
            self.folded.fetch_max(now, Ordering::SeqCst);
        }
        barrier::heavy();
        self.read_all(apply);
        // Release: whoever sees the time sees the state words.
        self.folded.fetch_max(now, Ordering::SeqCst);
    }

    fn read_all(&self, mut apply: impl FnMut(u32, u64)) {
        for log in self.logs.all() {
            for place in &log.records {
                // Acquire: see `record` and `drain`.
                let record = place.load(Ordering::Acquire);
                if record != 0 {
                    let (slot, tick) = Record(record).parts();
                    apply(slot, tick);
                }
            }
        }
    }

    /// The time up to which state words tell all: an entry may be expired if it is due then.
    #[inline]
    pub(crate) fn folded(&self) -> u64 {
        // SeqCst: with `swept` of the wheel, which follows it. Acquire: see `fold`.
        self.folded.load(Ordering::SeqCst)
    }

    /// The latest tick that the logs have for a slot, or 0.
    pub(crate) fn latest(&self, wanted: u32) -> u64 {
        let mut latest = 0;
        self.read_all(|slot, tick| {
            if slot == wanted {
                latest = latest.max(tick);
            }
        });
        latest
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_slot_and_tick_and_refuses_large_slots() {
        let largest = (1 << SLOT_BITS) - 1;
        let record = Record::new(largest, (1 << 36) - 1).unwrap();
        assert_eq!(record.parts(), (largest, (1 << 36) - 1));
        assert!(Record::new(largest + 1, 0).is_none());
    }

    #[test]
    fn what_is_recorded_is_folded_until_it_is_drained() {
        let touches = Touches::new();
        assert!(!touches.record(2, 100, 7, touches.begin()), "there is no log yet");
        touches.drain(2, |_, _| unreachable!());
        if !barrier::is_asymmetric() {
            return;
        }
        assert!((0..RECORDS as u64).all(|n| touches.record(2, 100, 7 + n, touches.begin())));
        assert!(!touches.record(2, 100, 99, touches.begin()), "it is full");
        assert_eq!((touches.latest(100), touches.latest(101)), (6 + RECORDS as u64, 0));
        let mut seen = Vec::new();
        touches.fold(|| 5, |slot, tick| seen.push((slot, tick)));
        assert_eq!((seen.len(), seen[0], touches.folded()), (RECORDS, (100, 7), 5));
        let mut drained = Vec::new();
        touches.drain(2, |slot, tick| drained.push((slot, tick)));
        assert_eq!(drained, seen);
        touches.fold(|| 6, |_, _| panic!("nothing is left"));
        assert_eq!(touches.folded(), 6);
    }

    #[test]
    fn a_touch_that_a_fold_came_into_does_not_count() {
        let touches = Touches::new();
        touches.drain(0, |_, _| {});
        let begun = touches.begin();
        touches.fold(|| 1, |_, _| {});
        assert!(!touches.record(0, 100, 7, begun));
    }
}
