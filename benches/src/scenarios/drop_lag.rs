//! How long after its removal a value is dropped, while readers are busy with others.

use super::{Case, Scale, cases, quantile};
use crate::loads::zipf;
use crate::peers::Subject;
use crate::time::Coarse;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const READERS: u64 = 2;
const FLUSH_EVERY: Duration = Duration::from_millis(10);
/// Between two removals.
const PAUSE: Duration = Duration::from_micros(500);

/// Knows when it was removed, and records at its end how long that is ago.
struct Tracked {
    removed: AtomicU64,
    records: Arc<Records>,
}

struct Records {
    start: Instant,
    nanos: Mutex<Vec<u64>>,
}

impl Records {
    /// Never 0.
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64 + 1
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let removed = *self.removed.get_mut();
        if removed > 0 {
            let lag = self.records.now() - removed;
            self.records.nanos.lock().unwrap_or_else(PoisonError::into_inner).push(lag);
        }
    }
}

pub(super) fn cases(scale: &Scale) -> Vec<Case> {
    let (live, removals) = (scale.entries(10_000), scale.drops);
    cases!([Idlewheel, Dashmap, Moka], lag::<u64, Arc<Tracked>, Coarse>(live, removals))
}

/// The 99.9th percentile and the median in microseconds. Values that outlive the removals are
/// dropped with the map, which counts as the lag that they have then.
fn lag<S: Subject<Key = u64, Value = Arc<Tracked>, Time = Coarse>>(
    live: u64,
    removals: u64,
) -> Case {
    Case::of(S::NAME, move || {
        let records = Arc::new(Records { start: Instant::now(), nanos: Mutex::default() });
        let subject = S::new(&Coarse, (live + removals) as usize);
        for key in 0..live + removals {
            let records = Arc::clone(&records);
            subject.insert(key, Arc::new(Tracked { removed: AtomicU64::new(0), records }));
        }
        subject.flush();
        remove_beside_readers(&subject, &records, live, removals);
        std::thread::sleep(FLUSH_EVERY);
        subject.flush();
        drop(subject);
        let mut nanos = records.nanos.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(nanos.len() as u64, removals, "every value is dropped at last");
        [0.999, 0.5].map(|share| quantile(&mut nanos, share) as f64 / 1e3).to_vec()
    })
}

fn remove_beside_readers<S: Subject<Key = u64, Value = Arc<Tracked>>>(
    subject: &S,
    records: &Records,
    live: u64,
    removals: u64,
) {
    let done = AtomicBool::new(false);
    let busy = |seed| {
        let keys = zipf(live as usize, 0.99, 1 << 12, seed);
        let read = |value: &Arc<Tracked>| value.removed.load(Ordering::Relaxed);
        while !done.load(Ordering::Relaxed) {
            for key in &keys {
                black_box(subject.get_with(key, read));
            }
        }
    };
    std::thread::scope(|scope| {
        let busy = &busy;
        (0..READERS).for_each(|seed| drop(scope.spawn(move || busy(seed + 1))));
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(FLUSH_EVERY);
                subject.flush();
            }
        });
        for key in live..live + removals {
            subject.get_with(&key, |value| value.removed.store(records.now(), Ordering::Relaxed));
            subject.remove(&key);
            std::thread::sleep(PAUSE);
        }
        std::thread::sleep(2 * FLUSH_EVERY);
        done.store(true, Ordering::Relaxed);
    });
}
