//! A flood of session ids that nobody ever uses again, against a cache that is bounded: who is
//! still logged in afterwards, and how much memory it took.
//!
//! ```sh
//! cargo run --release --example flood             # 10,000,000 ids
//! cargo run --release --example flood -- 500000   # fewer
//! ```
//!
//! 50,000 users are active, each once a minute; the cache has room for 100,000 sessions; the flood
//! brings 5,000 ids a second. Time is a mock clock's.

use idlewheel::{Cache, CapacityPolicy, Clock, InsertErrorKind, Timeouts};
use std::error::Error;
use std::time::Duration;

const PLACES: usize = 100_000;
const USERS: u64 = 50_000;
/// Each user comes once in so many seconds.
const EVERY: u64 = 60;
/// Ids of the flood in a second.
const RATE: u64 = 5_000;
/// How long a session has to prove itself where that is asked for.
const TRIAL: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
struct Defence {
    name: &'static str,
    policy: CapacityPolicy,
    /// Whether ids are on trial until they come again.
    trial: bool,
}

const DEFENCES: [Defence; 3] = [
    Defence {
        name: "evict the soonest to expire",
        policy: CapacityPolicy::EvictSoonestToExpire,
        trial: false,
    },
    Defence {
        name: "the same, new ids on trial for 5 s",
        policy: CapacityPolicy::EvictSoonestToExpire,
        trial: true,
    },
    Defence { name: "reject new ids", policy: CapacityPolicy::RejectNew, trial: false },
];

#[derive(Default)]
struct Outcome {
    /// Requests of users that found their session.
    kept: u64,
    lost: u64,
    refused: u64,
    most_entries: usize,
    most_waiting: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let ids = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse())?;
    println!("{ids} ids that come once, {USERS} users that come every {EVERY} s, {PLACES} places");
    for defence in DEFENCES {
        let outcome = flood(ids, defence)?;
        let share = outcome.kept as f64 / (outcome.kept + outcome.lost).max(1) as f64;
        println!(
            "{:36} {:5.1} % of the users' requests found their session; {} ids refused; at most {} \
             entries, and {} that wait to be dropped",
            defence.name,
            100.0 * share,
            outcome.refused,
            outcome.most_entries,
            outcome.most_waiting,
        );
        if outcome.most_entries > PLACES || outcome.most_waiting > 2 * PLACES as u64 {
            return Err("memory was not bounded".into());
        }
    }
    Ok(())
}

fn flood(ids: u64, defence: Defence) -> Result<Outcome, Box<dyn Error>> {
    let (clock, mock) = Clock::mock();
    let builder = Cache::builder().clock(clock).max_entries(PLACES);
    let sessions: Cache<u64, u64> = builder.capacity_policy(defence.policy).build()?;
    for user in 0..USERS {
        sessions.insert(user, user)?;
    }
    let mut outcome = Outcome::default();
    let mut next = USERS;
    for second in 0..ids.div_ceil(RATE) {
        for user in (second % EVERY * USERS / EVERY)..((second % EVERY + 1) * USERS / EVERY) {
            if sessions.touch(&user) {
                outcome.kept += 1;
            } else {
                // The user logs in again, if that is possible.
                outcome.lost += 1;
                let _ = sessions.insert(user, user);
            }
        }
        for id in next..next + RATE {
            let trial = Timeouts::new().idle(TRIAL);
            let timeouts = if defence.trial { trial } else { Timeouts::new() };
            match sessions.insert_with(id, id, timeouts) {
                Ok(_) => {}
                Err(error) if error.kind() == InsertErrorKind::AtCapacity => outcome.refused += 1,
                Err(error) => return Err(error.into()),
            }
        }
        next += RATE;
        outcome.most_entries = outcome.most_entries.max(sessions.len());
        outcome.most_waiting = outcome.most_waiting.max(sessions.stats().pending_reclamation);
        mock.advance(Duration::from_secs(1));
    }
    sessions.validate()?;
    Ok(outcome)
}
