//! 100,000,000 live entries.

use super::sweep::Mocked;
use super::{Case, Memory, Scale, micros, parallel, timed};
use crate::loads::uniform;
use crate::peers::{Idlewheel, Subject};
use crate::time::Mock;
use std::hint::black_box;
use std::time::Duration;

/// Its name among the works of child processes.
pub(super) const WORK: &str = "huge";
const ENTRIES: u64 = 100_000_000;
const LOOKUPS: usize = 1 << 22;
/// In GiB, what has to be there.
const NEEDED: f64 = 14.0;

type Map = Idlewheel<u64, u64, Mock>;

/// Why it cannot be measured here and now.
pub(super) fn skip(scale: &Scale) -> Option<String> {
    if !scale.whole {
        return Some("only in the full run".to_owned());
    }
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    let gib = kib / f64::from(1 << 20);
    (gib < NEEDED).then(|| format!("{gib:.1} GiB of memory are available, {NEEDED} are needed"))
}

pub(super) fn in_process(scale: &Scale) -> Vec<Case> {
    let entries = scale.entries(ENTRIES);
    vec![Case::of(Map::NAME, move || measure(entries))]
}

/// Bytes per entry, of the allocator and resident; nanoseconds per insert and the longest one in
/// microseconds; nanoseconds per lookup on one thread and two; microseconds of the sweeps.
fn measure(entries: u64) -> Vec<f64> {
    let memory = Memory::start();
    let time = Mock::default();
    let subject = Map::new(&time, entries as usize);
    let mut longest = Duration::ZERO;
    let fill = timed(|| {
        for key in 0..entries {
            longest = longest.max(timed(|| subject.insert(key, key)));
        }
    });
    let [bytes, resident] = memory.grown().map(|bytes| bytes / entries as f64);
    eprintln!("  {entries} entries are in, of {bytes:.1} bytes each");
    let keys = uniform(entries, LOOKUPS, 9);
    let reads = [1, 2].map(|threads| {
        let time = parallel(threads, |thread| {
            let (front, back) = keys.split_at(thread * keys.len() / threads);
            let one = |key| subject.get(key).unwrap_or(0);
            black_box(back.iter().chain(front).map(one).sum::<u64>());
        });
        time.as_nanos() as f64 / (threads * keys.len()) as f64
    });
    let map = Mocked::over(subject, time, entries / 100, entries);
    map.expire();
    let due = map.sweep();
    let empty = map.sweep_empty();
    let fill = fill.as_nanos() as f64 / entries as f64;
    let [one, two] = reads;
    vec![bytes, resident, fill, micros(longest), one, two, micros(due), micros(empty)]
}
