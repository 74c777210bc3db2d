//! Thousands of entries on few deadlines: the timing wheel against a map of deadlines.
//!
//! A listener says which values ended and why, so that no entry's end goes unchecked.
#![no_main]

mod bytes;
mod deadlines;
#[allow(dead_code)]
#[path = "../../tests/script/mod.rs"]
mod script;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use deadlines::{Deadlines, Limits};
use idlewheel::{Cache, Clock, MockClock, RemovalCause, SweepBudget, SweepReport};
use libfuzzer_sys::fuzz_target;
use script::{Hashing, Settings, Source, Span};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MOST_OPS: usize = 300;
/// Entries that all operations of one script visit together.
const MOST_VISITS: usize = 6_000;
/// Operations between two checks of all structures.
const CHECK_EVERY: usize = 50;

/// What is done to each of some keys in a row.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// With these timeouts, and the idle one longer by so many steps from key to key.
    Insert(Option<Span>, Option<Span>, u8),
    Replace,
    SetTimeouts(Option<Span>, Option<Span>),
    Renew,
    Touch,
    Get,
    Peek,
    Remaining,
    Remove,
}

/// How far the clock moves.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nanos(u64),
    /// To a deadline, and so many nanoseconds.
    Deadline(u16, i8),
    /// To when a sweep must have removed that entry, or a nanosecond earlier.
    SweptBy(u16, bool),
    /// To the next border of a bucket that is `1 << shift` steps wide, times so many buckets.
    Border(u8, u16, i8),
    /// To the time that the last sweep gave for the next one.
    Hint(i8),
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Each(Act, u16, u16),
    Advance(Step),
    Sweep(Option<u16>),
    Flush,
}

#[derive(Debug)]
struct Script {
    settings: Settings,
    ops: Vec<Op>,
}

fn draw_span(source: &mut impl Source) -> Option<Span> {
    (source.below(4) > 0).then(|| Span::draw(source))
}

fn draw_act(source: &mut impl Source) -> Act {
    match source.below(16) {
        0..6 => {
            let (idle, absolute) = (draw_span(source), draw_span(source));
            Act::Insert(idle, absolute, source.pick(&[0, 0, 0, 1, 2, 33, 64]))
        }
        6 => Act::Replace,
        7 | 8 => Act::SetTimeouts(draw_span(source), draw_span(source)),
        9 => Act::Renew,
        10 => Act::Touch,
        11 | 12 => Act::Get,
        13 => Act::Peek,
        14 => Act::Remaining,
        _ => Act::Remove,
    }
}

fn draw_key(source: &mut impl Source) -> u16 {
    // Groups of 64 slots and their borders.
    u16::from(source.byte()) * 32
}

fn draw_step(source: &mut impl Source) -> Step {
    let delta = |source: &mut dyn FnMut() -> u8| (source() % 3) as i8 - 1;
    let key = draw_key(source);
    match source.below(10) {
        0 => Step::Nanos(source.pick(&[0, 1, 1 << 22, u64::MAX])),
        1 => Step::Nanos(source.word() >> source.below(64)),
        2..6 => Step::Deadline(key, delta(&mut || source.byte())),
        6 => Step::SweptBy(key, source.below(2) == 0),
        7 | 8 => {
            let buckets = source.pick(&[1, 1, 2, 63, 64, 65, 127, 128, 255, 256, 257]);
            Step::Border(source.byte() % 36, buckets, delta(&mut || source.byte()))
        }
        _ => Step::Hint(delta(&mut || source.byte())),
    }
}

fn draw_op(source: &mut impl Source) -> Op {
    match source.below(32) {
        0..15 => {
            let counts = [1, 1, 1, 3, 3, 63, 64, 65, 300, 300, 2000, 4200];
            Op::Each(draw_act(source), draw_key(source), source.pick(&counts))
        }
        15..25 => Op::Advance(draw_step(source)),
        25..28 => Op::Sweep(None),
        28..31 => Op::Sweep(Some(source.pick(&[0, 1, 2, 63, 64, 65, 500]))),
        _ => Op::Flush,
    }
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let drawn = Settings::draw(&mut Bytes(bytes));
        let settings = Settings { slots: None, hashing: Hashing::Spread, ..drawn };
        let mut ops = Vec::new();
        while !bytes.is_empty() && ops.len() < MOST_OPS {
            ops.push(draw_op(&mut Bytes(bytes)));
        }
        Ok(Script { settings, ops })
    }
}

struct Driver {
    settings: Settings,
    cache: Cache<u16, u64, Hashing>,
    mock: MockClock,
    clock: u64,
    model: Deadlines,
    default: Limits,
    /// What the listener heard and the model has yet to hear.
    told: Arc<Mutex<Vec<(u64, RemovalCause)>>>,
    values: u64,
    /// When the last sweep began that reached its end.
    swept: u128,
    /// Before this time no sweep finds anything.
    quiet_until: u128,
}

