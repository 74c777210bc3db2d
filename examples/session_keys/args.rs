//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;

pub(crate) const HELP: &str = "\
Plays a day of two session systems, each beside the maps and timer it replaces.

usage: session_keys [options]

  A  agent identity:   a context ends 30 minutes after its last activity
  B  secure sessions:  a session ends 30 minutes after its verification
Each has a map of encryption keys, one a context, that ends with the context.
Both are swept every 5 minutes. Time is a mock, and the load is generated.

  --users N   users of the day (5000)
  --seed N    another day (1)
  -h, --help  this text

Exit: 0 done; 1 a check failed: a key without its context, a read of something
that had ended, a difference from the original, memory that did not come back;
2 bad usage.
";

/// A user's number is a part of its name, and all users are checked at every sweep.
const MOST_USERS: u32 = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) users: u32,
    pub(crate) seed: u64,
}

/// Reads the arguments after the program's name; `None` if help was asked for.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut options = Options { users: 5000, seed: 1 };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("users") => options.users = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            _ => return Err(arg.unexpected()),
        }
    }
    if !(1..=MOST_USERS).contains(&options.users) {
        return Err(format!("--users: from 1 to {MOST_USERS}").into());
    }
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage() {
        let parse = |line: &str| parse(line.split_whitespace().map(OsString::from));
        assert_eq!(parse("").unwrap(), Some(Options { users: 5000, seed: 1 }));
        assert_eq!(parse("--users 7 --seed=9").unwrap(), Some(Options { users: 7, seed: 9 }));
        assert_eq!(parse("--users 7 --help").unwrap(), None);
        for line in ["--users 0", "--users x", "--users", "--seed -1", "file", "--what"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
