//! Two session systems over a day, each beside the maps and the timer that it replaces:
//!
//! ```sh
//! cargo run --release --example session_keys -- [options]
//! ```
//!
//! `--help` explains the rest.

#[path = "session_keys/args.rs"]
mod args;
#[path = "session_keys/day.rs"]
mod day;
#[path = "replay/meter.rs"]
mod meter;
#[path = "session_keys/original.rs"]
mod original;
#[path = "session_keys/ours.rs"]
mod ours;
#[path = "session_keys/pair.rs"]
mod pair;
#[path = "session_keys/report.rs"]
mod report;
#[path = "session_keys/story.rs"]
mod story;
#[path = "shared/terminal.rs"]
mod terminal;

use args::Options;
use day::{Act, DAY, Event, HOUR};
use idlewheel::{BuildError, Clock, MockClock};
use original::Policy;
use ours::Memory;
use pair::{Pair, Tally};
use std::process::ExitCode;
use std::time::Duration;
use terminal::{complain, print};

/// Between sweeps, and between walks.
const EVERY: u32 = 300;
/// A day, and the time for all that it leaves to end.
const SPAN: u32 = DAY + 2 * HOUR;

/// A measured day.
pub(crate) struct Outcome {
    pub(crate) options: Options,
    pub(crate) pairs: [(Policy, Pair); 2],
    /// Its midnight, on the mock clock.
    pub(crate) start: u32,
    /// What all caches took after the first day and after the second.
    pub(crate) bytes: [u64; 2],
}

impl Outcome {
    /// What the checks found wrong.
    fn faults(&self) -> Vec<String> {
        self.pairs.iter().flat_map(|(_, pair)| pair.faults.told.clone()).collect()
    }

    /// The second day has to leave what the first one did.
    fn memory_fault(&self) -> Option<String> {
        let [first, second] = self.bytes;
        (first.abs_diff(second) > self.slack())
            .then(|| format!("{first} B after the first day became {second} B"))
    }

    /// By how much the bytes may differ.
    pub(crate) fn slack(&self) -> u64 {
        self.pairs.iter().map(|(_, pair)| pair.slack()).sum()
    }
}

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => return print(args::HELP, 0),
        Err(error) => {
            complain(&format!("{error}; see --help"));
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(outcome) => {
            let mut faults = outcome.faults();
            faults.extend(outcome.memory_fault());
            faults.iter().for_each(|fault| complain(fault));
            print(&report::render(&outcome), u8::from(!faults.is_empty()))
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(1)
        }
    }
}

/// Plays the day twice: the memory after it is compared with that after the first time, when all
/// that the caches keep for reuse was there already.
fn run(options: Options) -> Result<Outcome, BuildError> {
    let (clock, mock) = Clock::mock();
    let events = day::day(options.users, options.seed);
    let memory = Memory::default();
    let pair = |policy| Ok((policy, Pair::new(policy, options.users, &clock, &memory)?));
    let mut pairs = [pair(Policy::Idle)?, pair(Policy::Verified)?];
    let mut bytes = [0; 2];
    for (start, bytes) in [0, SPAN].into_iter().zip(&mut bytes) {
        for (_, pair) in &mut pairs {
            pair.restart();
        }
        play(&mut pairs, &events, start, &mock);
        for (_, pair) in &mut pairs {
            pair.end_day();
        }
        *bytes = u64::try_from(memory.borrow().bytes()).unwrap_or(0);
    }
    Ok(Outcome { options, pairs, start: SPAN, bytes })
}

/// One day from `start` on, and what is left of it until the start of the next.
fn play(pairs: &mut [(Policy, Pair); 2], events: &[Event], start: u32, mock: &MockClock) {
    let mut events = events.iter().peekable();
    let mut before = [Tally::default(), Tally::default()];
    for sweep in (EVERY..=SPAN).step_by(EVERY as usize) {
        while let Some(event) = events.next_if(|event| event.second < sweep) {
            let now = start + event.second;
            mock.set(Duration::from_secs(u64::from(now)));
            for (_, pair) in pairs.iter_mut() {
                pair.step(event.user, event.act, now);
            }
            if event.act == Act::Probe {
                probe(pairs, event.user, now, mock);
            }
        }
        let now = start + sweep;
        mock.set(Duration::from_secs(u64::from(now)));
        for ((_, pair), before) in pairs.iter_mut().zip(&mut before) {
            if sweep % HOUR == 0 && sweep <= DAY {
                pair.end_row(sweep / HOUR, before);
                *before = pair.tally.clone();
            }
            pair.sweep(now);
        }
    }
}

/// Steps through the second `now` to see when a user's key goes.
fn probe(pairs: &mut [(Policy, Pair); 2], user: u32, now: u32, mock: &MockClock) {
    let mut gone = [None; 2];
    for ms in 0..=100 {
        mock.set(Duration::from_millis(u64::from(now) * 1000 + u64::from(ms)));
        for ((_, pair), gone) in pairs.iter().zip(&mut gone) {
            if gone.is_none() && !pair.has_key(user) {
                *gone = Some(ms);
            }
        }
    }
    for ((_, pair), gone) in pairs.iter_mut().zip(gone) {
        pair.probed(user, now, gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_days_have_no_faults_and_are_the_same_when_played_again() {
        for (users, seed) in [(1, 1), (300, 1), (300, 2)] {
            let play = || {
                let outcome = run(Options { users, seed }).unwrap();
                // Not its memory: other tests of the process allocate meanwhile.
                assert_eq!(outcome.faults(), [""; 0], "{users}, {seed}");
                let text = report::render(&outcome);
                text.lines().last().unwrap_or_default().to_owned()
            };
            let line = play();
            assert!(line.contains(" orphans=0 stale_reads=0 visited="), "{line}");
            assert_eq!(line, play());
        }
    }
}
