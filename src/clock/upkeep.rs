//! The thread that publishes the time, and its handles.

use super::counter::Counter;
use super::published::{FINEST_TICK, Published, Ticks};
use std::fmt;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Keeps the time of [`Clock::system`](crate::Clock::system) in memory: a lookup reads one word
/// (about 1 ns) instead of the processor's counter (10 to 25 ns).
///
/// The first handle starts one thread for the process, which writes down the time and runs nothing
/// else: no listener, no `Drop`, no sweep. The last handle's drop stops and joins it, and caches
/// read the counter again. A running [`Sweeper`](crate::Sweeper) has a handle.
///
/// The thread wakes four times a tick of the finest cache on the system clock: about four times a
/// second for timeouts of 30 minutes, and at most 470 times a second. Caches with
/// [ticks](crate::Builder::tick) below 8.4 ms read the counter all the same. Sweeps write down the
/// time, too.
///
/// # A thread that does not get to run
///
/// A cache relies on a time that is at most half a tick old; the thread aims at a quarter. If it is
/// held up for longer (by a debugger, or for want of a processor), the caches' time stands still
/// until it, or a sweep, goes on. Let the standstill last `s`: an expiry is then seen late by `s`
/// more, and an entry touched during it may expire early by up to `s` less half a tick. Nothing
/// else changes, and nothing waits. Start no upkeep, and spawn no sweeper, where that is worse than
/// the counter's cost.
///
/// # Fork
///
/// In a forked child the thread does not exist: caches read the counter there, until the child
/// starts an upkeep of its own. A handle that came with the fork does nothing when it drops.
///
/// ```
/// use idlewheel::{Cache, Upkeep};
///
/// let upkeep = Upkeep::start()?;
/// let sessions: Cache<u64, String> = Cache::new();
/// sessions.insert(1, "alice".to_owned())?;
/// assert!(sessions.touch(&1)); // by the time in memory
/// drop(upkeep);
/// assert!(sessions.touch(&1)); // by the counter
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the upkeep stops when its last handle drops"]
pub struct Upkeep {
    keeper: &'static Keeper,
    control: &'static Control,
}

impl Upkeep {
    /// Starts the thread, unless it runs already, and returns a handle.
    ///
    /// # Errors
    /// If the operating system does not give a thread, or has no memory to note what a forked child
    /// has to do.
    pub fn start() -> io::Result<Self> {
        let counter = Counter::of_process();
        fork::prepare()?;
        PROCESS.start(counter)
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        if !self.keeper.has(self.control) {
            // The control was the parent process's: its lock may be held by a thread that is not
            // here, and so is the thread that it would stop.
            return;
        }
        let thread = {
            let mut state = self.control.lock();
            state.handles -= 1;
            if state.handles > 0 {
                return;
            }
            state.turn += 1;
            // Under the lock, which the thread holds while it publishes: so it does no more.
            self.keeper.published.clear();
            self.control.changed.notify_all();
            state.thread.take()
        };
        // The lock is free, and the thread runs no code that could wait for us. It cannot panic.
        thread.map(JoinHandle::join);
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep").finish_non_exhaustive()
    }
}

/// The keeper of the process.
pub(super) static PROCESS: Keeper = Keeper::new();

/// All that the upkeep and its caches share.
pub(super) struct Keeper {
    pub(super) published: Published,
    ticks: Ticks,
    /// Null before the first upkeep of a process. Never freed, and never used by a forked child.
    control: AtomicPtr<Control>,
}

