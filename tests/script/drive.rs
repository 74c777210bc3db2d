//! Runs a script on a real cache, and compares every answer with the oracle's.

use super::oracle::{Entry, Limits, NEVER, Oracle, Verdict};
use super::value::{Hashing, Tally, Value};
use super::{BURST, Op, Read, Settings, Span};
use idlewheel::{
    Cache, Clock, InsertError, InsertErrorKind, Inserted, Lease, MockClock, RekeyError, Stats,
    SweepBudget, Timeouts,
};
use std::sync::Arc;
use std::time::Duration;

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

/// Operations between two full checks of the cache's structures.
const CHECK_EVERY: usize = 64;

/// Runs a script to its end. Returns what each operation answered, as numbers.
pub(crate) fn run(settings: &Settings, ops: &[Op]) -> Result<Vec<u64>, String> {
    let mut driver = Driver::new(settings);
    let mut answers = Vec::with_capacity(ops.len());
    for (number, op) in ops.iter().enumerate() {
        let blame = |fault| format!("operation {number}, {op:?}: {fault}");
        answers.push(driver.step(op).map_err(blame)?);
        if number % CHECK_EVERY == 0 {
            driver.check().map_err(blame)?;
        }
    }
    driver.finish()?;
    Ok(answers)
}

/// Why an entry was claimed by a lookup, when that is certain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Idle,
    Absolute,
    Either,
}

/// A cache and its oracle.
pub(crate) struct Driver {
    settings: Settings,
    pub(crate) cache: Cache<u16, Value, Hashing>,
    mock: MockClock,
    clock: u64,
    tally: Arc<Tally>,
    /// Leases, with the key and the first value of the entry.
    leases: Vec<(u16, u64, Lease<u16, Value, Hashing>)>,
    oracle: Oracle,
    defaults: Limits,
    /// When the last sweep began that reached its end.
    swept: u128,
    /// The shortest timeout of any entry since then.
    shortest: u128,
    /// No sweep before this time finds anything to expire.
    quiet_until: u128,
    inserted: u64,
    replaced: u64,
    explicit: u64,
    /// Attempts to give an entry another key since nothing waited.
    rekeys: u64,
    /// An entry that the present operation must have claimed because it expired.
    claimed: Option<Cause>,
    /// After the previous operation.
    stats: Stats,
}

