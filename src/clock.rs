//! Time: the system's coarse monotonic clock, or a mock that tests move by hand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Where a cache takes its time from.
///
/// * [`Clock::system`]: the default, a coarse clock (about 3 ns a read on Linux).
/// * [`Clock::cached`]: the same clock, read from memory (0.3 ns) while a
///   [`Sweeper`](crate::Sweeper) runs in the process. Exact only as long as that thread gets to
///   run.
/// * [`Clock::boot_time`]: as before, but it goes on while the machine is suspended.
/// * [`Clock::mock`]: stands still until a test moves it.
///
/// # Suspend
///
/// On Linux the system clock is `CLOCK_MONOTONIC`, which stops while the machine is suspended: a
/// session idle for 20 minutes when a laptop sleeps is idle for 20 minutes when it wakes. With
/// [`Clock::boot_time`] the sleep counts, and everything may expire at once on wake-up.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Cached,
    BootTime,
    /// The time of a mock, in nanoseconds. Only grows.
    Mock(Arc<AtomicU64>),
}

impl Clock {
    /// The system's monotonic clock, read coarsely: steps of a few milliseconds.
    #[must_use]
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// The same clock, as a running [`Sweeper`](crate::Sweeper) last read it; without one, read
    /// directly.
    ///
    /// Saves about 3 ns a lookup. The price: when the sweeper's thread is suspended (by a debugger,
    /// or for want of a processor), time stands still for the cache, so entries expire late by as
    /// much; and entries touched meanwhile are stamped with the old time, so they may expire early
    /// by as much. Choose it where the timeouts are long and the threads are not starved.
    #[must_use]
    pub fn cached() -> Self {
        CACHE_WANTED.store(true, Ordering::Relaxed);
        Clock(Source::Cached)
    }

    /// The system's clock since boot, suspended time included. The same as [`Clock::system`] on
    /// systems that do not offer it (all but Linux). A read costs about 30 ns.
    #[must_use]
    pub fn boot_time() -> Self {
        Clock(Source::BootTime)
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

    /// Nanoseconds since some fixed point. Never goes back, but for a cached clock by its refresh
    /// interval, between threads.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if let Source::System = self.0 { os::coarse() } else { self.now_elsewhere() }
    }

    /// Apart, so that the system clock is one branch away.
    #[inline(never)]
    fn now_elsewhere(&self) -> u64 {
        match &self.0 {
            Source::System => os::coarse(),
            Source::Cached => match CACHED.load(Ordering::Relaxed) {
                // Relaxed: the time orders nothing; an old value is an early clock.
                0 => os::coarse(),
                cached => cached,
            },
            Source::BootTime => os::boot_time(),
            // Acquire: what a test did before it moved the clock is visible.
            Source::Mock(time) => time.load(Ordering::Acquire),
        }
    }
}

impl Clock {
    /// Whether two clocks always show the same time.
    pub(crate) fn is_same(&self, other: &Clock) -> bool {
        match (&self.0, &other.0) {
            (Source::Mock(a), Source::Mock(b)) => Arc::ptr_eq(a, b),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }

    /// By how many nanoseconds a reading may be behind real time.
    pub(crate) fn behind(&self) -> u64 {
        match &self.0 {
            Source::System => os::coarse_step(),
            Source::Cached => os::coarse_step() + saturating_nanos(REFRESH),
            Source::BootTime | Source::Mock(_) => 0,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::System => "Clock::system()",
            Source::Cached => "Clock::cached()",
            Source::BootTime => "Clock::boot_time()",
            Source::Mock(_) => "Clock::mock()",
        })
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
        // Release: pairs with `Clock::now`.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step);
    }

    /// Moves the clock to `time` since its origin. A step back is ignored: a cache never sees time
    /// go backwards.
    pub fn set(&self, time: Duration) {
        // Release: pairs with `Clock::now`.
        self.0.fetch_max(saturating_nanos(time), Ordering::AcqRel);
    }