impl Driver {
    fn new(settings: &Settings) -> Self {
        let (clock, mock) = Clock::mock_at(Duration::from_nanos(settings.start));
        let mut builder = Cache::builder().clock(clock).tick(settings.tick);
        builder = match settings.idle {
            Some(idle) => builder.idle_timeout(idle),
            None => builder.no_idle_timeout(),
        };
        if let Some(absolute) = settings.absolute {
            builder = builder.absolute_timeout(absolute);
        }
        let told = Arc::<Mutex<Vec<_>>>::default();
        let listener = Arc::clone(&told);
        let cache = builder
            .initial_capacity(settings.capacity)
            .hasher(settings.hashing)
            .on_removal(move |_, id, cause| listener.lock().unwrap().push((*id, cause)))
            .build()
            .expect("valid settings");
        Driver {
            settings: *settings,
            cache,
            mock,
            clock: settings.start,
            model: Deadlines::new(settings),
            default: Limits::new(settings, None, None).0,
            told,
            values: 0,
            swept: 0,
            quiet_until: 0,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Each(act, first, count) => {
                (first..first + count).for_each(|key| self.act(act, key, key - first));
            }
            Op::Advance(step) => self.advance(step),
            Op::Sweep(visits) => self.sweep(visits.map(u64::from)),
            Op::Flush => drop(self.cache.flush()),
        }
        self.hear();
        let stats = self.cache.stats();
        assert_eq!(stats.inserted, stats.live + stats.removed.total(), "{stats:?}");
        let (least, most) =
            (self.model.entries.len(), self.model.entries.len() + self.model.untold());
        assert!((least..=most).contains(&(stats.live as usize)), "{least} to {most}: {stats:?}");
    }

    /// Hands what the listener heard to the model.
    fn hear(&mut self) {
        for (id, cause) in self.told.lock().unwrap().drain(..) {
            self.model.told(id, cause);
        }
    }

    fn act(&mut self, act: Act, key: u16, number: u16) {
        let cache = &self.cache;
        let is_live = self.model.entries.contains_key(&key);
        let found = match act {
            Act::Insert(idle, absolute, stride) => {
                return self.insert(key, idle, absolute, u64::from(stride) * u64::from(number));
            }
            Act::Replace => return self.replace(key),
            Act::SetTimeouts(idle, absolute) => {
                let (limits, timeouts) = self.limits(idle, absolute, 0);
                self.quiet_until = 0;
                let found = self.cache.set_timeouts(&key, timeouts);
                self.model.set_limits(key, limits);
                found
            }
            Act::Renew => {
                let found = cache.renew(&key);
                self.model.renew(key);
                found
            }
            Act::Touch => {
                let found = cache.touch(&key);
                self.model.change(key, |_, _| {});
                found
            }
            Act::Get => {
                let found = cache.get(&key);
                self.check_value(key, found);
                self.model.change(key, |_, _| {});
                return;
            }
            Act::Peek => return self.check_value(key, cache.peek(&key)),
            Act::Remaining => {
                let left = cache.remaining(&key);
                if let Some(left) = left {
                    self.model.check_remaining(key, left.shortest());
                }
                left.is_some()
            }
            Act::Remove => {
                let found = cache.remove(&key);
                self.model.remove(key);
                found
            }
        };
        assert_eq!(found, is_live, "{key}");
    }

    fn check_value(&self, key: u16, found: Option<u64>) {
        assert_eq!(found, self.model.entries.get(&key).map(|entry| entry.id), "{key}");
    }

    fn limits(
        &self,
        idle: Option<Span>,
        absolute: Option<Span>,
        longer: u64,
    ) -> (Limits, idlewheel::Timeouts) {
        let longer = Duration::from_nanos(self.settings.grain().saturating_mul(longer));
        let resolve = |span: Span| span.resolve(&self.settings);
        let idle = idle.map(|idle| resolve(idle).saturating_add(longer));
        Limits::new(&self.settings, idle, absolute.map(resolve))
    }

    fn insert(&mut self, key: u16, idle: Option<Span>, absolute: Option<Span>, longer: u64) {
        let (limits, timeouts) = self.limits(idle, absolute, longer);
        self.quiet_until = 0;
        // Most entries of a server have their cache's timeouts.
        let is_usual = idle.is_none() && absolute.is_none();
        let done = match is_usual {
            true => self.cache.insert(key, self.values),
            false => self.cache.insert_with(key, self.values, timeouts),
        };
        done.expect("there is room");
        let limits = (!is_usual).then_some(limits);
        self.model.store(key, self.values, limits, self.default);
        self.values += 1;
    }

