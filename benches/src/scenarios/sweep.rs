//! Sweeps: 10,000 entries due while all others were touched in the newest tick, and none due.

use super::{Case, Scale, cases, micros, timed};
use crate::peers::{MokaPerEntry, Subject};
use crate::time::{Coarse, Mock};
use std::time::Duration;

/// More than half of the timeout, less than the 3/4 at which idlewheel must be swept.
const STEP: Duration = Duration::from_secs(16 * 60);
/// One bucket of idlewheel's wheel and a bit.
const MINUTE: Duration = Duration::from_secs(60);

/// Two values: the sweep with entries due, and an empty one.
pub(super) fn of(scale: &Scale, entries: u64) -> Vec<Case> {
    let (due, entries) = (scale.entries(10_000), scale.entries(entries));
    let mut cases =
        cases!([Idlewheel, Dashmap, Papaya, Scc, Locked], mocked::<u64, u64, Mock>(due, entries));
    cases.push(moka(due, entries));
    cases
}

/// Keys from 0 to `due` expire, those from `due` to `entries` are live and fresh.
pub(super) struct Mocked<S> {
    pub(super) subject: S,
    time: Mock,
    due: u64,
    entries: u64,
}

impl<S: Subject<Key = u64, Value = u64, Time = Mock>> Mocked<S> {
    pub(super) fn new(due: u64, entries: u64) -> Self {
        let time = Mock::default();
        let subject = S::new(&time, entries as usize);
        (due..entries).for_each(|key| subject.insert(key, key));
        Self::over(subject, time, due, entries)
    }

    /// Of a subject that has all the live entries already.
    pub(super) fn over(subject: S, time: Mock, due: u64, entries: u64) -> Self {
        Mocked { subject, time, due, entries }
    }

    /// Lets the first ones expire while all others are touched.
    pub(super) fn expire(&self) {
        (0..self.due).for_each(|key| self.subject.insert(key, key));
        self.later();
        let visited = self.subject.sweep();
        assert_eq!(visited.unwrap_or(0), 0, "nothing was due");
        self.later();
    }

    fn later(&self) {
        self.time.advance(STEP);
        (self.due..self.entries).for_each(|key| assert_eq!(self.subject.get(&key), Some(key)));
    }

    pub(super) fn sweep(&self) -> Duration {
        let mut visited = None;
        let time = timed(|| visited = self.subject.sweep());
        assert_eq!(visited.unwrap_or(self.due), self.due, "what is due is visited, nothing else");
        assert_eq!(self.subject.count() as u64, self.entries - self.due, "{}", S::NAME);
        time
    }

    /// A sweep of a bucket in which nothing is.
    pub(super) fn sweep_empty(&self) -> Duration {
        self.time.advance(MINUTE);
        let mut visited = None;
        let time = timed(|| visited = self.subject.sweep());
        assert_eq!(visited.unwrap_or(0), 0, "nothing was due");
        time
    }
}

fn mocked<S: Subject<Key = u64, Value = u64, Time = Mock>>(due: u64, entries: u64) -> Case {
    let map: Mocked<S> = Mocked::new(due, entries);
    Case::of(S::NAME, move || {
        map.expire();
        let due = map.sweep();
        vec![micros(due), micros(map.sweep_empty())]
    })
}

fn moka(due: u64, entries: u64) -> Case {
    let subject = MokaPerEntry::new(&Coarse, entries as usize);
    (due..entries).for_each(|key| subject.insert(key, key));
    (due..entries).for_each(|key| assert_eq!(subject.get(&key), Some(key)));
    subject.flush();
    Case::of(MokaPerEntry::NAME, move || {
        (0..due).for_each(|key| subject.insert(key, MokaPerEntry::SHORT));
        subject.flush();
        assert_eq!(subject.count() as u64, entries);
        std::thread::sleep(MokaPerEntry::WAIT);
        let due = timed(|| {
            while subject.count() as u64 > entries - due {
                subject.sweep();
            }
        });
        let empty = timed(|| {
            subject.sweep();
        });
        vec![micros(due), micros(empty)]
    })
}
