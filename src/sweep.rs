//! What a sweep may do, and what it did.

use std::time::Duration;

/// Bounds one sweep; for [`Cache::sweep_within`](crate::Cache::sweep_within).
///
/// ```
/// use idlewheel::{Cache, SweepBudget};
/// use std::time::Duration;
///
/// let cache: Cache<u32, u32> = Cache::new();
/// let report = cache.sweep_within(SweepBudget::visits(1000).and_time(Duration::from_millis(1)));
/// assert!(!report.more);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepBudget {
    pub(crate) visits: u64,
    pub(crate) time: Option<Duration>,
}

impl SweepBudget {
    /// No bound.
    #[must_use]
    pub const fn unlimited() -> Self {
        SweepBudget { visits: u64::MAX, time: None }
    }

    /// At most so many entries visited for their age, so many children removed because their parents
    /// died, and so many slots whose values are dropped: each kind of work has this budget for
    /// itself, so none of them keeps the others waiting. (After a gap between sweeps of more than
    /// 3/4 of the shortest timeout, up to 63 survivors more.)
    #[must_use]
    pub const fn visits(visits: u64) -> Self {
        SweepBudget { visits, time: None }
    }

    /// About so long: the clock is read once in 32 entries.
    #[must_use]
    pub const fn time(time: Duration) -> Self {
        SweepBudget { visits: u64::MAX, time: Some(time) }
    }

    /// This bound, and a time.
    #[must_use]
    pub const fn and_time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}

/// What a sweep did, in all caches of a family that are linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Entries that this sweep expired.
    pub expired: u64,
    /// Children that it removed because their parents died.
    pub cascaded: u64,
    /// Entries that it looked at: the expired and the cascaded ones, survivors, and one per race
    /// lost to an operation on another thread.
    pub visited: u64,
    /// Entries that it looked at before their time. Zero as long as sweeps start at most 3/4 of
    /// the shortest timeout apart.
    pub survivors: u64,
    /// Wheel buckets that it passed: at most 256 per level in use, however long the last sweep is
    /// ago.
    pub buckets: u64,
    /// Slots whose removed or replaced values it dropped, whoever removed them.
    pub reclaimed: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Something is left to do now: the budget ended, or readers still see removed values.
    pub more: bool,
    /// How long until the next sweep may find something to expire: never too long, perhaps too
    /// short. `None`: nothing in the cache expires.
    pub next_due: Option<Duration>,
}
