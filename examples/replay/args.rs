//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Replays a request log through the cache under the log's own time.

usage: replay [options] [FILE]

FILE is the log, `-` is standard input (read only if asked for), plain or gzip:
lines of `unix_seconds TAB key` or Apache/nginx combined (key: the client).
Without FILE a load is generated: sessions over two days, with peaks.

  --idle N         a session ends N seconds after its last request (1800)
  --absolute N     and N seconds after its first one (none)
  --sweep-every N  log time between sweeps (a sixth of the shortest timeout, at
                   most 300); never over 3/4 of the shortest timeout
  --sessions N     size of the generated load (1000000)
  -h, --help       this text

Seconds are whole, 1 up to 10 years (more counts as 10). Times that step back
are served at the newest time so far, broken lines skipped; both are counted.
Times end 100 years after the first one. A session starts at every request that
misses. At the end the time runs on until all is expired. `visited` is what
sweeps looked at and what requests found expired.

Exit: 0 done; 1 the counts do not add up, something stayed live, or the input
broke off (what was read is reported); 2 bad usage, or no readable input.
";

/// Keeps all sums of times far from any limit, and the drain after the log short.
const LONGEST: u64 = 10 * 365 * 86_400;
const SESSIONS: u64 = 1_000_000;

#[derive(Debug, PartialEq)]
pub(crate) enum Input {
    Load { sessions: u64 },
    Stdin,
    File(PathBuf),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) input: Input,
    pub(crate) idle: Duration,
    pub(crate) absolute: Option<Duration>,
    pub(crate) sweep_every: Duration,
}

impl Options {
    pub(crate) fn shortest(&self) -> Duration {
        self.absolute.map_or(self.idle, |absolute| absolute.min(self.idle))
    }
}

/// Reads the arguments after the program's name; `None` if help was asked for.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let (mut idle, mut absolute, mut every) = (Duration::from_secs(1800), None, None);
    let (mut sessions, mut file) = (None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("idle") => idle = seconds(&mut parser, "--idle")?,
            Long("absolute") => absolute = Some(seconds(&mut parser, "--absolute")?),
            Long("sweep-every") => every = Some(seconds(&mut parser, "--sweep-every")?),
            Long("sessions") => sessions = Some(parser.value()?.parse::<u64>()?),
            Value(path) if file.is_none() => file = Some(path),
            _ => return Err(arg.unexpected()),
        }
    }
    if sessions.is_some() && file.is_some() {
        return Err("--sessions is for the generated load, not for a FILE".into());
    }
    let input = match file {
        None => Input::Load { sessions: sessions.unwrap_or(SESSIONS) },
        Some(path) if path == "-" => Input::Stdin,
        Some(path) => Input::File(path.into()),
    };
    let mut options = Options { input, idle, absolute, sweep_every: Duration::ZERO };
    let shortest = options.shortest();
    options.sweep_every =
        every.unwrap_or((shortest / 6).min(Duration::from_secs(300))).min(shortest * 3 / 4);
    Ok(Some(options))
}

fn seconds(parser: &mut lexopt::Parser, name: &str) -> Result<Duration, lexopt::Error> {
    let text = parser.value()?.string()?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // All digits, so what does not fit is too large and capped like any other large number.
    let value = if digits { text.parse().unwrap_or(u64::MAX) } else { 0 };
    if value == 0 {
        return Err(format!("{name}: '{text}' is not a number of seconds from 1 up").into());
    }
    Ok(Duration::from_secs(value.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Option<Options>, lexopt::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn every(line: &str) -> f64 {
        options(line).unwrap().unwrap().sweep_every.as_secs_f64()
    }

    #[test]
    fn sweeps_follow_the_shortest_timeout() {
        assert_eq!(every(""), 300.0);
        assert_eq!(every("--idle 600"), 100.0);
        assert_eq!(every("--absolute 60"), 10.0);
        assert_eq!(every("--idle 86400"), 300.0);
        assert_eq!(every("--sweep-every 7"), 7.0);
        assert_eq!(every("--idle 100 --sweep-every 99"), 75.0);
    }

    #[test]
    fn inputs() {
        let input = |line| options(line).unwrap().unwrap().input;
        assert_eq!(input(""), Input::Load { sessions: SESSIONS });
        assert_eq!(input("--sessions 0"), Input::Load { sessions: 0 });
        assert_eq!(input("-"), Input::Stdin);
        assert_eq!(input("--idle=5 log.gz"), Input::File("log.gz".into()));
        assert_eq!(options("x --help").unwrap(), None);
    }

    #[test]
    fn bad_usage_is_an_error_and_large_numbers_are_capped() {
        for line in ["--idle 0", "--idle", "--idle x", "--idle -1", "--absolute 0", "--what", "a b"]
        {
            assert!(options(line).is_err(), "{line}");
        }
        assert!(options("--sessions 5 log").is_err());
        assert!(options("--sessions -5").is_err());
        let huge = options("--idle 99999999999999999999999").unwrap().unwrap();
        assert_eq!(huge.idle.as_secs(), LONGEST);
    }
}
