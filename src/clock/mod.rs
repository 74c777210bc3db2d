//! Time: the processor's counter or what an upkeep publishes of it, any function, or a mock that
//! tests move by hand.

mod counter;
mod published;
mod upkeep;

#[cfg(all(test, unix, not(any(loom, shuttle, miri))))]
mod fork_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod upkeep_tests;

pub use upkeep::Upkeep;

use counter::Counter;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use upkeep::{Keeper, Registered};

/// Where a cache takes its time from.
///
/// * [`Clock::system`]: the default. 10 to 25 ns a lookup, and about 1 ns while an [`Upkeep`] or a
///   [`Sweeper`](crate::Sweeper) runs in the process.
/// * [`Clock::from_fn`]: a function of yours, for any other time.
/// * [`Clock::mock`]: stands still until a test moves it.
///
/// # Suspend
///
/// Processors differ in whether their counter goes on while the machine is suspended: a session
/// idle for 20 minutes when a laptop sleeps may be idle for 20 minutes or for a night when it wakes.
/// Where that matters, use [`Clock::from_fn`] with a clock that says what it counts, such as
/// `CLOCK_BOOTTIME` on Linux, which counts the sleep.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System(System),
    Function(Arc<dyn Fn() -> Duration + Send + Sync>),
    /// The time of a mock, in nanoseconds. Only grows.
    Mock(Arc<AtomicU64>),
}

/// The counter, and who publishes its readings.
#[derive(Clone, Copy)]
struct System {
    keeper: &'static Keeper,
    counter: Counter,
    /// The finest tick of the caches that take their time from here, as a power of two; 0: there is
    /// none yet, and every reading is exact. Linked caches hand readings up to their parents, so
    /// a child's clock is as fine as its parents'.
    finest: u32,
}

impl System {
    #[inline(always)]
    fn now(&self) -> u64 {
        match self.keeper.published.read(self.finest) {
            Some(time) => time,
            None => self.counter.now(),
        }
    }
}

impl Clock {
    /// Reads the processor's counter, or what an [`Upkeep`] has last published of it.
    ///
    /// The counter is `quanta`'s: nanoseconds since the process first asked for it, one count for
    /// all system clocks of a process. A reading costs 10 to 25 ns, by processor. While an upkeep
    /// runs, a cache reads one word of memory for about 1 ns instead, if that word is promised to be
    /// at most half a [tick](crate::Builder::tick) old; [`Upkeep`] says what happens when its thread
    /// is held up.
    ///
    /// The first call in a process measures how fast the counter counts: for 0.6 ms on our machine,
    /// and for 200 ms at most. Threads that call it meanwhile wait for that; no lookup ever waits.
    ///
    /// ```
    /// use idlewheel::Clock;
    ///
    /// let clock = Clock::system();
    /// let before = clock.now();
    /// assert!(clock.now() >= before);
    /// ```
    #[must_use]
    pub fn system() -> Self {
        let (keeper, counter) = (&upkeep::PROCESS, Counter::of_process());
        Clock(Source::System(System { keeper, counter, finest: 0 }))
    }

