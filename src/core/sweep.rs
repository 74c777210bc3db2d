//! Sweeping: expire what is due, then erase what waits; for all caches of a family.

use super::Core;
use super::batch::Reclaimed;
use crate::link::{Member, Sweepable};
use crate::reclaim::{Patience, pin};
use crate::wheel::{Budget, Walk};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Visits under one pin: a long sweep must not hold back grace periods.
const SLICE: u64 = 4096;
/// The clock is read once in so many steps.
const STEPS_PER_CLOCK_READ: u64 = 32;

/// How much one sweep may do. Visits, children and drops are counted apart, so that none of them
/// is left nothing.
pub(crate) struct Allowance {
    /// Visits that are left.
    visits: u64,
    /// Children that may still be claimed because their parents died.
    children: u64,
    /// Slots that may still be erased.
    drops: u64,
    time: Option<Duration>,
    start: Instant,
    steps: u64,
    over: bool,
    /// Children that were claimed.
    orphaned: u64,
}

impl Allowance {
    /// So much of each kind of work.
    pub(crate) fn new(work: u64, time: Option<Duration>) -> Self {
        Allowance {
            visits: work,
            children: work,
            drops: work,
            time,
            start: Instant::now(),
            steps: 0,
            over: false,
            orphaned: 0,
        }
    }

    pub(crate) fn unlimited() -> Self {
        Self::new(u64::MAX, None)
    }

    /// That of a writer, which sweeps nothing.
    pub(crate) fn of_writer(drops: u64, children: u64) -> Self {
        Allowance { drops, children, ..Self::new(0, None) }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether there is time for another step.
    pub(crate) fn has_time(&mut self) -> bool {
        let Some(time) = self.time else { return true };
        if !self.over && self.steps.is_multiple_of(STEPS_PER_CLOCK_READ) {
            self.over = self.elapsed() >= time;
        }
        self.steps += 1;
        !self.over
    }

    /// Whether another child may be claimed.
    pub(crate) fn may_cascade(&mut self) -> bool {
        self.children > 0 && self.has_time()
    }

    /// A cascade has visited a child, and claimed it or not.
    pub(crate) fn cascaded(&mut self, claimed: bool) {
        if claimed {
            self.orphaned += 1;
            self.children = self.children.saturating_sub(1);
        }
    }

    /// Whether another slot may be erased.
    pub(crate) fn may_drop(&mut self) -> bool {
        self.drops > 0 && self.has_time()
    }

    /// A slot was erased.
    pub(crate) fn dropped(&mut self) {
        self.drops = self.drops.saturating_sub(1);
    }
}

/// One slice of a walk.
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

/// What a sweep did.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Report {
    pub(crate) walk: Walk,
    pub(crate) cascaded: u64,
    pub(crate) reclaimed: u64,
    pub(crate) elapsed: Duration,
    pub(crate) more: bool,
    pub(crate) next_due: Option<Duration>,
}

impl<K, V, S> Core<K, V, S> {
    /// Sweeps this cache and all that it is linked with, parents first: so what dies in one is
    /// cascaded, and then erased, in those that follow.
    pub(crate) fn sweep(&self, mut allowance: Allowance) -> Report {
        let mut report = Report::default();
        self.clock.freshen();
        self.for_family(|cache| cache.expire_due(&mut allowance, &mut report));
        self.for_family(|cache| {
            let reclaimed = cache.reclaim_within(&mut allowance);
            report.reclaimed += reclaimed.count;
            report.more |= reclaimed.more;
        });
        report.cascaded = allowance.orphaned;
        report.walk.visited += allowance.orphaned;
        report.more |= report.walk.more;
        report.elapsed = allowance.elapsed();
        self.telemetry.swept(&report);
        #[cfg(feature = "metrics")]
        self.for_family(|cache| cache.publish());
        report
    }

    /// Drops what was removed in this cache and all that it is linked with, as far as no reader can
    /// see it any more, and waits for what other threads are dropping. Returns the number of slots.
    pub(crate) fn flush(&self) -> u64 {
        let (mut count, mut allowance) = (0, Allowance::unlimited());
        self.for_family(|cache| {
            count += cache.reclaim_within(&mut allowance).count;
            if cache.wait_for_droppers() {
                // What they left because another thread was at a part of it.
                count += cache.reclaim_within(&mut allowance).count;
            }
        });
        count
    }

    /// Calls `each` with every cache of the family, parents first.
    fn for_family(&self, mut each: impl FnMut(&dyn Sweepable)) {
        let root = self.root();
        let below = root.as_ref().map_or(&self.descendants, |root| root.descendants()).all();
        match &root {
            Some(root) => each(&**root),
            None => each(self),
        }
        below.iter().for_each(|cache: &Arc<dyn Member>| each(&**cache));
    }

    /// Expires what is due in this cache.
    pub(super) fn walk_wheel(&self, allowance: &mut Allowance, report: &mut Report) {
        let (start, before) = (allowance.elapsed(), report.walk);
        let now = self.now();
        let more = loop {
            let visits = allowance.visits.min(SLICE);
            let mut slice = Slice { allowance, visits };
            let pin = pin();
            let walk = self.wheel.sweep(self, now, &mut slice);
            drop(pin);
            allowance.visits = allowance.visits.saturating_sub(walk.visited);
            report.walk.visited += walk.visited;
            report.walk.expired += walk.expired;
            report.walk.survivors += walk.survivors;
            report.walk.buckets += walk.buckets;
            if !walk.more || allowance.over || allowance.visits == 0 {
                break walk.more;
            }
        };
        report.walk.more |= more;
        self.index.assist_all(self, &pin());
        let due = self.wheel.next_due().map(|due| Duration::from_nanos(due.saturating_sub(now)));
        report.next_due = [report.next_due, due].into_iter().flatten().min();
        self.ledger.swept(
            report.walk.expired - before.expired,
            report.walk.survivors - before.survivors,
            allowance.elapsed() - start,
        );
    }
}

impl<K, V, S> Sweepable for Core<K, V, S> {
    fn expire_due(&self, allowance: &mut Allowance, report: &mut Report) {
        self.walk_wheel(allowance, report);
    }

    fn reclaim_within(&self, allowance: &mut Allowance) -> Reclaimed {
        self.reclaim(Patience::Turns, allowance)
    }

    fn wait_for_droppers(&self) -> bool {
        Core::wait_for_droppers(self)
    }

    #[cfg(feature = "metrics")]
    fn publish(&self) {
        self.telemetry.publish(&self.stats());
    }
}
