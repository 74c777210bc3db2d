//! Timeouts, deadlines and ticks: the arithmetic of "idle for too long" and "too old".
//!
//! Times are nanoseconds since the cache was built. What is stored per entry is a *tick*, a power
//! of two of nanoseconds: the entry was touched (or created) somewhere within it. To be never
//! early, a deadline counts from the end of that tick.
//!
//! # Never early, late by at most two ticks
//!
//! Let a tick be `t` long, and a reading of the clock behind real time by at most `d`. A touch at
//! the real time `a` reads some `r` with `a - d <= r <= a`, and stamps the tick of `r + d`, whose
//! end `e` is at least `r + d` and less than `r + d + t`. With a timeout `T` the entry is live up to
//! and including `e + T` by the clock.
//!
//! * Never early: a reading is never ahead, so a miss at the real time `b` means
//!   `b > e + T >= r + d + T >= a + T`.
//! * Late by less than `d + t + d`: a reading at the real time `b` is at least `b - d`. So every
//!   read misses once `b - d > e + T`, and `e < a + d + t`.
//!
//! The system clock of a cache has `d = t / 2`, which makes two ticks: an upkeep promises a time
//! that is at most half a tick old, or the counter is read. Mocks and functions have `d = 0`, which
//! makes one tick.
//!
//! An upkeep that is held up breaks its promise, and a reading is behind by `d + s`. A miss then
//! means only `b > a + T - s`: an entry that is touched meanwhile may expire early by up to `s`, the
//! time by which the standstill exceeds half a tick. It is late by `s` more. Afterwards no trace
//! of it is left but in the stamps of those touches.

use crate::clock::saturating_nanos;
use crate::slab::{Birth, Head, MAX_TICK};
use crate::stats::RemovalCause;
use crate::sync::atomic::Ordering;
use crate::wheel::{Home, Plan};
use std::time::Duration;

/// Timeouts of one entry that differ from those of its cache.
///
/// What is not set is inherited. A timeout of [`Duration::MAX`] means "never".
///
/// ```
/// use idlewheel::{Cache, Clock, Timeouts};
/// use std::time::Duration;
///
/// let (clock, mock) = Clock::mock();
/// let sessions = Cache::builder().idle_timeout(Duration::from_secs(1800)).clock(clock).build()?;
/// let minute = Timeouts::new().idle(Duration::from_secs(60));
/// sessions.insert_with("not logged in yet", 1, minute)?;
/// mock.advance(Duration::from_secs(65));
/// assert!(!sessions.contains_key("not logged in yet"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    idle: Option<Duration>,
    absolute: Option<Duration>,
}

impl Timeouts {
    /// The timeouts of the cache, until they are set here.
    #[must_use]
    pub fn new() -> Self {
        Timeouts::default()
    }

    /// How long the entry lives without being touched.
    #[must_use]
    pub fn idle(mut self, timeout: Duration) -> Self {
        self.idle = Some(timeout);
        self
    }

    /// How long the entry lives at most, whatever its activity.
    #[must_use]
    pub fn absolute(mut self, timeout: Duration) -> Self {
        self.absolute = Some(timeout);
        self
    }
}

/// How long an entry has left; see [`Cache::remaining`](crate::Cache::remaining).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Until it expires if nobody touches it. `None`: it never does, or not while somebody
    /// [holds](crate::Cache::hold) it.
    pub idle: Option<Duration>,
    /// Until it expires whatever happens. `None`: it never does.
    pub absolute: Option<Duration>,
}

impl Remaining {
    /// Until the entry expires if nobody touches it. `None`: it never does.
    #[must_use]
    pub fn shortest(&self) -> Option<Duration> {
        [self.idle, self.absolute].into_iter().flatten().min()
    }
}

/// Stands for "never" in [`Limits`].
pub(crate) const NEVER: u64 = u64::MAX;

/// By default a tick is at most the shortest timeout divided by this.
const TICKS_PER_TIMEOUT: u64 = 1024;
/// The shortest tick by default: 4.2 ms. All ticks that a cache tells apart last for 9 years then.
const SHORTEST_TICK: u64 = 1 << 22;
/// The longest tick by default: 1.07 s.
const LONGEST_TICK: u64 = 1 << 30;

/// Timeouts in nanoseconds, [`NEVER`] for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
}

