//! Where the subjects take their time from.

use idlewheel::{Clock, MockClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The idle timeout: 30 minutes, the default of idlewheel.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// A tick is 2^30 ns, 1.07 s: the step in which idlewheel counts by default with this timeout.
const TICK_BITS: u32 = 30;

/// A source of time. The maps with stamps made by hand read [`Time::tick`], idlewheel
/// [`Time::clock`], which goes with it; the mokas have clocks of their own.
pub trait Time: Clone + Send + Sync + 'static {
    /// The present tick.
    fn tick(&self) -> u32;
    /// The same for idlewheel.
    fn clock(&self) -> Clock;
    /// When entries expire.
    fn idle(&self) -> Duration {
        IDLE
    }
}

/// Ticks of a duration.
#[must_use]
pub const fn ticks(duration: Duration) -> u32 {
    (duration.as_nanos() >> TICK_BITS) as u32
}

/// The system's time: `CLOCK_MONOTONIC_COARSE` for the maps with stamps, the processor's counter for
/// idlewheel, or what an upkeep publishes of it where one runs.
#[derive(Clone, Debug, Default)]
pub struct Coarse;

impl Time for Coarse {
    #[inline]
    fn tick(&self) -> u32 {
        (coarse_nanos() >> TICK_BITS) as u32
    }

    fn clock(&self) -> Clock {
        Clock::system()
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn coarse_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(not(target_os = "linux"))]
fn coarse_nanos() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
}

/// Time that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct Mock {
    clock: Clock,
    handle: MockClock,
    ticks: Arc<AtomicU32>,
}

impl Default for Mock {
    fn default() -> Self {
        let (clock, handle) = Clock::mock();
        Mock { clock, handle, ticks: Arc::default() }
    }
}

impl Mock {
    /// Moves on.
    pub fn advance(&self, by: Duration) {
        self.set(self.handle.now() + by);
    }

    /// Moves to a time since the origin; never back.
    pub fn set(&self, time: Duration) {
        self.handle.set(time);
        self.ticks.fetch_max(ticks(time), Ordering::Relaxed);
    }
}

impl Time for Mock {
    #[inline]
    fn tick(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

/// Real time with another timeout, for peers whose time cannot be mocked.
#[derive(Clone, Debug)]
pub struct Real(
    /// The idle timeout.
    pub Duration,
);

impl Time for Real {
    fn tick(&self) -> u32 {
        Coarse.tick()
    }

    fn clock(&self) -> Clock {
        Clock::system()
    }

    fn idle(&self) -> Duration {
        self.0
    }
}
