//! How much of everything.

/// Sizes and rounds of one way to run the measurements.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Numbers of entries are divided by this; 1 except to try out the code.
    pub divide: u64,
    /// Lookups in one run, on few keys and on many.
    pub hot_lookups: usize,
    /// Lookups in one run on a million keys.
    pub cold_lookups: usize,
    /// Idle timeouts of simulated load in one run of churn.
    pub churn_timeouts: u32,
    /// Removals in one run of the drop lag.
    pub drops: u64,
    /// Rounds of light, heavy and very heavy work.
    pub rounds: [usize; 3],
    /// Also with more threads than cores, and with 100,000,000 entries.
    pub whole: bool,
}

impl Scale {
    /// All of it, for publication.
    pub const FULL: Scale = Scale {
        divide: 1,
        hot_lookups: 1 << 21,
        cold_lookups: 1 << 20,
        churn_timeouts: 4,
        drops: 5000,
        rounds: [21, 11, 5],
        whole: true,
    };
    /// Less often, within five minutes.
    pub const QUICK: Scale = Scale {
        hot_lookups: 1 << 20,
        cold_lookups: 1 << 19,
        churn_timeouts: 2,
        drops: 1500,
        rounds: [5, 2, 2],
        whole: false,
        ..Scale::FULL
    };
    /// What criterion repeats as it likes.
    pub const BENCH: Scale =
        Scale { hot_lookups: 1 << 16, cold_lookups: 1 << 16, churn_timeouts: 1, ..Scale::QUICK };
    /// Only to see that it runs.
    pub const TEST: Scale = Scale {
        divide: 1000,
        hot_lookups: 1 << 10,
        cold_lookups: 1 << 10,
        churn_timeouts: 1,
        drops: 20,
        rounds: [1, 1, 1],
        whole: false,
    };

    /// A number of entries.
    #[must_use]
    pub fn entries(&self, full: u64) -> u64 {
        (full / self.divide).max(10)
    }
}