impl Limits {
    pub(crate) const NONE: Limits = Limits { idle: NEVER, absolute: NEVER };

    pub(crate) fn new(idle: Option<Duration>, absolute: Option<Duration>) -> Self {
        let nanos = |timeout: Option<Duration>| timeout.map_or(NEVER, saturating_nanos);
        Limits { idle: nanos(idle), absolute: nanos(absolute) }
    }

    /// These limits where `timeouts` does not say otherwise.
    pub(crate) fn overridden(self, timeouts: Timeouts) -> Self {
        Limits {
            idle: timeouts.idle.map_or(self.idle, saturating_nanos),
            absolute: timeouts.absolute.map_or(self.absolute, saturating_nanos),
        }
    }
}

/// What an entry's deadline is counted from, besides its last activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) limits: Limits,
    /// Tick of creation.
    pub(crate) created: u64,
    /// Leases on the entry: as long as there are any, it is not idle.
    pub(crate) holds: u32,
    /// No time, but changed as a part of the timing is: the keys that the entry was given.
    pub(crate) names: Names,
}

/// The slots that hold the keys of an entry that has another key than its first one; see
/// `core::names`. Each a slot and its generation in one number, or 0: the entry's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) latest: u64,
    pub(crate) former: u64,
}

impl Timing {
    /// That of an entry that nobody holds.
    pub(crate) fn new(limits: Limits, created: u64) -> Self {
        Timing { limits, created, holds: 0, names: Names::default() }
    }

    /// The idle timeout, as things are.
    #[inline]
    fn idle(&self) -> u64 {
        if self.holds > 0 { NEVER } else { self.limits.idle }
    }

    #[inline]
    fn shortest(&self) -> u64 {
        self.idle().min(self.limits.absolute)
    }
}

/// The clockwork of one cache: tick length, default limits and the plan of the wheel.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    shift: u32,
    horizon: u64,
    /// By how much the clock may be behind real time, in nanoseconds.
    behind: u64,
    /// The last reading of such a clock that is told apart from later ones.
    latest: u64,
    defaults: Limits,
    plan: Plan,
}

impl Schedule {
    /// A schedule for a cache that was asked to be at most `late` late. Ticks are at most half of
    /// that. `None`: nothing was asked, and ticks are at most 1/1024 of the shortest timeout.
    pub(crate) fn new(late: Option<Duration>, defaults: Limits) -> Self {
        let shortest = defaults.idle.min(defaults.absolute);
        let (shift, asked) = if let Some(late) = late {
            let asked = saturating_nanos(late).max(2);
            ((asked / 2).ilog2(), asked)
        } else {
            let shift = (shortest / TICKS_PER_TIMEOUT).clamp(SHORTEST_TICK, LONGEST_TICK).ilog2();
            (shift, 2 << shift)
        };
        let plan = Plan::new(1 << shift, asked, shortest);
        let horizon = MAX_TICK.saturating_mul(1 << shift);
        Schedule { shift, horizon, behind: 0, latest: horizon, defaults, plan }
    }

    /// The same for a clock that may be behind real time by so many nanoseconds.
    pub(crate) fn for_clock(self, behind: u64) -> Self {
        Schedule { behind, latest: self.horizon.saturating_sub(behind), ..self }
    }

