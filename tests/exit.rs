//! The end of a process in which a cache is in use, and its forked children.
#![cfg(not(any(loom, shuttle)))]

use idlewheel::{Cache, Sweeper};
use std::cell::RefCell;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

static SESSIONS: OnceLock<Cache<u64, String>> = OnceLock::new();

/// Uses the cache when its thread's locals are destroyed.
struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let sessions = SESSIONS.get().expect("set before any thread begins");
        sessions.insert(1, "at the end".to_owned()).expect("there is room");
        sessions.get(&1);
        sessions.flush();
    }
}

thread_local! {
    static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

/// Run by the other test, in a process of its own.
#[test]
#[ignore = "ends the process"]
fn exits_while_threads_use_a_static_cache() {
    let sessions = SESSIONS.get_or_init(Cache::new);
    std::mem::forget(Sweeper::builder().watch(sessions).spawn().expect("a thread can start"));
    for seed in 0..4u64 {
        thread::spawn(move || {
            LAST.with_borrow_mut(|last| *last = Some(AtTheEnd));
            for key in seed.. {
                sessions.insert(key % 1000, key.to_string()).expect("there is room");
                sessions.get(&(key % 777));
                sessions.remove(&(key % 555));
            }
        });
    }
    LAST.with_borrow_mut(|last| *last = Some(AtTheEnd));
    while sessions.stats().inserted < 10_000 {
        thread::yield_now();
    }
    std::process::exit(0);
}

#[test]
fn a_process_ends_while_threads_use_a_static_cache() {
    let test = std::env::current_exe().expect("this is a program");
    for _ in 0..20 {
        let args = ["--exact", "--ignored", "exits_while_threads_use_a_static_cache"];
        let output = Command::new(&test).args(args).output().expect("it can be started");
        assert!(output.status.success(), "{output:?}");
    }
}

#[cfg(unix)]
mod fork {
    use idlewheel::{Cache, Sweeper, Upkeep};
    use std::ffi::c_int;
    use std::process::Command;
    use std::time::Instant;

    unsafe extern "C" {
        fn fork() -> c_int;
        fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
        fn _exit(status: c_int) -> !;
        fn alarm(seconds: u32) -> u32;
    }

    /// Ends a process that does not come to its end.
    const PATIENCE: u32 = 30;

    /// Runs `child` in a forked process. Returns its exit code.
    fn forked(child: impl FnOnce() -> c_int) -> c_int {
        // SAFETY: the child runs what it is given, which waits for no thread and no lock of the
        // parent's, and then ends without unwinding into the test.
        match unsafe { fork() } {
            0 => {
                // SAFETY: takes a number.
                unsafe { alarm(2 * PATIENCE) };
                let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
                // SAFETY: ends the process.
                unsafe { _exit(code.unwrap_or(99)) }
            }
            pid => {
                assert!(pid > 0, "a process can start");
                let mut status = 0;
                // SAFETY: `status` is valid for writes, and the process is this one's child.
                assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
                assert_eq!(status & 0x7f, 0, "ended by signal {}", status & 0x7f);
                status >> 8 & 0xff
            }
        }
    }

    /// Whether time goes on for an entry. The child only looks: it inherits no thread.
    fn goes_on(cache: &Cache<u32, u32>) -> bool {
        let left = || cache.remaining(&1).and_then(|left| left.idle);
        let (first, begin) = (left(), Instant::now());
        while left() == first {
            if begin.elapsed().as_secs() > PATIENCE.into() {
                return false;
            }
        }
        first.is_some()
    }

    /// Run by the other test, in a process of its own.
    #[test]
    #[ignore = "forks"]
    fn forks_while_an_upkeep_runs() {
        let sessions: Cache<u32, u32> = Cache::new();
        for _ in 0..10 {
            let handle = Upkeep::start().expect("a thread can start");
            let sweeper = Sweeper::builder().watch(&sessions).spawn().expect("a thread can start");
            sessions.insert(1, 1).expect("there is room");
            let before = forked(|| i32::from(!goes_on(&sessions)));
            let after = forked(|| {
                drop(handle);
                i32::from(!goes_on(&sessions))
            });
            assert_eq!((before, after), (0, 0), "time stands still in a child");
            assert!(goes_on(&sessions), "in the parent");
            drop(sweeper);
        }
    }

    #[test]
    fn time_goes_on_in_a_forked_child() {
        let test = std::env::current_exe().expect("this is a program");
        let args = ["--exact", "--ignored", "fork::forks_while_an_upkeep_runs"];
        let output = Command::new(&test).args(args).output().expect("it can be started");
        assert!(output.status.success(), "{output:?}");
    }
}
