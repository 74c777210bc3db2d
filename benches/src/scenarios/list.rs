//! All metrics, and how each is measured.

use super::{Case, Scale, churn, drop_lag, fill, huge, in_child, in_process, latency};
use super::{links, mixed, reads, sweep};

/// How heavy a run is, and so how often it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Some hundredths of a second.
    Light,
    /// Some seconds.
    Heavy,
    /// Many seconds, and much memory.
    Massive,
    /// The same each time.
    Once,
}

/// Work that yields one or more values for each subject.
pub struct Metric {
    /// What the values are called. Nanoseconds per operation unless a name ends in its unit.
    pub names: &'static [&'static str],
    /// How it is measured.
    pub method: &'static str,
    /// How often.
    pub weight: Weight,
    /// Why it is not measured here and now, if so.
    pub skip: fn(&Scale) -> Option<String>,
    /// One case per subject.
    pub cases: fn(&Scale) -> Vec<Case>,
}

impl Metric {
    fn new(
        names: &'static [&'static str],
        weight: Weight,
        method: &'static str,
        cases: fn(&Scale) -> Vec<Case>,
    ) -> Self {
        Metric { names, method, weight, skip: |_| None, cases }
    }

    /// Rounds at a scale.
    #[must_use]
    pub fn rounds(&self, scale: &Scale) -> usize {
        match self.weight {
            Weight::Light => scale.rounds[0],
            Weight::Heavy => scale.rounds[1],
            Weight::Massive => scale.rounds[2],
            Weight::Once => 1,
        }
    }
}

/// All metrics.
#[must_use]
pub fn metrics() -> Vec<Metric> {
    let mut list = read_metrics();
    list.extend(thread_metrics());
    list.extend(write_metrics());
    list.extend(sweep_metrics());
    list.extend(other_metrics());
    list
}

fn read_metrics() -> Vec<Metric> {
    use Weight::Light;
    vec![
        Metric::new(
            &["get_hot_1t"],
            Light,
            "10,000 keys in the order of a Zipf distribution of exponent 0.99; every lookup hits \
             and counts as activity.",
            |scale| reads::hot(scale, 1),
        ),
        Metric::new(
            &["get_hot_2t"],
            Light,
            "The same on two threads, each from another place of the same list of keys; wall time \
             by the lookups of both.",
            |scale| reads::hot(scale, 2),
        ),
        Metric::new(
            &["get_batch_1t"],
            Light,
            "The same, 16 lookups under one pin: by one `get_many` in idlewheel, one by one in \
             papaya; the others have no such thing and look up one by one.",
            reads::hot_batches,
        ),
        Metric::new(
            &["get_one_key_2t"],
            Light,
            "Two threads read one and the same key.",
            |scale| reads::one_key(scale, 2),
        ),
        Metric::new(
            &["get_cold_1t"],
            Light,
            "1,000,000 keys, all equally likely: most lookups miss the processor's caches.",
            |scale| reads::cold(scale, 1),
        ),
        Metric::new(&["get_cold_2t"], Light, "The same on two threads.", |scale| {
            reads::cold(scale, 2)
        }),
        Metric::new(
            &["get_cold_batch_1t"],
            Light,
            "The lookups of get_cold_1t, 16 at a time as in get_batch_1t.",
            reads::cold_batches,
        ),
        Metric::new(
            &["get_string_1t"],
            Light,
            "100,000 keys, strings of 32 bytes, all equally likely; values are `Arc<u64>` and \
             cloned.",
            reads::strings,
        ),
    ]
}

fn thread_metrics() -> Vec<Metric> {
    const METHOD: &str = "As get_hot_2t, on more threads than there may be cores.";
    let metric = |names, cases| {
        let metric = Metric::new(names, Weight::Heavy, METHOD, cases);
        let skip = |scale: &Scale| (!scale.whole).then(|| "only in the full run".to_owned());
        Metric { skip, ..metric }
    };
    vec![
        metric(&["get_hot_4t"], |scale| reads::hot(scale, 4)),
        metric(&["get_hot_8t"], |scale| reads::hot(scale, 8)),
        metric(&["get_hot_16t"], |scale| reads::hot(scale, 16)),
        metric(&["get_hot_32t"], |scale| reads::hot(scale, 32)),
        metric(&["get_hot_64t"], |scale| reads::hot(scale, 64)),
    ]
}

