//! Single lookups, timed one by one, while 1,000,000 entries are swept.

use super::sweep::Mocked;
use super::{Case, Scale, cases, quantile};
use crate::loads::uniform;
use crate::peers::{MokaPerEntry, Subject};
use crate::time::{Coarse, Mock};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The shares that are reported of the quiet lookups, and then of the others.
const SHARES: [f64; 4] = [0.5, 0.99, 0.999, 1.0];
/// Enough for percentiles, also where a reader waited for the whole sweep.
const LEAST: usize = 1 << 18;
/// Enough for a sweep of a second.
const MOST: usize = 1 << 24;

pub(super) fn during_sweep(scale: &Scale) -> Vec<Case> {
    let (live, due) = (scale.entries(100_000), scale.entries(1_000_000));
    let keys = uniform(live, 1 << 16, 6).into_iter().map(|key| key + due);
    let keys: Arc<[u64]> = keys.collect();
    let mut cases = cases!(
        [Idlewheel, Dashmap, Papaya, Scc, Locked],
        mocked::<u64, u64, Mock>(due, due + live, &keys)
    );
    cases.push(moka(due, due + live, keys));
    cases
}

fn mocked<S: Subject<Key = u64, Value = u64, Time = Mock>>(
    due: u64,
    entries: u64,
    keys: &Arc<[u64]>,
) -> Case {
    let keys = Arc::clone(keys);
    let map: Mocked<S> = Mocked::new(due, entries);
    Case::of(S::NAME, move || {
        map.expire();
        let values = measure(&map.subject, &keys, || {
            map.subject.sweep();
        });
        // scc's `retain` passes over a few entries when it runs beside readers.
        let left = map.subject.count() as u64 - (entries - due);
        assert!(left <= due / 100, "{} left {left} of {due}", S::NAME);
        values
    })
}

fn moka(due: u64, entries: u64, keys: Arc<[u64]>) -> Case {
    let subject = MokaPerEntry::new(&Coarse, entries as usize);
    (due..entries).for_each(|key| subject.insert(key, key));
    Case::of(MokaPerEntry::NAME, move || {
        (0..due).for_each(|key| subject.insert(key, MokaPerEntry::SHORT));
        subject.flush();
        std::thread::sleep(MokaPerEntry::WAIT);
        measure(&subject, &keys, || {
            while subject.count() as u64 > entries - due {
                subject.sweep();
            }
        })
    })
}

/// Lookups while another thread sweeps, and then as many more in quiet, or [`LEAST`].
fn measure<S: Subject<Key = u64, Value = u64>>(
    subject: &S,
    keys: &[u64],
    sweep: impl FnOnce() + Send,
) -> Vec<f64> {
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut during: Vec<u32> = Vec::with_capacity(1 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.store(true, Ordering::Release);
            sweep();
            done.store(true, Ordering::Release);
        });
        while !begun.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        read(subject, keys, MOST, &done, &mut during);
    });
    let most = during.len().max(LEAST);
    let mut quiet = Vec::with_capacity(most);
    read(subject, keys, most, &AtomicBool::new(false), &mut quiet);
    let quantiles = |nanos: &mut Vec<u32>| SHARES.map(|share| f64::from(quantile(nanos, share)));
    let ([p50, p99, p999, max], [p50_quiet, p99_quiet, p999_quiet, max_quiet]) =
        (quantiles(&mut during), quantiles(&mut quiet));
    vec![p999, p50, p99, max / 1e3, p999_quiet, p50_quiet, p99_quiet, max_quiet / 1e3]
}

fn read<S: Subject<Key = u64, Value = u64>>(
    subject: &S,
    keys: &[u64],
    most: usize,
    done: &AtomicBool,
    nanos: &mut Vec<u32>,
) {
    for key in keys.iter().cycle().take(most) {
        let begin = Instant::now();
        black_box(subject.get(key));
        nanos.push(u32::try_from(begin.elapsed().as_nanos()).unwrap_or(u32::MAX));
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
}
