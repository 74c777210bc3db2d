//! Measures idlewheel against its peers and reports what comes out, losses included.
//!
//! The subjects take turns, A B C A B C ..., so that what slows the machine down for a while slows
//! all of them; ratios are taken within each turn.

mod args;
mod goals;
mod json;
mod markdown;
mod measure;
mod table;

use args::{Args, HELP, Task};
use idlewheel::Upkeep;
use idlewheel_benches::Counting;
use idlewheel_benches::scenarios::{Metric, metrics, serve_child};
use std::error::Error;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let args = Args::parse()?;
    match &args.task {
        Task::Help => print!("{HELP}"),
        Task::List => metrics().iter().for_each(|metric| println!("{}", metric.names.join(" "))),
        Task::Child { work, subject, divide } => serve_child(work, subject, *divide),
        Task::Measure => report(&args)?,
    }
    Ok(())
}

fn report(args: &Args) -> Result<(), Box<dyn Error>> {
    let metrics = chosen(&args.only)?;
    let _upkeep = args.has_upkeep.then(Upkeep::start).transpose()?;
    let results = measure::all(&metrics, &args.scale);
    let verdicts = goals::judge(&results);
    table::print(&results, &verdicts);
    if let Some(path) = &args.json {
        std::fs::write(path, json::text(&results))?;
    }
    if let Some(path) = &args.markdown {
        markdown::write(path, args.is_quick, &results, &verdicts)?;
    }
    Ok(())
}

/// A metric with several names is measured if one of them is asked for.
fn chosen(only: &[String]) -> Result<Vec<Metric>, String> {
    let all = metrics();
    let known = |name: &&String| all.iter().any(|metric| metric.names.contains(&name.as_str()));
    if let Some(name) = only.iter().find(|name| !known(name)) {
        return Err(format!("no metric is called {name}; --list shows them"));
    }
    let is_chosen = |metric: &Metric| {
        only.is_empty() || only.iter().any(|name| metric.names.contains(&name.as_str()))
    };
    Ok(all.into_iter().filter(is_chosen).collect())
}