    fn replace(&mut self, key: u16) {
        let is_live = self.model.entries.contains_key(&key);
        assert_eq!(self.cache.update(&key, self.values).is_ok(), is_live, "{key}");
        if is_live {
            self.model.store(key, self.values, None, self.default);
        }
        self.values += 1;
    }

    fn advance(&mut self, step: Step) {
        let to = |time: u128, delta: i8| {
            let ahead = time.saturating_add_signed(delta.into()).saturating_sub(self.model.now);
            u64::try_from(ahead).unwrap_or(u64::MAX)
        };
        let nanos = match step {
            Step::Nanos(nanos) => nanos,
            Step::Deadline(key, delta) => {
                self.model.deadlines_from(key).map_or(0, |(deadline, _)| to(deadline, delta))
            }
            Step::SweptBy(key, early) => {
                self.model.deadlines_from(key).map_or(0, |(_, by)| to(by, -i8::from(early)))
            }
            Step::Border(shift, buckets, delta) => {
                let width = u128::from(self.settings.grain()) << shift;
                to((self.model.now / width + u128::from(buckets)) * width, delta)
            }
            Step::Hint(_) if self.quiet_until == u128::MAX => 0,
            Step::Hint(delta) => to(self.quiet_until, delta),
        };
        self.mock.advance(Duration::from_nanos(nanos));
        self.clock = self.clock.saturating_add(nanos);
        self.model.advance_to((self.clock - self.settings.start).into());
    }

    fn sweep(&mut self, visits: Option<u64>) {
        let before = self.cache.stats();
        let budget = visits.map_or(SweepBudget::unlimited(), SweepBudget::visits);
        let report = self.cache.sweep_within(budget);
        let most = visits.unwrap_or(u64::MAX);
        assert!(report.reclaimed <= most, "{report:?}");
        assert!(report.reclaimed == most || self.cache.stats().pending_reclamation == 0);
        // What it has expired and not dropped, for its budget.
        self.cache.flush();
        let after = self.cache.stats();
        self.hear();
        self.check_report(&report, visits.unwrap_or(u64::MAX - 63));
        assert_eq!(report.expired, before.live - after.live, "{report:?}");
        assert_eq!(after.pending_reclamation, 0, "nobody is pinned");
        // What has ended and is still there waits for its bucket.
        assert_eq!(after.live as usize, self.model.entries.len() + self.model.untold());
        if report.more {
            self.quiet_until = 0;
            return;
        }
        let now = self.model.now;
        let latest = self.model.swept();
        self.swept = now;
        self.quiet_until = report.next_due.map_or(u128::MAX, |due| now + due.as_nanos());
        assert!(self.quiet_until <= latest, "{latest} comes before the hint: {report:?}");
    }

    fn check_report(&self, report: &SweepReport, visits: u64) {
        let now = self.model.now;
        let is_regular = now - self.swept <= self.model.shortest / 4 * 3;
        assert_eq!(report.visited, report.expired + report.survivors, "stale bits: {report:?}");
        assert!(report.survivors == 0 || !is_regular, "{report:?}");
        assert!(report.visited <= visits + 63, "{report:?}");
        let is_over = report.visited.max(report.reclaimed) >= visits;
        assert!(!report.more || is_over, "it ended early: {report:?}");
        assert!(report.buckets <= 257 * 40, "walked tick by tick: {report:?}");
        assert!(report.expired == 0 || now >= self.quiet_until, "not due before: {report:?}");
    }

    fn validate(&self) {
        let census = self.cache.validate().expect("valid at rest");
        assert_eq!(census.stale, 0, "stale bits");
    }

    /// Sweeps once more when all must have died, and drops the cache.
    fn finish(mut self) {
        self.validate();
        self.apply(Op::Sweep(None));
        self.apply(Op::Advance(Step::Nanos(u64::MAX)));
        self.apply(Op::Sweep(None));
        self.validate();
        let left = self.model.entries.len() + self.model.untold();
        drop(self.cache);
        assert_eq!(self.told.lock().unwrap().len(), left, "what is left ends with the cache");
    }
}

fn visits(op: &Op) -> usize {
    match op {
        Op::Each(_, _, count) => usize::from(*count),
        _ => 1,
    }
}

fuzz_target!(|script: Script| {
    let mut driver = Driver::new(&script.settings);
    let mut visited = 0;
    for (number, op) in script.ops.iter().enumerate() {
        visited += visits(op);
        if visited > MOST_VISITS {
            break;
        }
        driver.apply(*op);
        if number % CHECK_EVERY == 0 {
            driver.validate();
        }
    }
    driver.finish();
});
