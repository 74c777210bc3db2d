//! The end of a process in which a cache is in use.
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
