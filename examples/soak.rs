//! Soaks two linked caches: sessions, and the key of each, under the load of a busy site for twenty
//! days of a mock clock, with exact accounts, counted drops, and memory that has to stay flat:
//!
//! ```sh
//! cargo run --release --example soak -- [options]
//! ```
//!
//! `--help` explains the rest.

#[path = "soak/args.rs"]
mod args;
#[path = "soak/audit.rs"]
mod audit;
#[path = "soak/caches.rs"]
mod caches;
#[path = "soak/faults.rs"]
mod faults;
#[path = "replay/load.rs"]
mod load;
#[path = "soak/memory.rs"]
mod memory;
#[path = "replay/meter.rs"]
mod meter;
#[path = "soak/pace.rs"]
mod pace;
#[path = "soak/tally.rs"]
mod tally;
#[path = "shared/terminal.rs"]
mod terminal;
#[path = "soak/values.rs"]
mod values;
#[path = "soak/worker.rs"]
mod worker;

use args::Options;
use audit::Audit;
use caches::Caches;
use faults::Faults;
use meter::Account;
use pace::Pace;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use tally::Tally;
use terminal::{complain, print};
use values::Drops;
use worker::Worker;

/// The mock clock's minutes between two checks at rest. Whole days, so that all are at the same
/// hour, with about as many live entries.
const STAGE: u64 = 2 * load::MINUTES as u64;
/// From a check until midnight. They are at three in the afternoon, while most of those who came to
/// its peak are still live.
const AFTERWARDS: u64 = 9 * 60;
/// Stages in which as many requests come as were asked for.
const STAGES: u64 = 10;
/// The mock clock's minutes between two sweeps.
const SWEEP_EVERY: u64 = 5;

/// What all threads share.
pub(crate) struct Soak {
    caches: Caches,
    faults: Faults,
    pace: Pace,
    tallies: Vec<Tally>,
    /// Values of former caches, all dropped.
    before: Drops,
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
    end_with_any_panic();
    match run(&options, &mut |line| complain(line)) {
        Ok((text, faults)) => {
            faults.iter().for_each(|fault| complain(&format!("FAULT: {fault}")));
            print(&text, u8::from(!faults.is_empty()))
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(1)
        }
    }
}

/// Otherwise the other threads would wait for the one that panicked.
fn end_with_any_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        std::process::exit(1);
    }));
}

/// The report, and what was found wrong. `tell` gets a line after each stage.
fn run(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<(String, Vec<String>), String> {
    let (mut account, start) = (Account::default(), Instant::now());
    let (caches, clock) = account.charge(Caches::new).map_err(|error| error.to_string())?;
    let threads = options.threads;
    let soak = Soak {
        caches,
        faults: Faults::default(),
        // And the thread that sweeps.
        pace: Pace::new(threads + 1, clock),
        tallies: (0..threads).map(|_| Tally::default()).collect(),
        before: Drops::now(),
    };
    let mut workers: Vec<Worker> =
        (0..threads).map(|number| Worker::new(&soak, options, number)).collect();
    let mut audit = Audit::new(&soak, account);
    for stage in 1.. {
        let (begin, end) = (rest_after(stage - 1), rest_after(stage));
        // New threads in each stage: those of the last one have left nothing behind.
        thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(move || worker.work_until(end));
            }
            sweep_between(&soak, &mut audit, begin, end);
        });
        let of_workers = workers.iter().map(Worker::bytes).sum();
        tell(&audit.at_rest(end, of_workers, start.elapsed()));
        let is_enough = match options.minutes {
            None => stage >= STAGES,
            Some(minutes) => start.elapsed() >= Duration::from_secs(60 * minutes),
        };
        if is_enough || soak.faults.exist() {
            break;
        }
    }
    audit.drain();
    let of_workers = workers.iter().map(Worker::bytes).sum();
    let (mut account, mut rows) = audit.rows(of_workers);
    drop(workers);
    let Soak { caches, faults, before, .. } = soak;
    account.charge(|| drop(caches));
    audit::nothing_is_left(&faults, &before, account.bytes() + of_workers);
    rows.push(("time", format!("{:.1} s", start.elapsed().as_secs_f64())));
    let faults = faults.into_told();
    rows.push(("faults", faults.len().to_string()));
    let lines = rows.iter().map(|(name, value)| format!("{name:<22}{value}\n"));
    Ok((lines.collect(), faults))
}

/// The minute of the check after a stage; the first one is shorter.
fn rest_after(stage: u64) -> u64 {
    (stage * STAGE).saturating_sub(AFTERWARDS)
}

/// Sweeps while the others work, and looks at the accounts in flight.
fn sweep_between(soak: &Soak, audit: &mut Audit, begin: u64, end: u64) {
    let sweeper = soak.tallies.len();
    for minute in (begin..end).step_by(SWEEP_EVERY as usize) {
        audit.sweep();
        audit.in_flight();
        soak.pace.arrive(sweeper, minute + SWEEP_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_short_days_have_no_faults_with_one_thread_and_with_many() {
        for threads in [1, 5] {
            let options = Options { operations: 200_000, threads, seed: 7, minutes: None };
            let (text, faults) = run(&options, &mut |_| {}).expect("the caches can be built");
            assert_eq!(faults, [""; 0], "{text}");
        }
    }
}
