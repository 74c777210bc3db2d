//! Accounting: every insertion ends in exactly one removal with exactly one cause.

use crate::lag::{Lag, LagCounter, LagTally};
use crate::sync::atomic::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::time::Duration;

/// Why an entry, or a value of it, left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// Nobody touched it for its idle timeout.
    Idle,
    /// Its absolute timeout passed.
    Absolute,
    /// It was removed, taken or cleared.
    Explicit,
    /// Another value took its place.
    Replaced,
    /// It had to make room.
    Capacity,
    /// Its parent died.
    Cascade,
    /// The cache was dropped.
    Dropped,
}

impl RemovalCause {
    /// All of them, in the order of their numbers.
    const ALL: [RemovalCause; CAUSES] = [
        RemovalCause::Idle,
        RemovalCause::Absolute,
        RemovalCause::Explicit,
        RemovalCause::Replaced,
        RemovalCause::Capacity,
        RemovalCause::Cascade,
        RemovalCause::Dropped,
    ];

    /// A number from 1 to 7.
    #[inline(always)]
    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The cause that has a code; `None` for 0.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Whether a deadline has passed.
    #[inline(always)]
    pub(crate) fn is_expiry(self) -> bool {
        matches!(self, RemovalCause::Idle | RemovalCause::Absolute)
    }
}

/// What happened in a cache so far; see [`Cache::stats`](crate::Cache::stats).
///
/// `inserted = live + removed.total()` holds exactly whenever no operation is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Values that were inserted, those that replaced another one included.
    pub inserted: u64,
    /// Entries that were not removed yet. Some may be expired: no read returns them.
    pub live: u64,
    /// Values that were removed.
    pub removed: Removed,
    /// Slots whose removed or replaced values are not dropped yet; a sweep or flush drops them.
    pub pending_reclamation: u64,
    /// Inserts that were refused because the cache was full.
    pub refused: u64,
    /// Panics of user code that were caught while values were dropped: of a `Drop`, or of a
    /// [removal listener](crate::Builder::on_removal).
    pub panics: u64,
    /// Entries that a lookup, not a sweep, found expired; they are in `removed` by cause.
    pub expired_on_read: u64,
    /// How long after their deadlines expired entries were removed. What no lookup asks for waits
    /// for a sweep.
    pub expiry_lag: Lag,
    /// How long after their removal values were dropped. Not measured for an entry's first value
    /// that is replaced.
    pub drop_lag: Lag,
    /// What the sweeps of this cache have done.
    pub sweeps: SweepTotals,
    /// Lookups that found their key. Zero unless the builder's `record_stats` asked for it.
    pub hits: u64,
    /// Lookups that did not. Zero unless the builder's `record_stats` asked for it.
    pub misses: u64,
}

/// What sweeps have done in one cache so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepTotals {
    /// How often the cache was swept.
    pub count: u64,
    /// Entries that were expired.
    pub expired: u64,
    /// Entries that were looked at before their time; see
    /// [`SweepReport::survivors`](crate::SweepReport::survivors).
    pub survivors: u64,
    /// Time spent in looking for what is due, not in dropping it.
    pub time: Duration,
}

/// Removals by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// By [`RemovalCause::Idle`].
    pub idle: u64,
    /// By [`RemovalCause::Absolute`].
    pub absolute: u64,
    /// By [`RemovalCause::Explicit`].
    pub explicit: u64,
    /// By [`RemovalCause::Replaced`].
    pub replaced: u64,
    /// By [`RemovalCause::Capacity`].
    pub capacity: u64,
    /// By [`RemovalCause::Cascade`].
    pub cascade: u64,
    /// By [`RemovalCause::Dropped`].
    pub dropped: u64,
}

impl Removed {
    /// Removals of all causes.
    #[must_use]
    pub fn total(&self) -> u64 {
        let expired = self.idle + self.absolute;
        expired + self.explicit + self.replaced + self.capacity + self.cascade + self.dropped
    }

    fn of(counts: [u64; CAUSES]) -> Self {
        let [idle, absolute, explicit, replaced, capacity, cascade, dropped] = counts;
        Removed { idle, absolute, explicit, replaced, capacity, cascade, dropped }
    }
}

const CAUSES: usize = 7;

/// The counters of one stripe: a cache line, written by inserts and removals only.
#[derive(Default)]
struct Stripe {
    inserted: AtomicU64,
    removed: [AtomicU64; CAUSES],
}

