//! What a timing wheel must do, by a map of deadlines.

use crate::script::Settings;
use idlewheel::{RemovalCause, Timeouts};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any time that a clock can show.
const NEVER: u128 = u128::MAX / 4;

/// Timeouts in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    idle: u128,
    absolute: u128,
}

impl Limits {
    /// Those of `settings`, where these do not say otherwise; and as the cache wants to hear them.
    pub(crate) fn new(
        settings: &Settings,
        idle: Option<Duration>,
        absolute: Option<Duration>,
    ) -> (Self, Timeouts) {
        let nanos = |timeout: Option<Duration>| timeout.map_or(NEVER, |t| t.as_nanos());
        let mut timeouts = Timeouts::new();
        if let Some(idle) = idle {
            timeouts = timeouts.idle(idle);
        }
        if let Some(absolute) = absolute {
            timeouts = timeouts.absolute(absolute);
        }
        let limits = Limits {
            idle: nanos(idle.or(settings.idle)),
            absolute: nanos(absolute.or(settings.absolute)),
        };
        (limits, timeouts)
    }

    fn shortest(self) -> u128 {
        self.idle.min(self.absolute)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Of its present value.
    pub(crate) id: u64,
    created: u128,
    last: u128,
    limits: Limits,
}

/// A value that nobody can read any more, and of whose end the cache has yet to tell.
#[derive(Clone, Copy, Debug)]
struct Ended {
    cause: RemovalCause,
    /// When a sweep must end it, at the latest.
    by: u128,
}

/// Entries by key, and their deadlines in order.
pub(crate) struct Deadlines {
    pub(crate) now: u128,
    /// The step in which the cache counts time, and what it was asked for.
    grain: u128,
    tick: u128,
    horizon: u128,
    pub(crate) entries: BTreeMap<u16, Entry>,
    /// By deadline; when a sweep must have removed the entry.
    due: BTreeMap<(u128, u16), u128>,
    ended: BTreeMap<u64, Ended>,
    /// The shortest timeout since the last sweep that reached its end.
    pub(crate) shortest: u128,
}

impl Deadlines {
    pub(crate) fn new(settings: &Settings) -> Self {
        Deadlines {
            now: 0,
            grain: settings.grain().into(),
            tick: settings.tick.as_nanos(),
            horizon: settings.horizon().into(),
            entries: BTreeMap::new(),
            due: BTreeMap::new(),
            ended: BTreeMap::new(),
            shortest: NEVER,
        }
    }

    /// The last nanosecond of the step in which `time` lies: until then an entry that was touched
    /// in it counts as touched just now.
    fn rounded(&self, time: u128) -> u128 {
        time | (self.grain - 1)
    }

    fn idle_deadline(&self, entry: &Entry) -> u128 {
        self.rounded(entry.last) + entry.limits.idle
    }

    fn absolute_deadline(&self, entry: &Entry) -> u128 {
        self.rounded(entry.created) + entry.limits.absolute
    }

    /// The last nanosecond at which an entry is live; none if the clock does not get there.
    fn deadline(&self, entry: &Entry) -> Option<u128> {
        let deadline = self.idle_deadline(entry).min(self.absolute_deadline(entry));
        (deadline < self.horizon).then_some(deadline)
    }

    /// When a sweep must remove it: 1/32 of its timeout, or a tick, after the deadline that its
    /// timeouts promise, which is that of `deadline` without the rounding.
    fn swept_by(&self, entry: &Entry) -> u128 {
        let promised = (entry.last + entry.limits.idle).min(entry.created + entry.limits.absolute);
        promised + (entry.limits.shortest() / 32).max(self.tick)
    }

    /// A new value; of a new entry, or of one that is there. `limits` replace an entry's own.
    pub(crate) fn store(&mut self, key: u16, id: u64, limits: Option<Limits>, default: Limits) {
        let now = self.now;
        let entry = match self.take(key) {
            Some(old) => {
                self.end(old.id, RemovalCause::Replaced, now);
                Entry { id, last: now, limits: limits.unwrap_or(old.limits), ..old }
            }
            None => Entry { id, created: now, last: now, limits: limits.unwrap_or(default) },
        };
        self.put(key, entry);
    }