/// Where handles and thread meet. No user code runs under its lock.
struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    handles: usize,
    /// Which thread is to run; another number stops it.
    turn: u64,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    pub(super) const fn new() -> Self {
        let control = AtomicPtr::new(ptr::null_mut());
        Keeper { published: Published::new(), ticks: Ticks::new(), control }
    }

    pub(super) fn start(&'static self, counter: Counter) -> io::Result<Upkeep> {
        let control = self.control();
        let mut state = control.lock();
        if state.handles == 0 {
            state.turn += 1;
            let turn = state.turn;
            let thread = std::thread::Builder::new()
                .name("idlewheel-upkeep".into())
                .spawn(move || self.run(control, turn, counter))?;
            state.thread = Some(thread);
        }
        state.handles += 1;
        Ok(Upkeep { keeper: self, control })
    }

    /// Publishes the time, twice within each promise, until it is another thread's turn.
    fn run(&self, control: &Control, turn: u64, counter: Counter) {
        let mut state = control.lock();
        while state.turn == turn {
            let promise = self.ticks.promise();
            self.published.publish(counter.now(), promise);
            let nap = Duration::from_nanos(1 << (promise - 1));
            let waited = control.changed.wait_timeout(state, nap);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn control(&self) -> &'static Control {
        if let Some(control) = self.present_control() {
            return control;
        }
        let state = State { handles: 0, turn: 0, thread: None };
        let new =
            Box::into_raw(Box::new(Control { state: Mutex::new(state), changed: Condvar::new() }));
        // Release: hands on the new control; partner: `present_control`. Acquire: sees one that
        // another thread has handed on meanwhile.
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match self.control.compare_exchange(ptr::null_mut(), new, order.0, order.1) {
            // SAFETY: made by `Box::into_raw` above, and never freed once it is in the word.
            Ok(_) => unsafe { &*new },
            Err(present) => {
                // SAFETY: from `Box::into_raw` above; nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: not null, or the exchange had been made; what is in the word is never
                // freed.
                unsafe { &*present }
            }
        }
    }

    fn present_control(&self) -> Option<&'static Control> {
        // Acquire: sees the control as it was made; partner: the exchange in `control`.
        let control = self.control.load(Ordering::Acquire);
        // SAFETY: null, or a control that is never freed.
        unsafe { control.as_ref() }
    }

    fn has(&self, control: &Control) -> bool {
        self.present_control().is_some_and(|present| ptr::eq(present, control))
    }

    /// What a forked child has to forget: atomic stores only, as other threads' locks are held for
    /// ever there.
    fn forget(&self) {
        self.published.clear();
        // Relaxed: a child has one thread.
        self.control.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Makes the published time fit a cache with ticks of 2^`shift` nanoseconds.
    pub(super) fn register(&'static self, shift: u32) -> Option<Registered> {
        if shift < FINEST_TICK {
            return None;
        }
        self.ticks.raise(shift);
        if !self.published.serves(shift) {
            if let Some(control) = self.present_control() {
                // Under the lock: the thread has either seen the count, or waits already.
                let _state = control.lock();
                control.changed.notify_all();
            }
        }
        Some(Registered { keeper: self, shift })
    }
}

/// A cache that reads the published time, for as long as it lives.
pub(super) struct Registered {
    keeper: &'static Keeper,
    shift: u32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.keeper.ticks.lower(self.shift);
    }
}

#[cfg(all(unix, not(miri)))]
mod fork {
    use std::ffi::c_int;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    type Handler = Option<unsafe extern "C" fn()>;

    unsafe extern "C" {
        /// POSIX. std links the library that has it.
        fn pthread_atfork(before: Handler, in_parent: Handler, in_child: Handler) -> c_int;
    }

    unsafe extern "C" fn in_child() {
        super::PROCESS.forget();
    }

    /// Makes forked children forget the upkeep. Once in a process; children inherit it.
    pub(super) fn prepare() -> io::Result<()> {
        static PREPARED: AtomicBool = AtomicBool::new(false);
        // Relaxed: it guards no memory. Twice is harmless, so that threads which race here need not
        // wait for each other; partner: the store below.
        if !PREPARED.load(Ordering::Relaxed) {
            // SAFETY: the handler may run in any forked child: it only stores to atomics.
            let error = unsafe { pthread_atfork(None, None, Some(in_child)) };
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            // Relaxed: see above.
            PREPARED.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Without `fork` there is nothing to prepare.
#[cfg(not(all(unix, not(miri))))]
mod fork {
    pub(super) fn prepare() -> std::io::Result<()> {
        Ok(())
    }
}
