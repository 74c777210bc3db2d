//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;

pub(crate) const HELP: &str = "\
Soaks two linked caches under the load of a busy site, and checks all the time.

usage: soak [options]

  --operations N   requests in twenty days of the mock clock, about (100000000)
  --threads N      threads that serve them, 1 to 1000 (2)
  --seed N         of the load (1998)
  --minutes N      goes on for so long, with further days of the same load
  -h, --help       this text

Sessions arrive by a Poisson process whose rate is that of the World Cup site of
1998, and have the requests and gaps of Wikipedia's readers. Each has a random
128-bit id, an entry in a cache of sessions, and one in a linked cache of keys.
The first request inserts both, the others read both; some sessions rotate their
key, some log out, the rest go idle. One thread sweeps every five minutes of the
clock, which no thread is more than two minutes ahead of.

Checked all the time: sessions in use are there, ended ones are not, no value is
read under another id or after its drop, and the counts are within what is under
way. After every second day, at rest: counts and causes are exact, and agree with
the listeners and with the drops of values; the validator agrees; memory is flat:
the heap of the caches and the resident set are what they were after a tenth of
the load (2 days), or at most a tenth more, plus 1 and 16 MiB. At the end all has
expired; the caches are dropped, and all their values and memory are given back.

Exit: 0 nothing was wrong; 1 something was; 2 bad usage.
";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) operations: u64,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) minutes: Option<u64>,
}

/// Reads the arguments after the program's name; `None` if help was asked for.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut options = Options { operations: 100_000_000, threads: 2, seed: 1998, minutes: None };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("operations") => options.operations = parser.value()?.parse()?,
            Long("threads") => options.threads = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("minutes") => options.minutes = Some(parser.value()?.parse()?),
            _ => return Err(arg.unexpected()),
        }
    }
    if !(1..=1000).contains(&options.threads) {
        return Err("--threads: from 1 to 1000".into());
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Option<Options>, lexopt::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn usage() {
        let seen = options("--operations 5 --threads 64 --seed 3 --minutes 2").unwrap().unwrap();
        assert_eq!(seen, Options { operations: 5, threads: 64, seed: 3, minutes: Some(2) });
        assert_eq!(options("--help").unwrap(), None);
        for line in ["--threads 0", "--threads", "--operations x", "file"] {
            assert!(options(line).is_err(), "{line}");
        }
    }
}
