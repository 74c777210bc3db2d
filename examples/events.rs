//! Hands removal events to a thread and to an asynchronous task of their own, so that no listener
//! ever keeps a server waiting: `cargo run --release --example events`.
//!
//! A listener runs on whichever thread drops the value. Work that takes time, such as writing an
//! audit log or telling other servers, belongs elsewhere: the listener sends what it needs into a
//! channel without a bound, which never blocks, and somebody else receives it.

use idlewheel::{Cache, Clock, RemovalCause, Sweeper};
use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What the rest of the server has to know of the end of a session.
#[derive(Debug)]
struct Ended {
    session: u64,
    user: String,
    cause: RemovalCause,
}

const MINUTE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let (to_thread, audits) = mpsc::channel();
    let (to_task, mut logouts) = tokio::sync::mpsc::unbounded_channel();
    let (clock, mock) = Clock::mock();
    let sessions: Cache<u64, String> = Cache::builder()
        .clock(clock)
        .on_removal(move |session, user: &String, cause| {
            let ended = || Ended { session: *session, user: user.clone(), cause };
            // Neither blocks. If nobody receives any more, there is nobody to tell.
            _ = to_thread.send(ended());
            if cause == RemovalCause::Explicit {
                _ = to_task.send(ended());
            }
        })
        .build()?;

    let audit = thread::spawn(move || {
        // Ends when the cache, and with it the listener, is dropped.
        for Ended { session, user, cause } in audits {
            println!("audit: session {session} of {user} ended: {cause:?}");
        }
    });
    // Events come as soon as values are dropped: at most so much later than removed.
    let sweeper =
        Sweeper::builder().interval(Duration::from_millis(20)).watch(&sessions).spawn()?;

    for (session, user) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        sessions.insert(session, user.to_owned())?;
    }
    mock.advance(20 * MINUTE);
    sessions.touch(&2);
    sessions.remove(&3);
    mock.advance(20 * MINUTE); // and alice was idle for longer than half an hour

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let logout = runtime.block_on(logouts.recv()).ok_or("the cache is gone")?;
    println!("task: telling other servers that {} has logged out", logout.user);
    assert_eq!(logout.session, 3);

    drop(sweeper);
    drop(sessions); // bob's session ends with it
    audit.join().map_err(|_| "the audit thread panicked")?;
    Ok(())
}