    /// Changes an entry that is there, and counts as activity.
    pub(crate) fn change(&mut self, key: u16, change: impl FnOnce(&mut Entry, u128)) {
        if let Some(mut entry) = self.take(key) {
            entry.last = self.now;
            change(&mut entry, self.now);
            self.put(key, entry);
        }
    }

    pub(crate) fn renew(&mut self, key: u16) {
        self.change(key, |entry, now| entry.created = now);
    }

    pub(crate) fn set_limits(&mut self, key: u16, limits: Limits) {
        self.change(key, |entry, _| entry.limits = limits);
    }

    pub(crate) fn remove(&mut self, key: u16) {
        if let Some(entry) = self.take(key) {
            self.end(entry.id, RemovalCause::Explicit, self.now);
        }
    }

    fn take(&mut self, key: u16) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        if let Some(deadline) = self.deadline(&entry) {
            self.due.remove(&(deadline, key));
        }
        Some(entry)
    }

    fn put(&mut self, key: u16, entry: Entry) {
        self.shortest = self.shortest.min(entry.limits.shortest());
        self.entries.insert(key, entry);
        if let Some(deadline) = self.deadline(&entry) {
            self.due.insert((deadline, key), self.swept_by(&entry));
        }
        // Other timeouts may be over already.
        self.expire();
    }

    fn end(&mut self, id: u64, cause: RemovalCause, by: u128) {
        let twice = self.ended.insert(id, Ended { cause, by });
        assert!(twice.is_none(), "a value ends once");
    }

    /// Time goes on, up to what ticks can count.
    pub(crate) fn advance_to(&mut self, now: u128) {
        self.now = now.min(self.horizon);
        self.expire();
    }

    fn expire(&mut self) {
        while let Some(first) = self.due.first_entry().filter(|due| due.key().0 < self.now) {
            let ((deadline, key), by) = first.remove_entry();
            let entry = self.entries.remove(&key).expect("what is due is there");
            debug_assert_eq!(self.deadline(&entry), Some(deadline));
            let is_idle = self.idle_deadline(&entry) <= self.absolute_deadline(&entry);
            let cause = if is_idle { RemovalCause::Idle } else { RemovalCause::Absolute };
            self.end(entry.id, cause, by);
        }
    }

    /// The deadline of the first entry from `key` on, and when a sweep must remove it.
    pub(crate) fn deadlines_from(&self, key: u16) -> Option<(u128, u128)> {
        let later = self.entries.range(key..).next();
        let (_, entry) = later.or_else(|| self.entries.iter().next())?;
        Some((self.deadline(entry)?, self.swept_by(entry)))
    }

    /// What the clock says is left to an entry: at most the truth, and less than a step below it.
    pub(crate) fn check_remaining(&self, key: u16, left: Option<Duration>) {
        let Some(deadline) = self.entries.get(&key).and_then(|entry| self.deadline(entry)) else {
            assert!(
                left.is_none_or(|left| self.now + left.as_nanos() + self.grain >= self.horizon)
            );
            return;
        };
        let left = left.expect("an entry with a deadline has some time left").as_nanos();
        let end = self.now + left;
        assert!(end <= deadline && deadline < end + 2 * self.grain, "{end}, not {deadline}");
    }

    /// The cache tells of the end of a value.
    pub(crate) fn told(&mut self, id: u64, cause: RemovalCause) {
        let ended = self.ended.remove(&id).expect("only what has ended is told of, once");
        assert_eq!(ended.cause, cause, "another cause");
    }

    /// Values whose end was not told yet.
    pub(crate) fn untold(&self) -> usize {
        self.ended.len()
    }

    /// Follows a sweep that reached its end: all is told that had to end by now. Returns when the
    /// next one must have something to do, at the latest.
    pub(crate) fn swept(&mut self) -> u128 {
        let late = self.ended.values().find(|ended| ended.by <= self.now);
        assert!(late.is_none(), "at {} still there: {late:?}", self.now);
        self.shortest =
            self.entries.values().map(|entry| entry.limits.shortest()).min().unwrap_or(NEVER);
        let waiting = self.ended.values().map(|ended| ended.by).min();
        waiting.into_iter().chain(self.due.values().copied()).min().unwrap_or(u128::MAX)
    }
}
