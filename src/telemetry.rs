//! What a cache tells the facades of metrics and logs, if their features are on. Never a key or a
//! value.

use crate::core::Report;
#[cfg(feature = "metrics")]
use crate::stats::Stats;
use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::{Mutex, TryLockError};

/// The voice of one cache.
pub(crate) struct Telemetry {
    #[cfg_attr(not(any(feature = "metrics", feature = "tracing")), allow(dead_code))]
    name: Arc<str>,
    /// What was published last, so that histograms get what is new.
    #[cfg(feature = "metrics")]
    published: Mutex<Stats>,
}

impl Telemetry {
    pub(crate) fn new(name: Option<Arc<str>>) -> Self {
        Telemetry {
            name: name.unwrap_or_else(|| Arc::from("unnamed")),
            #[cfg(feature = "metrics")]
            published: Mutex::default(),
        }
    }

    /// After a sweep that this cache was asked for.
    pub(crate) fn swept(&self, report: &Report) {
        #[cfg(feature = "tracing")]
        tracing::debug!(
            target: "idlewheel",
            cache = &*self.name,
            expired = report.walk.expired,
            cascaded = report.cascaded,
            visited = report.walk.visited,
            survivors = report.walk.survivors,
            reclaimed = report.reclaimed,
            more = report.more,
            elapsed_us = report.elapsed.as_micros() as u64,
            "swept"
        );
        #[cfg(feature = "metrics")]
        metrics::histogram!("idlewheel_sweep_duration_seconds", "cache" => self.label())
            .record(report.elapsed.as_secs_f64());
        let _ = report;
    }

    /// After a panic of user code that was caught.
    pub(crate) fn panicked(&self) {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            target: "idlewheel",
            cache = &*self.name,
            "caught a panic of a removal listener, or of the drop of a key or value"
        );
    }
}

#[cfg(feature = "metrics")]
impl Telemetry {
    fn label(&self) -> metrics::SharedString {
        Arc::clone(&self.name).into()
    }

    /// Publishes what a cache has counted. Of two calls at once, one does it.
    pub(crate) fn publish(&self, stats: &Stats) {
        // A recorder is somebody's code, and may even come back here: nobody waits for it.
        let mut before = match self.published.try_lock() {
            Ok(before) => before,
            Err(TryLockError::Poisoned(before)) => before.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if stats.inserted < before.inserted || stats.sweeps.count < before.sweeps.count {
            // A later state was published by another thread.
            return;
        }
        self.publish_counts(stats);
        let lags = [
            ("idlewheel_expiry_lag_seconds", stats.expiry_lag, before.expiry_lag),
            ("idlewheel_erasure_lag_seconds", stats.drop_lag, before.drop_lag),
        ];
        for (name, now, before) in lags {
            let histogram = metrics::histogram!(name, "cache" => self.label());
            let buckets = now.buckets().zip(before.buckets());
            for ((end, count), (_, published)) in buckets {
                let new = usize::try_from(count.saturating_sub(published)).unwrap_or(usize::MAX);
                if new > 0 {
                    // The end of its bucket: at most twice the truth.
                    let lag = end.map_or(now.max(), |end| end.min(now.max()));
                    histogram.record_many(lag.as_secs_f64(), new);
                }
            }
        }
        *before = *stats;
    }

    fn publish_counts(&self, stats: &Stats) {
        let requests = [("hit", stats.hits), ("miss", stats.misses)];
        for (result, count) in requests {
            let labels = [("cache", self.label()), ("result", result.into())];
            metrics::counter!("idlewheel_requests_total", &labels).absolute(count);
        }
        let removed = &stats.removed;
        let causes = [
            ("idle", removed.idle),
            ("absolute", removed.absolute),
            ("explicit", removed.explicit),
            ("replaced", removed.replaced),
            ("capacity", removed.capacity),
            ("cascade", removed.cascade),
            ("dropped", removed.dropped),
        ];
        for (cause, count) in causes {
            let labels = [("cache", self.label()), ("cause", cause.into())];
            metrics::counter!("idlewheel_removals_total", &labels).absolute(count);
        }
        let counters = [
            ("idlewheel_inserts_total", stats.inserted),
            ("idlewheel_rejected_total", stats.refused),
            ("idlewheel_expired_on_read_total", stats.expired_on_read),
            ("idlewheel_panics_total", stats.panics),
            ("idlewheel_sweeps_total", stats.sweeps.count),
        ];
        for (name, count) in counters {
            metrics::counter!(name, "cache" => self.label()).absolute(count);
        }
        let gauges = [
            ("idlewheel_entries", stats.live),
            ("idlewheel_pending_reclamation", stats.pending_reclamation),
        ];
        for (name, count) in gauges {
            metrics::gauge!(name, "cache" => self.label()).set(count as f64);
        }
    }
}