    /// Takes the time from a function: that since boot, or that of a runtime which can be paused.
    ///
    /// The function returns the time since any fixed start. It should not go back; where it does,
    /// time stands still for a cache until it has caught up. It is called in each lookup, so its
    /// cost is theirs; it must not wait, panic, or use a cache.
    ///
    /// Two caches are linked by clones of one such clock, not by two clocks of one function.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Instant;
    ///
    /// let start = Instant::now(); // or a clock that goes on while the machine is suspended
    /// let clock = Clock::from_fn(move || start.elapsed());
    /// let sessions = Cache::builder().clock(clock).build()?;
    /// sessions.insert("alice", 1)?;
    /// assert!(sessions.touch("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_fn(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Clock(Source::Function(Arc::new(now)))
    }

    /// A clock that stands still, and the handle that moves it.
    ///
    /// ```
    /// use idlewheel::{Cache, Clock};
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// let sessions = Cache::builder().idle_timeout(Duration::from_secs(60)).clock(clock).build()?;
    /// sessions.insert("alice", 1)?;
    /// mock.advance(Duration::from_secs(61));
    /// assert_eq!(sessions.get("alice"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn mock() -> (Self, MockClock) {
        Self::mock_at(Duration::ZERO)
    }

    /// A mock that starts at `start`, to test how a cache behaves after a long uptime.
    #[must_use]
    pub fn mock_at(start: Duration) -> (Self, MockClock) {
        let time = Arc::new(AtomicU64::new(saturating_nanos(start)));
        (Clock(Source::Mock(Arc::clone(&time))), MockClock(time))
    }

    /// Returns the time since a start that is arbitrary, and fixed for this clock.
    ///
    /// An exact reading at full cost, upkeep or not.
    ///
    /// ```
    /// use idlewheel::Clock;
    /// use std::time::Duration;
    ///
    /// let (clock, mock) = Clock::mock();
    /// mock.advance(Duration::from_secs(5));
    /// assert_eq!(clock.now(), Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// Nanoseconds since the start of the clock. In a cache on the system clock a reading may be
    /// behind, and so go back between two readings, by half a tick.
    #[inline]
    fn nanos(&self) -> u64 {
        if let Source::System(system) = &self.0 { system.now() } else { self.nanos_elsewhere() }
    }

    /// Apart, so that the system clock is one branch away.
    #[inline(never)]
    fn nanos_elsewhere(&self) -> u64 {
        match &self.0 {
            Source::System(system) => system.now(),
            Source::Function(now) => saturating_nanos(now()),
            // Acquire: what a test did before it moved the clock is visible; partners:
            // `MockClock::advance`, `MockClock::set`.
            Source::Mock(time) => time.load(Ordering::Acquire),
        }
    }

    /// Whether two clocks always show one time.
    pub(crate) fn is_same(&self, other: &Clock) -> bool {
        match (&self.0, &other.0) {
            (Source::System(_), Source::System(_)) => true,
            (Source::Function(a), Source::Function(b)) => Arc::ptr_eq(a, b),
            (Source::Mock(a), Source::Mock(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The clock of a cache with ticks of 2^`shift` nanoseconds.
    pub(crate) fn for_cache(self, shift: u32) -> CacheClock {
        let Source::System(mut system) = self.0 else {
            return CacheClock { clock: self, behind: 0, _registered: None };
        };
        system.finest = if system.finest == 0 { shift } else { shift.min(system.finest) };
        let registered = system.keeper.register(system.finest);
        let clock = Clock(Source::System(system));
        CacheClock { clock, behind: (1 << shift) / 2, _registered: registered }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::System(_) => "Clock::system()",
            Source::Function(_) => "Clock::from_fn()",
            Source::Mock(_) => "Clock::mock()",
        })
    }
}

/// A clock that knows for which ticks it is read.
pub(crate) struct CacheClock {
    clock: Clock,
    behind: u64,
    _registered: Option<Registered>,
}

impl CacheClock {
    /// Nanoseconds since the start of the clock, at most `behind` ago.
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        self.clock.nanos()
    }

    /// For a linked cache, whose own clock is then as fine as this one.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// By how many nanoseconds a reading may be behind real time.
    pub(crate) fn behind(&self) -> u64 {
        self.behind
    }

    /// Publishes the present time, if an upkeep runs.
    pub(crate) fn freshen(&self) {
        if let Source::System(System { keeper, counter, .. }) = &self.clock.0 {
            if keeper.published.is_kept() {
                keeper.published.freshen(counter.now());
            }
        }
    }
}

/// Moves the time of a [`Clock::mock`]. Clones move the same clock.
#[derive(Clone)]
pub struct MockClock(Arc<AtomicU64>);

impl MockClock {
    /// Moves the clock forward. Saturates after 584 years.
    pub fn advance(&self, by: Duration) {
        let by = saturating_nanos(by);
        let step = |now: u64| Some(now.saturating_add(by));
        // Release: what a test did before; partner: `Clock::nanos_elsewhere`. Acquire: the time
        // that it was moved to before.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step);
    }

    /// Moves the clock to `time` since its origin. A step back is ignored: a cache never sees time
    /// go backwards.
    pub fn set(&self, time: Duration) {
        // AcqRel: as in `advance`.
        self.0.fetch_max(saturating_nanos(time), Ordering::AcqRel);
    }

    /// The present time since the origin.
    #[must_use]
    pub fn now(&self) -> Duration {
        // Acquire: as in `Clock::nanos_elsewhere`.
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

impl fmt::Debug for MockClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MockClock").field(&self.now()).finish()
    }
}

/// Nanoseconds of a duration, at most `u64::MAX` (584 years).
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_mock_never_goes_back_and_saturates() {
        let (clock, mock) = Clock::mock_at(Duration::from_secs(5));
        mock.set(Duration::from_secs(3));
        assert_eq!(clock.now(), Duration::from_secs(5));
        mock.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_function_saturates_and_is_the_clock_of_its_clones_only() {
        let clock = || Clock::from_fn(|| Duration::MAX);
        let (first, second) = (clock(), clock());
        assert_eq!(first.now(), Duration::from_nanos(u64::MAX));
        assert!(first.is_same(&first.clone()) && !first.is_same(&second));
        assert!(!first.is_same(&Clock::system()) && Clock::system().is_same(&Clock::system()));
        assert_eq!(format!("{first:?}"), "Clock::from_fn()");
    }
}
