//! The checks of the accounts, the structure, and the memory.

use crate::caches::IDLE;
use crate::faults::Faults;
use crate::memory::Memory;
use crate::meter::Account;
use crate::tally::{Count, Tally};
use crate::values::Drops;
use crate::{Soak, load};
use idlewheel::Stats;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What may be left of the heap once all is dropped: records of threads, kept for others.
const LEFT: isize = 64 * 1024;
/// Attempts to drop what waits: at rest the first one succeeds.
const ATTEMPTS: usize = 1000;

pub(crate) struct Audit<'a> {
    soak: &'a Soak,
    account: Account,
    most_live: usize,
    sweeps: u64,
    checks_in_flight: u64,
    /// Memory after the first stage, and now.
    first: Option<Memory>,
    last: Memory,
}

impl<'a> Audit<'a> {
    /// `account`: what it took to build the caches.
    pub(crate) fn new(soak: &'a Soak, account: Account) -> Audit<'a> {
        let (most_live, sweeps, checks_in_flight) = (0, 0, 0);
        let (first, last) = (None, Memory::default());
        Audit { soak, account, most_live, sweeps, checks_in_flight, first, last }
    }

    pub(crate) fn sweep(&mut self) {
        self.most_live = self.most_live.max(self.soak.caches.sessions.len());
        self.account.charge(|| self.soak.caches.sessions.sweep());
        self.sweeps += 1;
    }

    /// What the threads have done, by a count of it.
    fn sum(&self, count: impl Fn(&Tally) -> u64) -> u64 {
        self.soak.tallies.iter().map(count).sum()
    }

    /// While the others work, counts are between what is done and what has begun.
    pub(crate) fn in_flight(&mut self) {
        let Soak { caches, faults, tallies, .. } = self.soak;
        let threads = tallies.len() as u64;
        let kinds = |read: fn(&Count) -> u64| {
            let sessions = self.sum(|tally| read(&tally.sessions));
            let rotations = self.sum(|tally| read(&tally.rotations));
            [sessions, self.sum(|tally| read(&tally.logouts)), sessions + rotations, rotations]
        };
        let done = kinds(Count::done);
        let drops = Drops::since(&self.soak.before);
        let (sessions, keys) = (caches.sessions.stats(), caches.keys.stats());
        let booked =
            [sessions.inserted, sessions.removed.explicit, keys.inserted, keys.removed.replaced];
        let begun = kinds(Count::begun);
        let within = (0..4).all(|kind| done[kind] <= booked[kind] && booked[kind] <= begun[kind]);
        faults.expect(within, || format!("done {done:?}, booked {booked:?}, begun {begun:?}"));
        for stats in [sessions, keys] {
            let Stats { inserted, removed, .. } = stats;
            faults.expect(removed.total() <= inserted + threads, || {
                format!("{inserted} inserted, and {removed:?}")
            });
        }
        let removed = sessions.removed.total() + keys.removed.total();
        faults.expect(drops.dropped <= removed + threads && drops.twice == 0, || {
            format!("{removed} removed, and {drops:?}")
        });
        self.checks_in_flight += 1;
    }

    /// While nobody else works, all is exact. Returns a line about it.
    pub(crate) fn at_rest(&mut self, minute: u64, of_workers: isize, took: Duration) -> String {
        let Soak { caches, faults, .. } = self.soak;
        self.drop_all_removed();
        self.accounts();
        for (name, validity) in
            [("sessions", caches.sessions.validate()), ("keys", caches.keys.validate())]
        {
            if let Err(fault) = validity {
                faults.tell(format!("the validator, on {name}: {fault}"));
            }
        }
        self.last = Memory::now(of_workers + self.account.bytes());
        let first = *self.first.get_or_insert(self.last);
        faults.expect(self.last.is_flat_since(&first), || {
            format!("memory was {first}, and is {}", self.last)
        });
        format!(
            "day {}: {} requests, {} live, {}, {:.1} s",
            minute / load::MINUTES as u64 + 1,
            self.requests(),
            caches.sessions.len(),
            self.last,
            took.as_secs_f64(),
        )
    }

    fn requests(&self) -> u64 {
        self.sum(|tally| tally.requests.load(Ordering::Relaxed))
    }

    /// Sweeps what is due, and drops all that was removed.
    fn drop_all_removed(&mut self) {
        let Soak { caches, faults, .. } = self.soak;
        let waits = self.account.charge(|| {
            (0..ATTEMPTS).all(|_| {
                let more = caches.sessions.sweep().more;
                let pending = [caches.sessions.stats(), caches.keys.stats()];
                more || pending.iter().any(|stats| stats.pending_reclamation > 0)
            })
        });
        faults.expect(!waits, || "some values were never dropped".into());
    }

    fn accounts(&self) {
        let Soak { caches, faults, .. } = self.soak;
        let begun = self.sum(|tally| tally.sessions.begun());
        let ended = self.sum(|tally| tally.logouts.begun());
        let rotated = self.sum(|tally| tally.rotations.begun());
        let (sessions, keys) = (caches.sessions.stats(), caches.keys.stats());
        let live = sessions.live;
        let expect = |what: &str, seen: u64, wanted: u64| {
            faults.expect(seen == wanted, || format!("{what}: {seen} instead of {wanted}"));
        };
        expect("sessions inserted", sessions.inserted, begun);
        expect("sessions logged out", sessions.removed.explicit, ended);
        expect("sessions gone idle", sessions.removed.idle, begun.wrapping_sub(ended + live));
        expect("sessions removed", sessions.removed.total(), begun.wrapping_sub(live));
        expect("keys inserted", keys.inserted, begun + rotated);
        expect("keys replaced", keys.removed.replaced, rotated);
        expect("keys gone with their sessions", keys.removed.cascade, begun.wrapping_sub(live));
        expect("keys removed", keys.removed.total(), (begun + rotated).wrapping_sub(live));
        expect("keys live", keys.live, live);
        let drops = Drops::since(&self.soak.before);
        expect("values made", drops.made, 2 * begun + rotated);
        expect("values dropped", drops.dropped, drops.made.wrapping_sub(2 * live));
        expect("values dropped twice", drops.twice, 0);
        expect("panics, refusals", sessions.panics + sessions.refused, 0);
        for (name, told, removed) in [
            ("sessions", &caches.sessions_told, &sessions.removed),
            ("keys", &caches.keys_told, &keys.removed),
        ] {
            faults.expect(told.agrees_with(removed), || {
                format!("the listener of {name} was not told of {removed:?}")
            });
        }
    }

    /// Lets all expire that is left.
    pub(crate) fn drain(&mut self) {
        self.soak.pace.advance(IDLE + 1);
        self.drop_all_removed();
        self.accounts();
        let live = self.soak.caches.sessions.len() + self.soak.caches.keys.len();
        self.soak.faults.expect(live == 0, || format!("{live} entries live after their time"));
    }

    /// What it is about to tell, and its account.
    pub(crate) fn rows(self, of_workers: isize) -> (Account, Vec<(&'static str, String)>) {
        let first = self.first.unwrap_or_default();
        let empty = Memory::now(of_workers + self.account.bytes());
        let stats = self.soak.caches.sessions.stats();
        let rows = vec![
            ("requests", self.requests().to_string()),
            ("sessions", stats.inserted.to_string()),
            ("  gone idle", stats.removed.idle.to_string()),
            ("  logged out", stats.removed.explicit.to_string()),
            ("keys rotated", self.sum(|tally| tally.rotations.begun()).to_string()),
            ("most live sessions", self.most_live.to_string()),
            ("sweeps", self.sweeps.to_string()),
            ("checks in flight", self.checks_in_flight.to_string()),
            ("memory at a tenth", first.to_string()),
            ("memory at the end", self.last.to_string()),
            ("memory, all expired", empty.to_string()),
        ];
        (self.account, rows)
    }
}

/// Once the caches are dropped: no value, and none of their memory.
pub(crate) fn nothing_is_left(faults: &Faults, before: &Drops, bytes: isize) {
    let drops = Drops::since(before);
    faults.expect(drops.made == drops.dropped, || format!("at the end: {drops:?}"));
    faults.expect(bytes <= LEFT, || format!("{bytes} bytes of the heap are left"));
}
