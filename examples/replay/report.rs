//! What the replay tells: a table to read, and a last line to compare.

use crate::args::Options;
use crate::engine::Outcome;
use std::fmt::Write;
use std::time::Duration;

/// Where the requests came from.
pub(crate) struct Origin {
    pub(crate) name: String,
    /// Lines that could not be read; a generated load has none.
    pub(crate) broken: Option<u64>,
}

pub(crate) fn render(
    options: &Options,
    origin: &Origin,
    outcome: &Outcome,
    took: Duration,
) -> String {
    let mut text = String::new();
    for (name, value) in rows(options, origin, outcome, took) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<22}{value}");
    }
    let tally = &outcome.tally;
    let _ = writeln!(
        text,
        "requests={} keys={} sessions={} expired={} visited={} sweeps={} live={}",
        tally.requests,
        tally.keys,
        tally.sessions,
        outcome.expired(),
        outcome.visited(),
        tally.sweeps,
        outcome.live,
    );
    text
}

fn rows(
    options: &Options,
    origin: &Origin,
    outcome: &Outcome,
    took: Duration,
) -> Vec<(&'static str, String)> {
    let (tally, removed) = (&outcome.tally, &outcome.stats.removed);
    let absolute = options.absolute.map_or("none".into(), |limit| format!("{} s", limit.as_secs()));
    let idle = options.idle.as_secs();
    let every = options.sweep_every.as_secs_f64();
    let rate = tally.requests as f64 / took.as_secs_f64().max(1e-9);
    let mut rows = vec![
        ("input", origin.name.clone()),
        ("timeouts", format!("idle {idle} s, absolute {absolute}, swept every {every} s")),
        ("log time", format!("{:.2} days", tally.span.as_secs_f64() / 86_400.0)),
        (
            "requests",
            format!("{} in {:.2} s, {:.0} a second", tally.requests, took.as_secs_f64(), rate),
        ),
    ];
    if let Some(broken) = origin.broken {
        rows.push(("  unordered", format!("{} (served at the newest time)", tally.unordered)));
        rows.push(("  broken lines", format!("{broken} (skipped)")));
    }
    if tally.far > 0 {
        rows.push(("  far future", format!("{} (served 100 years after the first)", tally.far)));
    }
    let per_entry = tally.peak_bytes.checked_div(tally.peak_live).unwrap_or(0);
    rows.extend([
        ("keys", tally.keys.to_string()),
        ("sessions", tally.sessions.to_string()),
        ("expired", format!("{} idle, {} by age", removed.idle, removed.absolute)),
        ("peak live", tally.peak_live.to_string()),
        (
            "memory per live entry",
            format!(
                "{per_entry} B at the peak (heap of the cache with its keys, {})",
                kib(tally.peak_bytes)
            ),
        ),
        ("  empty cache", kib(tally.empty_bytes)),
        ("sweeps", tally.sweeps.to_string()),
        ("visited by sweeps", tally.visited.to_string()),
        ("  by full walks", full_walk(tally.full_walk, tally.visited)),
        ("visited on access", format!("{} (expired when a request came)", outcome.on_access())),
        (
            "longest sweep",
            format!(
                "{:.3} ms, {} visited",
                tally.longest_sweep.as_secs_f64() * 1e3,
                tally.longest_visited
            ),
        ),
    ]);
    rows
}

fn full_walk(walked: u64, visited: u64) -> String {
    if visited == 0 {
        return walked.to_string();
    }
    format!("{walked} ({:.1} times as many)", walked as f64 / visited as f64)
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