const _: () = assert!(crate::sync::TINY || size_of::<Stripe>() == 64);

/// The counters of a cache, striped as the index is, so that a stripe also tells how full its
/// shard is. All orderings are Relaxed: the counts order nothing.
pub(crate) struct Ledger {
    stripes: Box<[CachePadded<Stripe>]>,
    /// Hits and misses, if they are recorded.
    reads: Option<Box<[CachePadded<[AtomicU64; 2]>]>>,
    refused: AtomicU64,
    panics: AtomicU64,
    expired_on_read: AtomicU64,
    expiry_lag: LagCounter,
    drop_lag: LagCounter,
    sweeps: Sweeps,
}

#[derive(Default)]
struct Sweeps {
    count: AtomicU64,
    expired: AtomicU64,
    survivors: AtomicU64,
    nanos: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(stripes: usize, record_reads: bool) -> Self {
        let reads = || (0..stripes).map(|_| CachePadded::default()).collect();
        Ledger {
            stripes: (0..stripes).map(|_| CachePadded::default()).collect(),
            reads: record_reads.then(reads),
            refused: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            expired_on_read: AtomicU64::new(0),
            expiry_lag: LagCounter::default(),
            drop_lag: LagCounter::default(),
            sweeps: Sweeps::default(),
        }
    }

    pub(crate) fn inserted(&self, stripe: usize) {
        self.stripes[stripe].inserted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn removed(&self, stripe: usize, cause: RemovalCause) {
        self.stripes[stripe].removed[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether hits and misses are counted.
    #[inline(always)]
    pub(crate) fn records_reads(&self) -> bool {
        self.reads.is_some()
    }

    #[inline(always)]
    pub(crate) fn read(&self, stripe: usize, hit: bool) {
        if let Some(reads) = &self.reads {
            reads[stripe][usize::from(!hit)].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry was removed so many nanoseconds after its deadline.
    pub(crate) fn expired(&self, lag: u64) {
        self.expiry_lag.note(lag);
    }

    pub(crate) fn expired_on_read(&self) {
        self.expired_on_read.fetch_add(1, Ordering::Relaxed);
    }

    /// Values were dropped so long after their removal.
    pub(crate) fn dropped(&self, lags: &LagTally) {
        self.drop_lag.add(lags);
    }

    pub(crate) fn swept(&self, expired: u64, survivors: u64, time: Duration) {
        let sweeps = &self.sweeps;
        sweeps.count.fetch_add(1, Ordering::Relaxed);
        sweeps.expired.fetch_add(expired, Ordering::Relaxed);
        sweeps.survivors.fetch_add(survivors, Ordering::Relaxed);
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        sweeps.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Entries of one stripe that are not removed.
    pub(crate) fn live(&self, stripe: usize) -> u64 {
        let stripe = &self.stripes[stripe];
        let removed = stripe.removed.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        // Saturating: a removal may be counted before its insertion.
        stripe.inserted.load(Ordering::Relaxed).saturating_sub(removed)
    }

    /// Entries that are not removed.
    pub(crate) fn total_live(&self) -> u64 {
        (0..self.stripes.len()).map(|stripe| self.live(stripe)).sum()
    }

    pub(crate) fn snapshot(&self, pending_reclamation: u64) -> Stats {
        let mut inserted = 0;
        let mut removed = [0; CAUSES];
        for stripe in &self.stripes {
            for (sum, count) in removed.iter_mut().zip(&stripe.removed) {
                *sum += count.load(Ordering::Relaxed);
            }
            inserted += stripe.inserted.load(Ordering::Relaxed);
        }
        let reads = |which: usize| {
            let stripes = self.reads.iter().flat_map(|reads| reads.iter());
            stripes.map(|stripe| stripe[which].load(Ordering::Relaxed)).sum()
        };
        let removed = Removed::of(removed);
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            inserted,
            live: inserted.saturating_sub(removed.total()),
            removed,
            pending_reclamation,
            refused: count(&self.refused),
            panics: count(&self.panics),
            expired_on_read: count(&self.expired_on_read),
            expiry_lag: self.expiry_lag.snapshot(),
            drop_lag: self.drop_lag.snapshot(),
            sweeps: SweepTotals {
                count: count(&self.sweeps.count),
                expired: count(&self.sweeps.expired),
                survivors: count(&self.sweeps.survivors),
                time: Duration::from_nanos(count(&self.sweeps.nanos)),
            },
            hits: reads(0),
            misses: reads(1),
        }
    }
}
