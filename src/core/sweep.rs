//! Sweeping: expire what is due, then erase what waits.

use super::Core;
use super::erase::PATIENT;
use crate::reclaim::pin;
use crate::wheel::{Budget, Walk};
use std::time::{Duration, Instant};

/// Visits under one pin: a long sweep must not hold back the epoch.
const SLICE: u64 = 4096;
/// The clock is read once in so many steps.
const STEPS_PER_CLOCK_READ: u64 = 32;

/// How much one sweep may do.
pub(crate) struct Allowance {
    visits: u64,
    time: Option<Duration>,
    start: Instant,
    steps: u64,
    over: bool,
}

impl Allowance {
    pub(crate) fn new(visits: u64, time: Option<Duration>) -> Self {
        Allowance { visits, time, start: Instant::now(), steps: 0, over: false }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether there is time for another step.
    fn has_time(&mut self) -> bool {
        let Some(time) = self.time else { return true };
        if !self.over && self.steps.is_multiple_of(STEPS_PER_CLOCK_READ) {
            self.over = self.elapsed() >= time;
        }
        self.steps += 1;
        !self.over
    }
}

/// One slice of a sweep.
struct Slice<'a> {
    allowance: &'a mut Allowance,
    /// Visits allowed in this slice.
    visits: u64,
}

impl Budget for Slice<'_> {
    fn proceed(&mut self, visited: u64) -> bool {
        visited < self.visits && self.allowance.has_time()
    }
}

/// What a sweep did; times in nanoseconds of the cache.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Report {
    pub(crate) walk: Walk,
    pub(crate) reclaimed: u64,
    pub(crate) elapsed: Duration,
    pub(crate) more: bool,
    pub(crate) next_due: Option<Duration>,
}

impl<K, V, S> Core<K, V, S> {
    pub(crate) fn sweep(&self, mut allowance: Allowance) -> Report {
        let mut report = Report::default();
        let now = self.now();
        loop {
            let left = allowance.visits - report.walk.visited.min(allowance.visits);
            let mut slice = Slice { allowance: &mut allowance, visits: left.min(SLICE) };
            let pin = pin();
            let walk = self.wheel.sweep(self, now, &mut slice);
            drop(pin);
            report.walk.visited += walk.visited;
            report.walk.expired += walk.expired;
            report.walk.survivors += walk.survivors;
            report.walk.buckets += walk.buckets;
            report.walk.more = walk.more;
            if !walk.more || allowance.over || report.walk.visited >= allowance.visits {
                break;
            }
        }
        self.index.assist_all(self, &pin());
        let reclaimed = self.reclaim(PATIENT, &mut || allowance.has_time());
        report.reclaimed = reclaimed.count;
        report.more = report.walk.more || reclaimed.more;
        report.next_due =
            self.wheel.next_due().map(|due| Duration::from_nanos(due.saturating_sub(now)));
        report.elapsed = allowance.elapsed();
        report
    }

    /// Drops what was removed, as far as no reader can see it any more.
    pub(crate) fn flush(&self) -> super::erase::Reclaimed {
        self.reclaim(PATIENT, &mut || true)
    }
}
