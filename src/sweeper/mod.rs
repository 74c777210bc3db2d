//! One thread, or one future, that sweeps many caches.

mod task;

use crate::Cache;
use crate::clock::Upkeep;
use crate::core::{Allowance, Core};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// 5 minutes.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

/// When to look again at values that a reader still saw.
const RETRY: Duration = Duration::from_millis(50);

/// A cache as its sweeper knows it: not its types, and not strongly.
trait Watched: Send + Sync {
    /// Sweeps, for about so long.
    fn sweep(&self, time: Option<Duration>) -> Swept;
}

/// What a sweep came to.
struct Swept {
    /// Something is left: the time was over, or a reader may still see removed values.
    more: bool,
    /// It did something.
    progress: bool,
}

impl<K, V, S> Watched for Core<K, V, S>
where
    K: Send + Sync,
    V: Send + Sync,
    S: Send + Sync,
{
    fn sweep(&self, time: Option<Duration>) -> Swept {
        let report = Core::sweep(self, Allowance::new(u64::MAX, time));
        let progress = report.walk.buckets + report.walk.visited + report.reclaimed > 0;
        Swept { more: report.more, progress }
    }
}

/// Sweeps caches at an interval, on a thread of its own. It stops, and is joined, when this drops.
///
/// It does not keep the caches alive. Values that it removes are dropped on its thread. It holds an
/// [`Upkeep`], whose thread keeps the time and runs none of your code: so lookups by the system
/// clock cost less while a sweeper runs, and a listener that takes long stops nobody's time.
///
/// ```
/// use idlewheel::{Cache, Sweeper};
///
/// let sessions: Cache<String, u64> = Cache::new();
/// let sweeper = Sweeper::builder().watch(&sessions).spawn()?; // every 5 minutes
/// # drop(sweeper);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Dropping it inside a value's `Drop` that runs on its own thread is fine: then the thread is not
/// joined, and ends after the present sweep.
#[must_use = "the sweeper stops when this drops"]
pub struct Sweeper {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
    /// Let go when the thread was joined. On its own thread that waits for nobody: the thread which
    /// ends then runs nothing but the clock.
    _upkeep: Upkeep,
}

/// Settings of a [`Sweeper`].
///
/// # A thread or a future?
///
/// [`spawn`](SweeperBuilder::spawn) a thread unless you have a reason not to: values are dropped on
/// it, nothing of a runtime waits for it, and it is there before the runtime and after it.
/// [`run_with`](SweeperBuilder::run_with) is for servers that want no thread beside those of their
/// runtime, and whose values are quick to drop.
#[must_use = "nothing is swept before `spawn` is called"]
pub struct SweeperBuilder {
    interval: Duration,
    caches: Vec<Weak<dyn Watched>>,
}

struct Control {
    state: Mutex<State>,
    changed: Condvar,
    /// Rounds that are finished.
    rounds: AtomicU64,
}

struct State {
    stop: bool,
    /// A round is wanted now.
    triggered: bool,
    caches: Vec<Weak<dyn Watched>>,
}

impl Sweeper {
    /// Starts to describe a sweeper.
    pub fn builder() -> SweeperBuilder {
        SweeperBuilder { interval: DEFAULT_INTERVAL, caches: Vec::new() }
    }

    /// Watches another cache, and those linked with it, from now on.
    pub fn watch<K, V, S, P>(&self, cache: &Cache<K, V, S, P>)
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let weak = weak(cache);
        self.control.lock().caches.push(weak);
    }

    /// Asks for a round now, without waiting for it.
    pub fn trigger(&self) {
        self.control.lock().triggered = true;
        self.control.changed.notify_all();
    }

    /// Rounds over all caches that were finished so far.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        // Acquire: pairs with the end of `round`; sees what the sweeps did.
        self.control.rounds.load(Ordering::Acquire)
    }

    /// The thread that sweeps, and drops what it removes.
    #[must_use]
    pub fn thread_id(&self) -> Option<ThreadId> {
        self.thread.as_ref().map(|thread| thread.thread().id())
    }
}

impl SweeperBuilder {
    /// The time from the end of one round to the begin of the next. Default: 5 minutes. Choose at
    /// most 3/4 of the shortest timeout, so that a sweep visits no survivors; 0 means 1 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sweeps this cache, and those linked with it, as long as somebody holds it.
    pub fn watch<K, V, S, P>(mut self, cache: &Cache<K, V, S, P>) -> Self
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        self.caches.push(weak(cache));
        self
    }

    /// Starts the thread, and that of the [`Upkeep`], unless it runs already.
    ///
    /// # Errors
    /// As [`Upkeep::start`], and if the operating system does not give a thread.
    pub fn spawn(self) -> io::Result<Sweeper> {
        let upkeep = Upkeep::start()?;
        let state = State { stop: false, triggered: false, caches: self.caches };
        let control = Arc::new(Control {
            state: Mutex::new(state),
            changed: Condvar::new(),
            rounds: AtomicU64::new(0),
        });
        let own = Arc::clone(&control);
        let interval = self.interval;
        let thread = std::thread::Builder::new()
            .name("idlewheel-sweeper".into())
            .spawn(move || own.run(interval))?;
        Ok(Sweeper { control, thread: Some(thread), _upkeep: upkeep })
    }
}

fn weak<K, V, S, P>(cache: &Cache<K, V, S, P>) -> Weak<dyn Watched>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: Send + Sync + 'static,
{
    let strong: Arc<dyn Watched> = Arc::clone(&cache.core) as _;
    Arc::downgrade(&strong)
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock, so a poisoned one is still in order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, interval: Duration) {
        let mut pause = interval;
        while self.wait(pause) {
            // What readers still saw is dropped soon after, not an interval later.
            pause = if self.round() { interval.min(RETRY) } else { interval };
        }
    }

    /// Waits for the next round. `false`: it is to stop.
    fn wait(&self, interval: Duration) -> bool {
        let begin = Instant::now();
        let mut state = self.lock();
        loop {
            if state.stop {
                return false;
            }
            let left = interval.saturating_sub(begin.elapsed());
            if state.triggered || left.is_zero() {
                state.triggered = false;
                return true;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sweeps every cache that is still there. `true`: something is left to drop.
    fn round(&self) -> bool {
        let caches = {
            let mut state = self.lock();
            state.caches.retain(|cache| cache.strong_count() > 0);
            state.caches.clone()
        };
        let mut left = false;
        for cache in caches {
            if self.lock().stop {
                return left;
            }
            let Some(cache) = cache.upgrade() else { continue };
            // A sweep catches the panics of values; whatever else goes wrong with one cache must
            // not end the service of the others.
            left |= catch_unwind(AssertUnwindSafe(move || cache.sweep(None).more)).unwrap_or(true);
        }
        // Release: pairs with `Sweeper::rounds`.
        self.rounds.fetch_add(1, Ordering::Release);
        left
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.control.lock().stop = true;
        self.control.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // On its own thread (a value's `Drop` owned the sweeper) a join would wait for ever.
            if thread.thread().id() != std::thread::current().id() {
                // The thread catches panics, so there is none to pass on.
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper").field("rounds", &self.rounds()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SweeperBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweeperBuilder")
            .field("interval", &self.interval)
            .field("caches", &self.caches.len())
            .finish()
    }
}
