//! Replays a request log through the cache under the log's own time and tells what happened:
//!
//! ```sh
//! cargo run --release --example replay -- [options] [FILE]
//! ```
//!
//! Without a file it generates a load. `--help` explains the rest.

#[path = "replay/args.rs"]
mod args;
#[path = "replay/engine.rs"]
mod engine;
#[path = "replay/input.rs"]
mod input;
#[path = "replay/load.rs"]
mod load;
#[path = "replay/meter.rs"]
mod meter;
#[path = "replay/parse.rs"]
mod parse;
#[path = "replay/report.rs"]
mod report;
#[path = "shared/terminal.rs"]
mod terminal;

use args::{Input, Options};
use indicatif::{ProgressBar, ProgressStyle};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use terminal::{complain, print};

/// The same load on every run.
const SEED: u64 = 1998;
const DAYS: f64 = 2.0;

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => return print(args::HELP, 0),
        Err(error) => {
            complain(&format!("{error}; see --help"));
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok((text, code)) => print(&text, code),
        Err(message) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

/// The report and the exit code, or why there is none.
fn run(options: &Options) -> Result<(String, u8), String> {
    let mut source = Source::open(&options.input)
        .map_err(|error| format!("{}: {error}", name(&options.input)))?;
    let mut replay = engine::Replay::new(options).map_err(|error| error.to_string())?;
    let bar = source.bar();
    let start = Instant::now();
    let (mut key, mut requests) = (Vec::new(), 0u64);
    let cut_off = loop {
        match source.next(&mut key) {
            Ok(Some(at)) => replay.request(at, &key),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        requests += 1;
        if requests % 4096 == 0 {
            bar.set_position(source.position());
        }
    };
    let outcome = replay.finish();
    let took = start.elapsed();
    bar.finish_and_clear();

    let mut code = 0;
    if let Some(error) = cut_off {
        let message = format!("{}: {error}", name(&options.input));
        if source.is_unread() {
            return Err(message);
        }
        complain(&format!("{message}; the report covers what came before"));
        code = 1;
    }
    if let Some(fault) = outcome.fault() {
        complain(&fault);
        code = 1;
    }
    let origin = source.origin(&options.input);
    Ok((report::render(options, &origin, &outcome, took), code))
}

enum Source {
    Load(load::Load),
    Log(input::Log),
}

impl Source {
    fn open(input: &Input) -> io::Result<Source> {
        Ok(match input {
            Input::Load { sessions } => Source::Load(load::Load::new(*sessions, DAYS, SEED)),
            Input::Stdin => Source::Log(input::Log::stdin()?),
            Input::File(path) => Source::Log(input::Log::open(path)?),
        })
    }

    fn next(&mut self, key: &mut Vec<u8>) -> io::Result<Option<Duration>> {
        match self {
            Source::Load(load) => Ok(load.next().map(|request| {
                key.clear();
                key.extend_from_slice(&request.key);
                request.at
            })),
            Source::Log(log) => log.next(key),
        }
    }

    fn is_unread(&self) -> bool {
        matches!(self, Source::Log(log) if log.lines == 0)
    }

    fn position(&self) -> u64 {
        match self {
            Source::Load(load) => load.started,
            Source::Log(log) => log.consumed(),
        }
    }

    /// Draws on standard error, and only if that is a terminal.
    fn bar(&self) -> ProgressBar {
        let total = match self {
            Source::Load(load) => Some(load.total),
            Source::Log(log) => log.total,
        };
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{wide_bar} {percent:>3} %  {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes} read"),
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn origin(&self, input: &Input) -> report::Origin {
        let name = name(input);
        match self {
            Source::Load(_) => report::Origin { name, broken: None },
            Source::Log(log) => {
                let kind = if log.gzip { "gzip" } else { "plain" };
                report::Origin { name: format!("{name} ({kind})"), broken: Some(log.broken) }
            }
        }
    }
}

fn name(input: &Input) -> String {
    match input {
        Input::Load { sessions } => format!("a generated load of {sessions} sessions"),
        Input::Stdin => "standard input".into(),
        Input::File(path) => path.display().to_string(),
    }
}