impl Driver {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (clock, mock) = Clock::mock_at(Duration::from_nanos(settings.start));
        let mut builder =
            Cache::builder().clock(clock).tick(settings.tick).hasher(settings.hashing);
        builder = match settings.idle {
            Some(idle) => builder.idle_timeout(idle),
            None => builder.no_idle_timeout(),
        };
        if let Some(absolute) = settings.absolute {
            builder = builder.absolute_timeout(absolute);
        }
        if let Some(slots) = settings.slots {
            builder = builder.slot_limit(slots);
        }
        Driver {
            settings: *settings,
            cache: builder.initial_capacity(settings.capacity).build().expect("valid settings"),
            mock,
            clock: settings.start,
            tally: Arc::default(),
            leases: Vec::new(),
            oracle: Oracle::new(settings),
            defaults: Limits::of(settings),
            swept: 0,
            shortest: NEVER,
            quiet_until: 0,
            inserted: 0,
            replaced: 0,
            explicit: 0,
            rekeys: 0,
            claimed: None,
            stats: Stats::default(),
        }
    }

    /// Runs one operation and checks its answer and the accounts.
    pub(crate) fn step(&mut self, op: &Op) -> Result<u64, String> {
        let before = self.stats;
        self.claimed = None;
        let answer = self.apply(op, &before)?;
        self.stats = self.cache.stats();
        self.check_accounts(&before)?;
        Ok(answer)
    }

    fn apply(&mut self, op: &Op, before: &Stats) -> Result<u64, String> {
        match *op {
            Op::Read(read, key) => self.read(read, key),
            Op::Insert(key) => self.store(key, None, |cache, value| cache.insert(key, value)),
            Op::InsertNew(key) => self.store(key, None, |cache, value| {
                cache.insert_new(key, value).map(|()| Inserted::New)
            }),
            Op::InsertWith(key, idle, absolute) => self.insert_with(key, idle, absolute),
            Op::Update(key) => self.store(key, None, |cache, value| {
                cache.update(&key, value).map(|()| Inserted::Replaced)
            }),
            Op::Remove(key) => {
                let hit = self.cache.remove(&key);
                self.removed(key, hit)
            }
            Op::Take(key) => {
                let taken = self.cache.take(&key);
                self.check_value(key, taken.as_ref().map(|value| value.id))?;
                self.removed(key, taken.is_some())
            }
            Op::Renew(key) => {
                let hit = self.cache.renew(&key);
                self.judge(key, hit)?;
                if let Some(entry) = self.oracle.entries.get_mut(&key) {
                    (entry.created, entry.last) = (self.oracle.now, self.oracle.now);
                }
                Ok(hit.into())
            }
            Op::SetTimeouts(key, idle, absolute) => {
                let (timeouts, limits) = self.timeouts(idle, absolute);
                let hit = self.cache.set_timeouts(&key, timeouts);
                self.judge(key, hit)?;
                let now = self.oracle.now;
                if let Some(entry) = self.oracle.entries.get_mut(&key) {
                    (entry.last, entry.limits) = (now, limits);
                    entry.doubtful = entry.deadline() < now;
                }
                self.has_new_deadline(key);
                Ok(hit.into())
            }
            Op::Rekey(old, new) => self.rekey(old, new),
            Op::Hold(key) => self.hold(key),
            Op::Release(number) => self.release(number),
            Op::Burst(count) => {
                for key in BURST..BURST + count {
                    self.store(key, None, |cache, value| cache.insert(key, value))?;
                    self.claimed = None;
                }
                Ok(0)
            }
            Op::Clear => {
                self.cache.clear();
                ensure!(self.cache.is_empty(), "entries after a clear");
                self.explicit += before.live;
                self.oracle.entries.clear();
                Ok(before.live)
            }
            Op::Sweep => self.sweep(None),
            Op::SweepWithin(visits) => self.sweep(Some(visits.into())),
            Op::Flush => {
                self.cache.flush();
                Ok(0)
            }
            Op::Advance(step) => {
                self.advance(step.resolve(&self.settings, &self.oracle));
                Ok(0)
            }
        }
    }

    fn rekey(&mut self, old: u16, new: u16) -> Result<u64, String> {
        self.rekeys += 1;
        match self.cache.rekey(&old, new) {
            Ok(()) => {
                self.judge(old, true)?;
                self.judge(new, false)?;
                let mut entry = self.oracle.entries.remove(&old).expect("judged to be there");
                entry.last = self.oracle.now;
                self.oracle.entries.insert(new, entry);
                for lease in self.leases.iter_mut().filter(|lease| lease.0 == old) {
                    let is_its = self.oracle.entries[&new].first_id == lease.1;
                    lease.0 = if is_its { new } else { old };
                }
                self.has_new_deadline(new);
                Ok(1)
            }
            Err(RekeyError::Missing) => self.judge(old, false).map(|()| 2),
            Err(RekeyError::Exists) => {
                self.judge(old, true)?;
                self.judge(new, true).map(|()| 3)
            }
            Err(_) => {
                ensure!(self.settings.slots.is_some(), "full");
                self.judge(old, true).map(|()| 4)
            }
        }
    }

    fn hold(&mut self, key: u16) -> Result<u64, String> {
        let lease = self.cache.hold(&key);
        self.judge(key, lease.is_some())?;
        let now = self.oracle.now;
        let hit = lease.is_some();
        if let (Some(lease), Some(entry)) = (lease, self.oracle.entries.get_mut(&key)) {
            (entry.holds, entry.last) = (entry.holds + 1, now);
            entry.doubtful = entry.deadline() < now;
            self.leases.push((key, entry.first_id, lease));
            self.has_new_deadline(key);
        }
        Ok(hit.into())
    }

    fn release(&mut self, number: u8) -> Result<u64, String> {
        if self.leases.is_empty() {
            return Ok(0);
        }
        let (key, first_id, lease) =
            self.leases.swap_remove(usize::from(number) % self.leases.len());
        let is_live = lease.is_live();
        drop(lease);
        let (now, grain) = (self.oracle.now, self.oracle.grain);
        let entry = self.oracle.entries.get_mut(&key).filter(|entry| entry.first_id == first_id);
        let verdict = entry.as_ref().map_or(Verdict::Dead, |entry| entry.verdict(now, grain));
        ensure!(
            is_live || verdict != Verdict::Live,
            "the lease of a live entry says that it is dead"
        );
        ensure!(
            !is_live || verdict != Verdict::Dead,
            "the lease of a dead entry says that it lives"
        );
        if let Some(entry) = entry {
            (entry.holds, entry.last) = (entry.holds - 1, now);
            self.has_new_deadline(key);
        }
        Ok(is_live.into())
    }

    /// Moves the clock.
    pub(crate) fn advance(&mut self, nanos: u64) {
        self.mock.advance(Duration::from_nanos(nanos));
        self.clock = self.clock.saturating_add(nanos);
        self.oracle.now = (self.clock - self.settings.start).min(self.settings.horizon()).into();
    }

    /// Follows an operation that found a key or did not.
    fn judge(&mut self, key: u16, hit: bool) -> Result<(), String> {
        let verdict = self.oracle.verdict(key);
        ensure!(hit || verdict != Verdict::Live, "a live entry is not found");
        ensure!(!hit || verdict != Verdict::Dead, "a dead entry is found");
        if hit {
            if let Some(entry) = self.oracle.entries.get_mut(&key) {
                entry.doubtful = false;
            }
        } else if let Some(entry) = self.oracle.entries.remove(&key) {
            self.claimed = (!entry.doubtful).then(|| self.cause(&entry));
        }
        Ok(())
    }

    fn cause(&self, entry: &Entry) -> Cause {
        let (idle, absolute) = (entry.idle_deadline(), entry.absolute_deadline());
        if idle + self.oracle.grain <= absolute {
            Cause::Idle
        } else if absolute + self.oracle.grain <= idle {
            Cause::Absolute
        } else {
            Cause::Either
        }
    }

    fn read(&mut self, read: Read, key: u16) -> Result<u64, String> {
        let id = |value: &Value| value.id;
        let found = match read {
            Read::Get => self.cache.get(&key).map(|value| value.id),
            Read::GetWith => self.cache.get_with(&key, id),
            Read::PinnedGet => self.cache.pin().get(&key).map(id),
            Read::GetMany => {
                let pinned = self.cache.pin();
                let [first, second, third] = pinned.get_many([&key; 3]).map(|found| found.map(id));
                if first != second || second != third {
                    return Err(format!("one key, three values: {first:?} {second:?} {third:?}"));
                }
                first
            }
            Read::Peek => self.cache.peek(&key).map(|value| value.id),
            Read::PinnedPeek => self.cache.pin().peek(&key).map(id),
            Read::Touch => self.expected_id(key, self.cache.touch(&key)),
            Read::Contains => self.expected_id(key, self.cache.contains_key(&key)),
            Read::Remaining => {
                let remaining = self.cache.remaining(&key);
                if let (Some(remaining), Some(entry)) = (remaining, self.oracle.entries.get(&key)) {
                    self.check_remaining(remaining.idle, entry.idle_deadline())?;
                    self.check_remaining(remaining.absolute, entry.absolute_deadline())?;
                    let both = remaining.idle.into_iter().chain(remaining.absolute);
                    ensure!(remaining.shortest() == both.min(), "{remaining:?}");
                }
                self.expected_id(key, remaining.is_some())
            }
        };
        self.check_value(key, found)?;
        self.judge(key, found.is_some())?;
        if let Some(entry) = self.oracle.entries.get_mut(&key).filter(|_| read.touches()) {
            entry.last = self.oracle.now;
        }
        Ok(found.map_or(0, |id| id + 1))
    }

    fn expected_id(&self, key: u16, hit: bool) -> Option<u64> {
        hit.then(|| self.oracle.entries.get(&key).map_or(u64::MAX, |entry| entry.id))
    }

    fn check_value(&self, key: u16, found: Option<u64>) -> Result<(), String> {
        let expected = self.oracle.entries.get(&key).map(|entry| entry.id);
        ensure!(found.is_none() || found == expected, "found {found:?}, not {expected:?}");
        Ok(())
    }

    /// What is left is at most the truth, and less than a step below it.
    fn check_remaining(&self, left: Option<Duration>, deadline: u128) -> Result<(), String> {
        let (now, grain) = (self.oracle.now, self.oracle.grain);
        let horizon = u128::from(self.settings.horizon());
        match left {
            None => ensure!(deadline >= horizon, "no end, but it is at {deadline}"),
            Some(left) => {
                let end = now + left.as_nanos();
                ensure!(deadline < horizon + grain, "{left:?} left, but there is no end");
                ensure!(
                    end <= deadline.max(now),
                    "{left:?} is too much: end {deadline}, now {now}"
                );
                ensure!(
                    end + grain > deadline,
                    "{left:?} is too little: end {deadline}, now {now}"
                );
            }
        }
        Ok(())
    }

    fn removed(&mut self, key: u16, hit: bool) -> Result<u64, String> {
        self.judge(key, hit)?;
        if hit {
            self.oracle.entries.remove(&key);
            self.explicit += 1;
        }
        Ok(hit.into())
    }

    fn insert_with(
        &mut self,
        key: u16,
        idle: Option<Span>,
        absolute: Option<Span>,
    ) -> Result<u64, String> {
        let (timeouts, limits) = self.timeouts(idle, absolute);
        self.store(key, Some(limits), |cache, value| cache.insert_with(key, value, timeouts))
    }

    /// Timeouts, and what they come to in this cache.
    fn timeouts(&self, idle: Option<Span>, absolute: Option<Span>) -> (Timeouts, Limits) {
        let (mut timeouts, mut limits) = (Timeouts::new(), self.defaults);
        if let Some(idle) = idle.map(|span| span.resolve(&self.settings)) {
            timeouts = timeouts.idle(idle);
            limits.idle = idle.as_nanos();
        }
        if let Some(absolute) = absolute.map(|span| span.resolve(&self.settings)) {
            timeouts = timeouts.absolute(absolute);
            limits.absolute = absolute.as_nanos();
        }
        (timeouts, limits)
    }

    /// Offers a new value to the cache, and follows what it says.
    fn store(
        &mut self,
        key: u16,
        limits: Option<Limits>,
        offer: impl FnOnce(&Cache<u16, Value, Hashing>, Value) -> Result<Inserted, InsertError<Value>>,
    ) -> Result<u64, String> {
        let value = self.tally.value();
        let (id, now) = (value.id, self.oracle.now);
        let answer = match offer(&self.cache, value) {
            Ok(Inserted::New) => {
                self.judge(key, false)?;
                let entry = Entry::new(id, now, limits.unwrap_or(self.defaults));
                self.oracle.entries.insert(key, entry);
                self.inserted += 1;
                1
            }
            Ok(Inserted::Replaced) => {
                self.judge(key, true)?;
                let entry = self.oracle.entries.get_mut(&key).expect("judged to be there");
                (entry.id, entry.last) = (id, now);
                entry.limits = limits.unwrap_or(entry.limits);
                // Under a shorter absolute timeout it may be dead at once.
                entry.doubtful = entry.deadline() < now;
                self.inserted += 1;
                self.replaced += 1;
                2
            }
            Err(error) => {
                let kind = error.kind();
                ensure!(error.into_value().id == id, "another value came back");
                self.refused(key, kind)?
            }
        };
        self.has_new_deadline(key);
        Ok(answer)
    }

    /// Follows a change of an entry's timeouts.
    fn has_new_deadline(&mut self, key: u16) {
        if let Some(entry) = self.oracle.entries.get(&key) {
            self.shortest = self.shortest.min(entry.shortest());
        }
        self.quiet_until = 0;
    }

    fn refused(&mut self, key: u16, kind: InsertErrorKind) -> Result<u64, String> {
        match kind {
            InsertErrorKind::Exists => self.judge(key, true).map(|()| 3),
            InsertErrorKind::Missing => self.judge(key, false).map(|()| 4),
            _ => {
                ensure!(self.settings.slots.is_some(), "full");
                match self.oracle.verdict(key) {
                    Verdict::Live => {}
                    Verdict::Dead => self.judge(key, false)?,
                    Verdict::Grace => {
                        let entry = self.oracle.entries.get_mut(&key);
                        entry.expect("there is one in its grace").doubtful = true;
                    }
                }
                Ok(5)
            }
        }
    }

    fn sweep(&mut self, visits: Option<u64>) -> Result<u64, String> {
        let now = self.oracle.now;
        let (before, alive) = (self.stats, self.tally.alive());
        let budget = visits.map_or(SweepBudget::unlimited(), SweepBudget::visits);
        let report = self.cache.sweep_within(budget);
        let after = self.cache.stats();
        ensure!(report.visited == report.expired + report.survivors, "stale bits: {report:?}");
        ensure!(report.survivors == 0 || !self.is_regular(), "survivors: {report:?}");
        let expired = expiries(&after) - expiries(&before);
        ensure!(expired == report.expired, "{expired} expired in truth: {report:?}");
        ensure!(expired == before.live - after.live, "not all of it expired: {report:?}");
        ensure!(expired == 0 || now >= self.quiet_until, "was not due before: {report:?}");
        // A slot with a replaced value whose entry is removed as well is reclaimed at once.
        let dropped = (alive - self.tally.alive()) as u64;
        // One with a key that is no entry's any more holds no value.
        let slots = report.reclaimed.saturating_sub(2 * self.rekeys)..=2 * report.reclaimed;
        ensure!(slots.contains(&dropped), "{dropped} dropped in truth: {report:?}");
        ensure!(report.visited <= visits.unwrap_or(u64::MAX - 63) + 63, "budget: {report:?}");

        let complete = visits.is_none_or(|visits| report.visited < visits);
        if complete {
            self.oracle.swept();
            (self.swept, self.shortest) = (now, self.oracle.shortest());
            self.quiet_until = report.next_due.map_or(u128::MAX, |due| now + due.as_nanos());
        } else {
            self.oracle.doubt_expired();
            self.quiet_until = 0;
        }
        if !report.more {
            self.rekeys = 0;
            ensure!(after.pending_reclamation == 0, "nothing more to do, but {after:?}");
            let alive = self.tally.alive();
            ensure!(alive == after.live as i64, "{alive} values of {} entries", after.live);
        }
        // Not `reclaimed` and `more`, which depend on pins of other tests.
        let due = report.next_due.map_or(u64::MAX, |due| due.as_nanos() as u64);
        Ok(report.expired ^ (report.survivors << 16) ^ due.rotate_left(32))
    }

    /// Whether this sweep is early enough after the last one that no two buckets share a place.
    fn is_regular(&self) -> bool {
        self.oracle.now - self.swept <= self.shortest / 4 * 3
    }

    fn check_accounts(&self, before: &Stats) -> Result<(), String> {
        let after = &self.stats;
        let (least, most) = self.oracle.bounds();
        let len = after.live as usize;
        ensure!((least..=most).contains(&len), "{len} entries, not {least} to {most}");
        ensure!(after.inserted == after.live + after.removed.total(), "unbalanced: {after:?}");
        ensure!(after.inserted == self.inserted, "{} inserted: {after:?}", self.inserted);
        ensure!(after.removed.replaced == self.replaced, "{} replaced: {after:?}", self.replaced);
        ensure!(after.removed.explicit == self.explicit, "{} removed: {after:?}", self.explicit);
        ensure!(expiries(after) + self.replaced + self.explicit == after.removed.total(), "causes");
        ensure!(after.panics == 0, "a drop panicked");
        if let Some(cause) = self.claimed {
            let idle = after.removed.idle - before.removed.idle;
            let absolute = after.removed.absolute - before.removed.absolute;
            let right = match cause {
                Cause::Idle => (idle, absolute) == (1, 0),
                Cause::Absolute => (idle, absolute) == (0, 1),
                Cause::Either => idle + absolute == 1,
            };
            ensure!(right, "claimed for the wrong cause: {before:?} {after:?}");
        }
        Ok(())
    }

    /// Checks every structure of the cache and the copies of every value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let census = self.cache.validate()?;
        ensure!(census.live == self.cache.len() as u64, "{census:?}");
        ensure!(census.stale == 0, "stale bits: {census:?}");
        ensure!(self.tally.faults() == 0, "a value was dropped twice, or read after its drop");
        for (key, entry) in &self.oracle.entries {
            let copies = self.tally.copies(entry.id);
            ensure!(entry.doubtful || copies == 1, "{copies} copies of the value of {key}");
        }
        Ok(())
    }

    /// Looks at every entry once more, and at every value after the cache's drop.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        self.check()?;
        let keys: Vec<u16> = self.oracle.entries.keys().copied().collect();
        for key in keys {
            self.step(&Op::Read(Read::Peek, key)).map_err(|fault| format!("{key}: {fault}"))?;
        }
        self.check()?;
        drop(self.cache);
        let (alive, faults) = (self.tally.alive(), self.tally.faults());
        ensure!(alive == 0 && faults == 0, "{alive} values left, {faults} dropped twice");
        Ok(())
    }
}

fn expiries(stats: &Stats) -> u64 {
    stats.removed.idle + stats.removed.absolute
}
