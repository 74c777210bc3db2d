//! The command line.

use idlewheel_benches::scenarios::Scale;
use lexopt::prelude::*;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Measures idlewheel against its peers, in turns, and prints a table.

Usage: report [options]

  --quick           fewer rounds, within five minutes, and no 100,000,000 entries
  --only METRIC,..  only these metrics
  --json FILE       writes {\"metric\": {\"subject\": value}}; ns per operation unless a name ends in
                    its unit
  --markdown FILE   puts the tables between the markers in FILE
  --list            prints the names of the metrics
  --rounds N        N rounds of everything
  --upkeep          with an upkeep, as a running sweeper has: lookups read the time from memory
";

pub(crate) struct Args {
    pub(crate) scale: Scale,
    pub(crate) is_quick: bool,
    /// Whether an upkeep runs meanwhile.
    pub(crate) has_upkeep: bool,
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) task: Task,
}

pub(crate) enum Task {
    Measure,
    Help,
    List,
    /// What a child process does: the work, for one subject, with numbers of entries divided.
    Child {
        work: String,
        subject: String,
        divide: u64,
    },
}

impl Args {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut args = Args {
            scale: Scale::FULL,
            is_quick: false,
            has_upkeep: false,
            only: Vec::new(),
            json: None,
            markdown: None,
            task: Task::Measure,
        };
        let mut rounds = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("quick") => (args.is_quick, args.scale) = (true, Scale::QUICK),
                Long("only") => {
                    let names = parser.value()?.string()?;
                    args.only.extend(names.split(',').map(|name| name.trim().to_owned()));
                }
                Long("json") => args.json = Some(parser.value()?.into()),
                Long("markdown") => args.markdown = Some(parser.value()?.into()),
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("upkeep") => args.has_upkeep = true,
                Long("list") => args.task = Task::List,
                Long("child") => {
                    let work = parser.value()?.string()?;
                    let subject = parser.value()?.string()?;
                    args.task = Task::Child { work, subject, divide: parser.value()?.parse()? };
                }
                Short('h') | Long("help") => args.task = Task::Help,
                _ => return Err(arg.unexpected()),
            }
        }
        if let Some(rounds) = rounds {
            args.scale.rounds = [rounds; 3];
        }
        Ok(args)
    }
}
