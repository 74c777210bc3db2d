//! The upkeep of the process across `fork`, in a process of its own.

use super::upkeep::{PROCESS, Upkeep};
use std::ffi::c_int;
use std::process::Command;
use std::thread;

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: u32) -> u32;
}

/// Seconds after which a process that hangs is ended.
const PATIENCE: u32 = 60;

/// Runs `child` in a forked process, and returns its exit code.
fn forked(child: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the child waits for no thread and takes no lock of the parent's, and ends before it
    // gets back to the test.
    let pid = unsafe { fork() };
    if pid == 0 {
        // SAFETY: both take a number; the second one ends the process.
        unsafe {
            alarm(PATIENCE);
            _exit(child())
        }
    }
    assert!(pid > 0, "a process can start");
    let mut status = 0;
    // SAFETY: `status` is valid for writes, and the process is a child of this one.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status & 0x7f, 0, "ended by a signal");
    status >> 8 & 0xff
}

/// Whether somebody publishes the time.
fn is_kept() -> bool {
    PROCESS.published.is_kept()
}

/// Waits until a thread that was started has published the time.
fn wait_for_upkeep() {
    while !is_kept() {
        thread::yield_now();
    }
}

/// The first step at which something else happens than should; 0: none.
fn first_fault(steps: &mut dyn Iterator<Item = bool>) -> c_int {
    steps.zip(1..).find(|(right, _)| !right).map_or(0, |(_, step)| step)
}

fn life_of_a_child(inherited: [Upkeep; 2]) -> c_int {
    let [first, second] = inherited;
    if is_kept() {
        return 1;
    }
    drop(first);
    let Ok(own) = Upkeep::start() else { return 2 };
    wait_for_upkeep();
    // It is the parent's, and ends nothing here.
    drop(second);
    let kept = is_kept();
    let grandchild = forked(|| {
        let at_first = is_kept();
        let started = Upkeep::start();
        wait_for_upkeep();
        drop(started);
        first_fault(&mut [!at_first, !is_kept()].into_iter())
    });
    let meanwhile = is_kept();
    drop(own);
    first_fault(&mut [true, true, kept, grandchild == 0, meanwhile, !is_kept()].into_iter())
}

/// Run by the other test, which gives it a process.
#[test]
#[ignore = "forks"]
fn forks_while_an_upkeep_runs() {
    for round in 0..50 {
        let handles = [(); 2].map(|()| Upkeep::start().expect("a thread can start"));
        if round % 2 == 0 {
            wait_for_upkeep();
        }
        let fault = forked(|| {
            // A copy of the parent's handles: those stay where they are.
            // SAFETY: the child ends without dropping the original.
            let copy = unsafe { std::ptr::read(&raw const handles) };
            life_of_a_child(copy)
        });
        assert_eq!(fault, 0, "round {round}");
        wait_for_upkeep();
        drop(handles);
        assert!(!is_kept(), "the parent's own handles are the last ones");
    }
}

#[test]
fn a_forked_child_forgets_the_upkeep_and_may_start_one_of_its_own() {
    let test = std::env::current_exe().expect("this is a program");
    let args = ["--exact", "--ignored", "clock::fork_tests::forks_while_an_upkeep_runs"];
    let output = Command::new(&test).args(args).output().expect("it can be started");
    assert!(output.status.success(), "{output:?}");
}