fn write_metrics() -> Vec<Metric> {
    use Weight::{Heavy, Light};
    vec![
        Metric::new(
            &["mixed_hot_1t"],
            Light,
            "The keys of get_hot_1t: 90 % lookups, 5 % inserts, 5 % removals.",
            |scale| mixed::hot(scale, 1),
        ),
        Metric::new(&["mixed_hot_2t"], Light, "The same on two threads.", |scale| {
            mixed::hot(scale, 2)
        }),
        Metric::new(
            &["churn_2t"],
            Heavy,
            "Generated sessions of the published shape: 59 % are a single request, the mean is \
             2.86, gaps are 34, 418 and 1500 s at the 50th, 90th and 99th percentile; 100,000 are \
             live. A request looks its session up and inserts it if it is missing. Two threads \
             take requests as fast as they can, 64 at a time, and with each 64 the subject's \
             (mock) time moves to that of the requests; every five minutes of it one of the \
             threads sweeps. moka and mini-moka have no mock clock: they run in real time, as \
             fast as they can, with an idle timeout so short that at their speed 30 minutes of \
             the load pass in it (found by the runs before; while the map fills they are held \
             back to it), so that as many entries are live. Their clocks are dearer than the mock \
             one, by some hundredths of the figure. moka evicts later than it expires: it holds \
             up to twice as many entries as are live. Runs that end with live entries off by more \
             than 20 % do not count. quick_cache has no expiry.",
            churn::cases,
        ),
        Metric::new(
            &["fill_1m"],
            Light,
            "1,000,000 inserts into an empty map that was not told how many will come.",
            fill::fill,
        ),
        Metric::new(
            &["fill_1m_max_us"],
            Light,
            "The longest single one of these inserts, in a run in which each is timed. The \
             operating system's interruptions are in it, so it is never below some tens of \
             microseconds.",
            fill::longest,
        ),
    ]
}

fn sweep_metrics() -> Vec<Metric> {
    use Weight::{Heavy, Massive};
    const METHOD: &str = "10,000 entries are due; all others were touched 16 minutes after \
        them, and again in the newest tick before the sweep. idlewheel has a mock clock, the maps with stamps a mock \
        tick and `retain`. idlewheel's report must say that it visited 10,000. moka has no mock \
        clock: 10,000 of its entries get a life of 4 s (`Expiry`), and `run_pending_tasks` is \
        timed when it is over. mini-moka has one timeout for all, so that this cannot be \
        arranged; quick_cache has no expiry. The empty sweep is one minute later: nothing is \
        due, and a new bucket of the wheel is looked at.";
    vec![
        Metric::new(&["sweep_10k_of_100k_us", "sweep_empty_of_100k_us"], Heavy, METHOD, |scale| {
            sweep::of(scale, 100_000)
        }),
        Metric::new(&["sweep_10k_of_1m_us", "sweep_empty_of_1m_us"], Heavy, METHOD, |scale| {
            sweep::of(scale, 1_000_000)
        }),
        Metric::new(&["sweep_10k_of_8m_us", "sweep_empty_of_8m_us"], Massive, METHOD, |scale| {
            sweep::of(scale, 8_000_000)
        }),
        Metric::new(
            &[
                "get_p999_during_sweep_ns",
                "get_p50_during_sweep_ns",
                "get_p99_during_sweep_ns",
                "get_max_during_sweep_us",
                "get_p999_quiet_ns",
                "get_p50_quiet_ns",
                "get_p99_quiet_ns",
                "get_max_quiet_us",
            ],
            Heavy,
            "One thread times each of its lookups on 100,000 live keys (reading the clock twice \
             is in the figure) while another removes 1,000,000 expired entries in one sweep; then \
             as many lookups in quiet. A lookup that waits for a lock is one sample however long \
             it waits, so for maps with locks the maximum says more than the percentile. moka as \
             in the sweeps.",
            latency::during_sweep,
        ),
    ]
}

fn other_metrics() -> Vec<Metric> {
    use Weight::{Heavy, Light, Once};
    let whole = Metric::new(
        &[
            "huge_bytes_per_entry",
            "huge_rss_per_entry",
            "huge_fill",
            "huge_insert_max_us",
            "huge_get_1t",
            "huge_get_2t",
            "huge_sweep_1pct_us",
            "huge_sweep_empty_us",
        ],
        Once,
        "100,000,000 live entries in a process of their own, each insert timed (which is in the \
         figure of huge_fill): bytes of the allocator and resident, lookups of keys that are all \
         equally likely, a sweep with 1,000,000 due and all others touched just before, and an \
         empty one.",
        |scale| in_child(scale, huge::WORK, huge::in_process(scale)),
    );
    vec![
        Metric::new(
            &["bytes_per_entry_1m", "rss_per_entry_1m"],
            Once,
            "1,000,000 entries of 16 bytes in a process of their own: bytes that the allocator \
             gave out (even if nothing was ever written there), and resident bytes.",
            |scale| in_child(scale, "memory", in_process(scale)),
        ),
        Metric::new(
            &["linked_get"],
            Light,
            "get_hot_1t on a cache linked to another one by its keys, and on an unlinked one.",
            links::get,
        ),
        Metric::new(
            &["cascade_1"],
            Light,
            "1,000 removals of parents with one child each, and a flush that erases both; beside \
             it 1,000 removals each from two unlinked caches, and their flushes. Per parent.",
            links::cascade_one,
        ),
        Metric::new(
            &["cascade_children"],
            Heavy,
            "The removal of one parent and the sweep that removes its children, 1 to 1,000,000 of \
             them. Per child.",
            links::cascade_many,
        ),
        Metric::new(
            &["drop_lag_p999_us", "drop_lag_p50_us"],
            Heavy,
            "From a removal until the value's `Drop` runs. Two threads are busy with `get_with` \
             on other keys, one removes an entry every half millisecond, one calls `flush` \
             (`run_pending_tasks` in moka) every 10 ms. dashmap drops in `remove`.",
            drop_lag::cases,
        ),
        Metric { skip: huge::skip, ..whole },
    ]
}
