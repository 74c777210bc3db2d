//! Histograms of how late something happened.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::fmt;
use std::time::Duration;

/// Buckets of a histogram. The first ends at 2^24 ns (17 ms), each other at twice the one before;
/// the last, which begins at 73 minutes, has no end.
const BUCKETS: usize = 20;
const FIRST_END: u32 = 24;

/// How late something happened, as a histogram; see [`Stats`](crate::Stats).
///
/// What is measured is exact to a [tick](crate::Builder::tick).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    counts: [u64; BUCKETS],
    max: u64,
}

impl Lag {
    /// How often it was measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest one so far.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The buckets: how many were shorter than this, and not shorter than the bucket before. The
    /// last one has no end.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let end = |i: usize| (i + 1 < BUCKETS).then(|| Duration::from_nanos(1 << end_bits(i)));
        self.counts.iter().enumerate().map(move |(i, count)| (end(i), *count))
    }

    /// What so large a part was not longer than, rounded up to the end of a bucket, and at most
    /// [`Lag::max`]. Zero if nothing was measured; `part` is taken to be from 0 to 1.
    ///
    /// ```
    /// let lag = idlewheel::Lag::default();
    /// assert_eq!(lag.quantile(0.99), std::time::Duration::ZERO);
    /// ```
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count() as f64 * part.clamp(0.0, 1.0)).ceil() as u64;
        let mut below = 0;
        for (end, count) in self.buckets() {
            below += count;
            if below >= wanted {
                return end.map_or(self.max(), |end| end.min(self.max()));
            }
        }
        self.max()
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lag")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

fn end_bits(bucket: usize) -> u32 {
    FIRST_END + bucket as u32
}

fn bucket_of(nanos: u64) -> usize {
    let bits = u64::BITS - (nanos >> FIRST_END).leading_zeros();
    (bits as usize).min(BUCKETS - 1)
}

/// Measurements of one thread, to be added up later.
#[derive(Default)]
pub(crate) struct LagTally(Lag);

impl LagTally {
    #[inline(always)]
    pub(crate) fn note(&mut self, nanos: u64) {
        self.0.counts[bucket_of(nanos)] += 1;
        self.0.max = self.0.max.max(nanos);
    }
}

/// A histogram that many threads add to. All orderings are Relaxed: the counts order nothing.
#[derive(Default)]
pub(crate) struct LagCounter {
    counts: [AtomicU64; BUCKETS],
    max: AtomicU64,
}

impl LagCounter {
    pub(crate) fn note(&self, nanos: u64) {
        self.counts[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        self.raise(nanos);
    }

    pub(crate) fn add(&self, tally: &LagTally) {
        for (sum, count) in self.counts.iter().zip(tally.0.counts) {
            if count > 0 {
                sum.fetch_add(count, Ordering::Relaxed);
            }
        }
        self.raise(tally.0.max);
    }

    /// Mostly a load: the longest one changes seldom.
    fn raise(&self, nanos: u64) {
        if self.max.load(Ordering::Relaxed) < nanos {
            self.max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> Lag {
        let mut lag = Lag { max: self.max.load(Ordering::Relaxed), ..Lag::default() };
        for (count, sum) in lag.counts.iter_mut().zip(&self.counts) {
            *count = sum.load(Ordering::Relaxed);
        }
        lag
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn buckets_double_and_the_last_takes_all_that_is_longer() {
        let (counter, mut tally) = (LagCounter::default(), LagTally::default());
        for nanos in [0, (1 << 24) - 1, 1 << 24, (1 << 42) - 1] {
            counter.note(nanos);
        }
        for nanos in [1 << 42, u64::MAX] {
            tally.note(nanos);
        }
        counter.add(&tally);
        let lag = counter.snapshot();
        let counts: Vec<u64> = lag.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[18], counts[19]), (2, 1, 1, 2));
        assert_eq!((lag.count(), lag.max()), (6, Duration::from_nanos(u64::MAX)));
        assert_eq!(lag.buckets().last().unwrap().0, None);
        assert_eq!(lag.quantile(0.5), Duration::from_nanos(1 << 25));
        assert_eq!(lag.quantile(0.0), Duration::from_nanos(1 << 24));
        assert_eq!(lag.quantile(7.0), lag.max());
    }
}
