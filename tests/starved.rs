//! Memory that runs out at any call of the allocator.
#![cfg(all(target_os = "linux", not(any(loom, shuttle))))]

use idlewheel::{Cache, Clock, Timeouts};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

struct Failing;

thread_local! {
    /// Calls of this thread until one fails. 0: none does.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Whether this call fails: one does, those that come after it do not.
fn fails() -> bool {
    let left = LEFT.try_with(|left| left.replace(left.get().saturating_sub(1)));
    left == Ok(1)
}

// SAFETY: every call either fails, as it may, or is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: by the caller's contract.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

const MINUTE: Duration = Duration::from_secs(60);
/// What the other process is told: which call fails.
const CALL: &str = "IDLEWHEEL_TEST_FAILING_CALL";
/// So few entries that the index grows, and no more: each call has a process of its own.
const ENTRIES: u64 = 300;

/// A little of everything that allocates.
fn use_caches() {
    let (clock, mock) = Clock::mock();
    let users = Cache::<u64, u64>::builder().clock(clock).on_removal(|_, _, _| {}).build().unwrap();
    let keys = Cache::<u64, u64>::builder().linked_to(&users).build().unwrap();
    let devices = Cache::<u64, u64>::builder().children_of(&users).max_children(2).build().unwrap();
    for user in 0..ENTRIES {
        users.insert(user, user).unwrap();
        keys.insert(user, user).unwrap();
        devices.insert_linked(user, user, &user).unwrap();
    }
    users.insert(1, 2).unwrap();
    users.get_or_insert_with(ENTRIES, || 1).unwrap();
    users.rekey(&1, ENTRIES + 1).unwrap();
    users.insert_with(2, 2, Timeouts::new().idle(MINUTE)).unwrap();
    let lease = users.hold(&3);
    mock.advance(29 * MINUTE);
    assert!((0..ENTRIES).filter(|user| users.touch(user)).count() > 200);
    users.retain(|user, _| user % 2 == 1);
    mock.advance(31 * MINUTE);
    drop(lease);
    while users.sweep().more {}
    for cache in [users.stats(), keys.stats(), devices.stats()] {
        assert_eq!(cache.inserted, cache.live + cache.removed.total());
    }
    users.validate().unwrap();
    keys.validate().unwrap();
    devices.validate().unwrap();
}

/// Run by the other test, in a process of its own.
#[test]
#[ignore = "may end the process"]
fn runs_out_of_memory_at_the_call_that_it_is_told() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads the limit that it is given: no core is to be dumped.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    let call: u64 = std::env::var(CALL).expect("told").parse().expect("a number");
    LEFT.set(call);
    use_caches();
    // Told by its name, since the process is a success as well if the call was survived.
    assert_eq!(LEFT.replace(0), 0, "fewer calls than that");
}

#[test]
fn an_allocator_that_fails_at_any_call_aborts_the_process_or_is_survived() {
    let test = std::env::current_exe().expect("this is a program");
    let (mut aborted, mut survived) = (0, 0);
    // A process for each call would be a thousand: later ones are tried more sparsely.
    for call in std::iter::successors(Some(1u64), |call| Some(call + 1 + call / 32)) {
        let output = Command::new(&test)
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("runs_out_of_memory_at_the_call_that_it_is_told")
            .env(CALL, call.to_string())
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("it can be started");
        let told = String::from_utf8_lossy(&output.stderr);
        match (output.status.signal(), output.status.success()) {
            (Some(libc::SIGABRT), _) => {
                assert!(told.contains("memory allocation of"), "call {call}: {told}");
                aborted += 1;
            }
            (None, true) => survived += 1,
            (None, false) if told.contains("fewer calls than that") => {
                assert!(call > 500 && aborted > 100, "{call}, {aborted}, {survived}");
                return;
            }
            _ => panic!("call {call}: {output:?}"),
        }
    }
}
