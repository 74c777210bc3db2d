//! What a cache must hold, by exact arithmetic on a plain map.

use super::Settings;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any time that a clock can show.
pub(crate) const NEVER: u128 = u128::MAX / 4;

/// Timeouts in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) idle: u128,
    pub(crate) absolute: u128,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        let nanos = |timeout: Option<Duration>| timeout.map_or(NEVER, |t| t.as_nanos());
        Limits { idle: nanos(settings.idle), absolute: nanos(settings.absolute) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Of its present value, and of its first one.
    pub(crate) id: u64,
    pub(crate) first_id: u64,
    pub(crate) created: u128,
    pub(crate) last: u128,
    pub(crate) limits: Limits,
    /// Leases.
    pub(crate) holds: u32,
    /// Expired, and perhaps removed by the cache of its own accord.
    pub(crate) doubtful: bool,
}

/// What a lookup may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A hit.
    Live,
    /// Either; but after a miss, nothing.
    Grace,
    /// Nothing.
    Dead,
}

impl Entry {
    pub(crate) fn new(id: u64, now: u128, limits: Limits) -> Self {
        let (first_id, created, last) = (id, now, now);
        Entry { id, first_id, created, last, limits, holds: 0, doubtful: false }
    }

    fn idle(&self) -> u128 {
        if self.holds > 0 { NEVER } else { self.limits.idle }
    }

    pub(crate) fn idle_deadline(&self) -> u128 {
        self.last + self.idle()
    }

    pub(crate) fn absolute_deadline(&self) -> u128 {
        self.created + self.limits.absolute
    }

    /// The last nanosecond at which it is live.
    pub(crate) fn deadline(&self) -> u128 {
        self.idle_deadline().min(self.absolute_deadline())
    }

    pub(crate) fn shortest(&self) -> u128 {
        self.idle().min(self.limits.absolute)
    }

    pub(crate) fn verdict(&self, now: u128, grain: u128) -> Verdict {
        match self.deadline() {
            deadline if now <= deadline => Verdict::Live,
            deadline if now < deadline + grain => Verdict::Grace,
            _ => Verdict::Dead,
        }
    }

    /// When a sweep must remove it: 1/32 of its timeout after its deadline, or a tick after it.
    pub(crate) fn swept_by(&self, tick: u128) -> u128 {
        self.deadline() + (self.shortest() / 32).max(tick)
    }
}

/// Entries by key, those that have expired and wait for a sweep included.
pub(crate) struct Oracle {
    pub(crate) entries: BTreeMap<u16, Entry>,
    pub(crate) grain: u128,
    pub(crate) tick: u128,
    /// Time since the cache was built; stops at the horizon, as the cache's does.
    pub(crate) now: u128,
}

impl Oracle {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (grain, tick) = (settings.grain().into(), settings.tick.as_nanos());
        Oracle { entries: BTreeMap::new(), grain, tick, now: 0 }
    }

    pub(crate) fn verdict(&self, key: u16) -> Verdict {
        let entry = self.entries.get(&key);
        entry.map_or(Verdict::Dead, |entry| entry.verdict(self.now, self.grain))
    }

    /// The first entry from `key` on, or else the first one.
    pub(crate) fn from(&self, key: u16) -> Option<&Entry> {
        let later = self.entries.range(key..).next();
        later.or_else(|| self.entries.iter().next()).map(|(_, entry)| entry)
    }

    /// Follows a complete sweep: what must be gone is, and what has expired may be.
    pub(crate) fn swept(&mut self) {
        let (now, tick) = (self.now, self.tick);
        self.entries.retain(|_, entry| now < entry.swept_by(tick));
        self.doubt_expired();
    }

    /// Follows a sweep that may have removed any expired entry.
    pub(crate) fn doubt_expired(&mut self) {
        for entry in self.entries.values_mut() {
            entry.doubtful |= entry.deadline() < self.now;
        }
    }

    /// How many entries the cache holds, at least and at most.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        let certain = self.entries.values().filter(|entry| !entry.doubtful).count();
        (certain, self.entries.len())
    }

    pub(crate) fn shortest(&self) -> u128 {
        self.entries.values().map(Entry::shortest).min().unwrap_or(NEVER)
    }
}
