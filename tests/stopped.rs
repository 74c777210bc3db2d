//! A process that is stopped and continued while its caches are in use.
#![cfg(all(target_os = "linux", not(any(loom, shuttle))))]

use idlewheel::{Cache, Sweeper};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Shorter than a process waits for the processor, so entries expire at any time.
const IDLE: Duration = Duration::from_millis(5);
const STOPS: usize = 100;
/// Operations of a thread between two signs of life.
const ROUND: u64 = 200;
/// Seconds after which a process that hangs is killed.
const PATIENCE: u32 = 120;

/// One user of both caches, with keys of its own.
fn serve(sessions: &Cache<u64, u64>, keys: &Cache<u64, u64>, user: u64, is_over: &AtomicBool) {
    for round in 0.. {
        for key in (0..ROUND).map(|key| user * ROUND + key) {
            let before = Instant::now();
            sessions.insert(key, round).expect("there is room");
            let linked = keys.insert(key, round).is_ok();
            let found = (sessions.get(&key), keys.get(&key));
            // However long the process stood still in between: by then nothing was idle too long.
            if before.elapsed() <= IDLE {
                assert_eq!((linked, found), (true, (Some(round), Some(round))));
            }
            if key.is_multiple_of(3) {
                sessions.remove(&key);
                assert_eq!((keys.get(&key), sessions.get(&key)), (None, None));
            }
        }
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        // What the other process waits for.
        writeln!(std::io::stderr(), "alive").expect("somebody listens");
    }
}

/// Run by the other test, in a process of its own: works until its input ends.
#[test]
#[ignore = "works until its input ends"]
fn works_until_its_input_ends() {
    // SAFETY: asks for a signal that ends the process.
    unsafe { libc::alarm(PATIENCE) };
    let sessions = Cache::<u64, u64>::builder().idle_timeout(IDLE).build().unwrap();
    let keys = Cache::<u64, u64>::builder().linked_to(&sessions).build().unwrap();
    let sweeper = Sweeper::builder().interval(Duration::from_millis(1)).watch(&sessions);
    let sweeper = sweeper.spawn().expect("a thread can start");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for user in 0..3 {
            let (sessions, keys, is_over) = (&sessions, &keys, &is_over);
            scope.spawn(move || serve(sessions, keys, user, is_over));
        }
        let mut end = [0];
        assert_eq!(std::io::stdin().read(&mut end).expect("an end can be read"), 0);
        is_over.store(true, Ordering::Relaxed);
    });
    drop(sweeper);
    sessions.clear();
    while sessions.stats().pending_reclamation + keys.stats().pending_reclamation > 0 {
        sessions.flush();
    }
    for (cache, ended) in [(&sessions, sessions.stats()), (&keys, keys.stats())] {
        assert_eq!((ended.live, ended.inserted), (0, ended.removed.total()));
        cache.validate().expect("every structure agrees with every other");
    }
}

/// Waits until the process is in the state that `is_in` tells, by its signals.
fn wait_for(child: &Child, options: i32, is_in: fn(i32) -> bool) {
    let mut status = 0;
    let pid = child.id() as libc::pid_t;
    // SAFETY: `status` is ours, and written before the call returns.
    let changed = unsafe { libc::waitpid(pid, &raw mut status, options) };
    assert!(changed == pid && is_in(status), "it ended: {changed}, {status}");
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: our own child, which nobody has waited for.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
}

#[test]
fn a_process_that_is_stopped_and_continued_at_any_time_goes_on_and_its_accounts_are_exact() {
    let test = std::env::current_exe().expect("this is a program");
    let mut child = Command::new(&test)
        .args(["--exact", "--ignored", "--nocapture", "works_until_its_input_ends"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut told = Vec::new();
    for _ in 0..STOPS {
        signal(&child, libc::SIGSTOP);
        wait_for(&child, libc::WUNTRACED, |status| libc::WIFSTOPPED(status));
        signal(&child, libc::SIGCONT);
        wait_for(&child, libc::WCONTINUED, |status| libc::WIFCONTINUED(status));
        // Each of its threads may have had one line on its way.
        for _ in 0..4 {
            told.push(lines.next().expect("it goes on").expect("it can be read"));
        }
    }
    drop(child.stdin.take());
    told.extend(lines.map_while(Result::ok));
    let status = child.wait().expect("it was started");
    told.retain(|line| line != "alive");
    assert!(status.success(), "{status}: {told:?}");
}
