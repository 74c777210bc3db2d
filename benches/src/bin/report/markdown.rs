//! The tables of `docs/benchmarks.md`.

use crate::goals::Verdict;
use crate::measure::Result;
use crate::table::{number, reached_text, word};
use idlewheel_benches::scenarios::metrics;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- report: begin -->";
const END: &str = "<!-- report: end -->";

/// The versions that were locked when this was built.
const LOCK: &str = include_str!("../../../../Cargo.lock");
const PEERS: [&str; 7] = ["quick_cache", "moka", "mini-moka", "dashmap", "papaya", "scc", "ahash"];

/// Replaces what is between the markers.
pub(crate) fn write(
    path: &Path,
    is_quick: bool,
    results: &[Result],
    verdicts: &[Verdict],
) -> std::result::Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let find = |marker| text.find(marker).ok_or(format!("{}: no {marker}", path.display()));
    let (begin, end) = (find(BEGIN)? + BEGIN.len(), find(END)?);
    let section = section(is_quick, results, verdicts)?;
    let (front, back) = (&text[..begin], &text[end..]);
    Ok(std::fs::write(path, format!("{front}\n\n{section}\n{back}"))?)
}

fn section(
    is_quick: bool,
    results: &[Result],
    verdicts: &[Verdict],
) -> std::result::Result<String, std::fmt::Error> {
    let mut out = String::new();
    machine(&mut out, is_quick)?;
    goals(&mut out, verdicts)?;
    values(&mut out, results)?;
    methods(&mut out, results)?;
    Ok(out)
}

fn machine(out: &mut String, is_quick: bool) -> std::fmt::Result {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let cpu = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let gib = memory.trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1_048_576.0;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let kind = if is_quick { "quick" } else { "full" };
    writeln!(out, "### Machine and versions\n")?;
    writeln!(out, "* {cpu}, {cores} cores, {gib:.1} GiB; Linux {}", kernel.trim())?;
    writeln!(out, "* {}", rustc.unwrap_or_else(|_| "unknown rustc".to_owned()))?;
    let versions = PEERS.iter().filter_map(|name| Some(format!("{name} {}", version(name)?)));
    writeln!(out, "* {}", versions.collect::<Vec<_>>().join(", "))?;
    writeln!(out, "* idlewheel {}; a {kind} run\n", version("idlewheel").unwrap_or("unknown"))
}

/// The newest of a name.
fn version(name: &str) -> Option<&'static str> {
    let head = format!("name = \"{name}\"\nversion = \"");
    let rest = &LOCK[LOCK.rfind(&head)? + head.len()..];
    rest.split('"').next()
}

fn goals(out: &mut String, verdicts: &[Verdict]) -> std::fmt::Result {
    writeln!(out, "### Goals\n")?;
    writeln!(out, "| metric | goal | reached: median (least - greatest) | |")?;
    writeln!(out, "|---|---|---|---|")?;
    for verdict in verdicts {
        let Verdict { metric, goal, .. } = verdict;
        writeln!(out, "| `{metric}` | {goal} | {} | {} |", reached_text(verdict), word(verdict))?;
    }
    writeln!(out)
}

/// One row per metric, one column per subject; those of idlewheel alone in a table of their own.
fn values(out: &mut String, results: &[Result]) -> std::fmt::Result {
    const PEERS: [&str; 8] = [
        "idlewheel",
        "quick_cache",
        "moka",
        "mini_moka",
        "dashmap",
        "papaya",
        "scc",
        "rwlock_hashmap",
    ];
    writeln!(out, "### Values\n\nMedians: ns per operation unless the name ends in its unit.\n")?;
    writeln!(out, "| metric | {} |\n|---|{}", PEERS.join(" | "), "--:|".repeat(PEERS.len()))?;
    let has_peers = |result: &&Result| PEERS[1..].iter().any(|peer| result.of(peer).is_some());
    for result in results.iter().filter(has_peers) {
        let cell = |peer| result.of(peer).map_or(String::new(), |values| number(values.median()));
        writeln!(out, "| `{}` | {} |", result.name, PEERS.map(cell).join(" | "))?;
    }
    writeln!(out, "\n| metric | values |\n|---|---|")?;
    for result in results.iter().filter(|result| !has_peers(result)) {
        let cell = |values: &crate::measure::Values| {
            format!("{} {}", values.subject, number(values.median()))
        };
        let cells: Vec<String> = result.subjects.iter().map(cell).collect();
        writeln!(out, "| `{}` | {} |", result.name, cells.join(", "))?;
    }
    writeln!(out)
}

fn methods(out: &mut String, results: &[Result]) -> std::fmt::Result {
    writeln!(out, "### How each is measured\n")?;
    let mut former = "";
    for metric in metrics() {
        let is_measured = |name: &&str| results.iter().any(|result| result.name == *name);
        if !metric.names.iter().any(is_measured) || metric.method == former {
            continue;
        }
        former = metric.method;
        let names: Vec<String> = metric.names.iter().map(|name| format!("`{name}`")).collect();
        writeln!(out, "* {}: {}", names.join(", "), metric.method)?;
    }
    Ok(())
}