    /// The present time since the origin.
    #[must_use]
    pub fn now(&self) -> Duration {
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

/// The system time as last refreshed by a waiting sweeper, or 0 if none keeps it fresh.
static CACHED: AtomicU64 = AtomicU64::new(0);
/// Whether any cache has asked for the cached time.
static CACHE_WANTED: AtomicBool = AtomicBool::new(false);
/// Sweepers that keep `CACHED` fresh at the moment.
static REFRESHERS: AtomicUsize = AtomicUsize::new(0);

/// How often a waiting sweeper refreshes the cached time. Part of the lateness of an expiry: see
/// [`Builder::tick`](crate::Builder::tick).
pub(crate) const REFRESH: Duration = Duration::from_millis(20);

/// Whether a waiting sweeper has to refresh the cached time.
pub(crate) fn cache_is_wanted() -> bool {
    CACHE_WANTED.load(Ordering::Relaxed)
}

/// Keeps the cached system time valid. While it exists its owner must call
/// [`CachedTime::refresh`] every [`REFRESH`]; a sweeper gives it up before it runs user code.
pub(crate) struct CachedTime(());

impl CachedTime {
    pub(crate) fn new() -> Self {
        REFRESHERS.fetch_add(1, Ordering::AcqRel);
        let this = CachedTime(());
        this.refresh();
        this
    }

    pub(crate) fn refresh(&self) {
        // Relaxed: see `Clock::now`. Maximum: two sweepers may store in either order.
        CACHED.fetch_max(os::coarse(), Ordering::Relaxed);
    }
}

impl Drop for CachedTime {
    fn drop(&mut self) {
        // AcqRel: no refresher stores after it has left. If a new one came in between, this
        // clears its time, and reads are coarse until it refreshes.
        if REFRESHERS.fetch_sub(1, Ordering::AcqRel) == 1 {
            CACHED.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(target_os = "linux")]
mod os {
    /// `CLOCK_MONOTONIC` as of the last timer interrupt: read without a system call.
    #[inline]
    pub(super) fn coarse() -> u64 {
        read(libc::CLOCK_MONOTONIC_COARSE)
    }

    /// How far apart two different readings of `coarse` are.
    pub(super) fn coarse_step() -> u64 {
        let mut step = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `step` is valid for writes. A failure would leave it zero.
        unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut step) };
        step.tv_nsec as u64
    }

    pub(super) fn boot_time() -> u64 {
        read(libc::CLOCK_BOOTTIME)
    }

    #[inline]
    fn read(clock: libc::clockid_t) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is valid for writes. The call cannot fail for these clocks; were it to,
        // time would read as zero, which expires nothing.
        unsafe { libc::clock_gettime(clock, &mut time) };
        // Since boot: 64 bits last for centuries.
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    use std::sync::OnceLock;

    /// quanta's calibrated counter, from the first use in this process on.
    pub(super) fn coarse() -> u64 {
        static START: OnceLock<(quanta::Clock, quanta::Instant)> = OnceLock::new();
        let (clock, start) = START.get_or_init(|| {
            let clock = quanta::Clock::new();
            let start = clock.now();
            (clock, start)
        });
        // One later than the start, because 0 means "no cached time".
        super::saturating_nanos(clock.now().duration_since(*start)).saturating_add(1)
    }

    pub(super) fn coarse_step() -> u64 {
        0
    }

    pub(super) fn boot_time() -> u64 {
        coarse()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_mock_never_goes_back_and_saturates() {
        let (clock, mock) = Clock::mock_at(Duration::from_secs(5));
        mock.set(Duration::from_secs(3));
        assert_eq!(clock.now(), 5_000_000_000);
        mock.advance(Duration::MAX);
        assert_eq!(clock.now(), u64::MAX);
    }

    #[test]
    fn the_system_clock_goes_forward_whether_cached_or_not() {
        let clock = Clock::cached();
        let before = clock.now();
        let cached = CachedTime::new();
        let during = clock.now();
        drop(cached);
        assert!(before > 0 && during >= before && clock.now() >= during);
    }
}