    /// A tick as a power of two of nanoseconds.
    pub(crate) fn tick_shift(&self) -> u32 {
        self.shift
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    #[inline(always)]
    pub(crate) fn defaults(&self) -> Limits {
        self.defaults
    }

    /// The default timing, from the creation of an entry on.
    pub(crate) fn timing_since(&self, slot: &Head) -> Timing {
        // Relaxed: written before the slot was published, and constant until it is recycled.
        let birth = Birth(slot.birth.load(Ordering::Relaxed));
        Timing::new(self.defaults, birth.created())
    }

    /// The last time that is told apart from later ones.
    #[inline(always)]
    pub(crate) fn horizon(&self) -> u64 {
        self.horizon
    }

    /// Nanoseconds from `origin` to `time`, at most what ticks can tell apart.
    #[inline(always)]
    pub(crate) fn since(&self, origin: u64, time: u64) -> u64 {
        time.saturating_sub(origin).min(self.latest)
    }

    /// The same, if `time` is neither before `origin` nor beyond that: nearly always.
    #[inline(always)]
    pub(crate) fn plainly_since(&self, origin: u64, time: u64) -> Option<u64> {
        let now = time.wrapping_sub(origin);
        (now <= self.latest).then_some(now)
    }

    /// The tick that stands for activity at `now`, which is at most `latest`.
    #[inline(always)]
    pub(crate) fn stamp(&self, now: u64) -> u64 {
        (now + self.behind) >> self.shift
    }

    /// The end of a tick: when something happened in it, it was not later than this.
    fn end_of(&self, tick: u64) -> u64 {
        (tick + 1).saturating_mul(1 << self.shift) - 1
    }

    /// Whether an entry is expired at `now`: now > end of tick + timeout, for either.
    pub(crate) fn is_due(&self, last: u64, timing: Timing, now: u64) -> bool {
        self.is_over(last, timing.idle(), now)
            || self.is_over(timing.created, timing.limits.absolute, now)
    }

    /// Whether an entry with the default timing was idle for too long at `now`.
    #[inline(always)]
    pub(crate) fn is_idle(&self, last: u64, now: u64) -> bool {
        self.is_over(last, self.defaults.idle, now)
    }

    /// The first tick in which an entry with the default timing must have been touched not to be
    /// idle for too long at `now`.
    #[inline(always)]
    pub(crate) fn oldest(&self, now: u64) -> u64 {
        now.saturating_sub(self.defaults.idle) >> self.shift
    }

    /// Whether an entry with the default timing is too old at `now`.
    #[inline(always)]
    pub(crate) fn is_old(&self, slot: &Head, now: u64) -> bool {
        let absolute = self.defaults.absolute;
        // The comparison saves most caches the look at the birth.
        absolute != NEVER && self.is_over(self.timing_since(slot).created, absolute, now)
    }

    #[inline(always)]
    fn is_over(&self, tick: u64, limit: u64, now: u64) -> bool {
        // now > end of tick + limit  <=>  tick of (now - limit) > tick
        tick < now.saturating_sub(limit) >> self.shift
    }

    /// Which deadline of an entry comes first.
    #[cold]
    pub(crate) fn cause(&self, last: u64, timing: Timing) -> RemovalCause {
        let idle = self.end_of(last).saturating_add(timing.idle());
        let absolute = self.end_of(timing.created).saturating_add(timing.limits.absolute);
        if idle <= absolute { RemovalCause::Idle } else { RemovalCause::Absolute }
    }

    /// The last moment at which an entry is live, or `None` if time does not reach so far.
    #[inline]
    pub(crate) fn deadline(&self, last: u64, timing: Timing) -> Option<u64> {
        let idle = self.end_of(last).saturating_add(timing.idle());
        let absolute = self.end_of(timing.created).saturating_add(timing.limits.absolute);
        let deadline = idle.min(absolute);
        (deadline < self.horizon()).then_some(deadline)
    }

    /// The bucket in which an entry is filed, or `None` if it never expires.
    pub(crate) fn home(&self, last: u64, timing: Timing) -> Option<Home> {
        Some(self.home_at(self.deadline(last, timing)?, timing))
    }

    /// The same, of a deadline that is known.
    #[inline]
    pub(crate) fn home_at(&self, deadline: u64, timing: Timing) -> Home {
        self.plan.home(timing.shortest(), deadline)
    }

    /// The begin of a tick.
    pub(crate) fn start_of(&self, tick: u64) -> u64 {
        tick << self.shift
    }

    /// What is left at `now`, counted from the begin of the ticks: rather too little by a tick
    /// than too much.
    pub(crate) fn remaining(&self, last: u64, timing: Timing, now: u64) -> Remaining {
        let left = |tick: u64, limit: u64| {
            let deadline = self.start_of(tick).saturating_add(limit);
            // Not more than the whole: activity may be stamped later than the clock reads.
            let nanos = deadline.saturating_sub(now).min(limit);
            (deadline < self.horizon()).then(|| Duration::from_nanos(nanos))
        };
        Remaining {
            idle: left(last, timing.idle()),
            absolute: left(timing.created, timing.limits.absolute),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn schedule(tick_ms: u64, idle: u64, absolute: u64) -> Schedule {
        Schedule::new(Some(Duration::from_millis(tick_ms)), Limits { idle, absolute })
    }

    #[test]
    fn expiry_is_never_early_and_less_than_a_tick_late() {
        for tick_ms in [10, 33, 100] {
            for idle in [0, 1, 7 * MS, 999 * MS, 1_800_000 * MS + 1] {
                let schedule = schedule(tick_ms, idle, NEVER);
                let timing = Timing::new(schedule.defaults(), 0);
                for touched in [0, 1, 12_345_678, 99 * MS, 1 << 40] {
                    let last = schedule.stamp(touched);
                    assert!(!schedule.is_due(last, timing, touched + idle), "early");
                    let late = touched + idle + tick_ms * MS;
                    assert!(schedule.is_due(last, timing, late));
                    assert_eq!(schedule.cause(last, timing), RemovalCause::Idle);
                    let deadline = schedule.deadline(last, timing).unwrap();
                    assert!(!schedule.is_due(last, timing, deadline));
                    assert!(schedule.is_due(last, timing, deadline + 1));
                }
            }
        }
    }

    #[test]
    fn ticks_follow_the_shortest_timeout_unless_finer_ones_are_asked_for() {
        const SECOND: u64 = 1000 * MS;
        let table = [
            (1800 * SECOND, NEVER, 30),
            (NEVER, NEVER, 30),
            (NEVER, 10 * SECOND, 23),
            (10 * SECOND, 1800 * SECOND, 23),
            (1800 * SECOND, 10 * SECOND, 23),
            (1 << 38, NEVER, 28),
            ((1 << 38) - 1, NEVER, 27),
            (1 << 40, NEVER, 30),
            ((1 << 40) - 1, NEVER, 29),
            (1 << 32, NEVER, 22),
            (SECOND, NEVER, 22),
            (0, NEVER, 22),
        ];
        for (idle, absolute, shift) in table {
            let schedule = Schedule::new(None, Limits { idle, absolute });
            assert_eq!(schedule.tick_shift(), shift, "{idle} {absolute}");
        }
        let asked = |ms, idle| schedule(ms, idle, NEVER).tick_shift();
        assert_eq!((asked(10, 1800 * SECOND), asked(100, 1), asked(3_600_000, 1)), (22, 25, 40));
    }

    #[test]
    fn a_clock_that_is_behind_makes_nothing_early_and_is_late_by_two_ticks() {
        for idle in [0, 7 * MS, 10_000 * MS, 1_800_000 * MS + 1] {
            let schedule = Schedule::new(None, Limits { idle, absolute: NEVER });
            let tick = 1 << schedule.tick_shift();
            let behind = tick / 2;
            let schedule = schedule.for_clock(behind);
            let timing = Timing::new(schedule.defaults(), 0);
            for touched in [behind, tick - 1, tick, tick + 1, 12_345_678_901, 1 << 45] {
                for read in [touched - behind, touched - behind / 3, touched] {
                    let last = schedule.stamp(read);
                    assert!(!schedule.is_due(last, timing, touched + idle), "early");
                    // The most that a clock shows two ticks after the deadline, and the least.
                    let late = touched + idle + 2 * tick;
                    assert!(schedule.is_due(last, timing, late - behind), "late");
                    assert!(schedule.is_due(last, timing, late));
                }
            }
        }
    }

    #[test]
    fn the_earlier_deadline_gives_the_cause() {
        let schedule = schedule(100, 10_000 * MS, 15_000 * MS);
        let timing = Timing::new(schedule.defaults(), 0);
        let touched = schedule.stamp(9_000 * MS);
        let due =
            |last, now| schedule.is_due(last, timing, now).then(|| schedule.cause(last, timing));
        assert_eq!(due(touched, 14_900 * MS), None);
        assert_eq!(due(touched, 15_200 * MS), Some(RemovalCause::Absolute));
        assert_eq!(due(0, 10_200 * MS), Some(RemovalCause::Idle));
        assert_eq!(due(0, 30_000 * MS), Some(RemovalCause::Idle));
    }

    #[test]
    fn huge_timeouts_and_times_saturate() {
        let schedule = schedule(100, NEVER, NEVER - 1);
        let timing = Timing::new(schedule.defaults(), MAX_TICK);
        assert!(!schedule.is_due(MAX_TICK, timing, schedule.horizon()));
        assert_eq!(schedule.home(MAX_TICK, timing), None);
        assert_eq!(schedule.remaining(0, timing, 5).shortest(), None);
    }
}
