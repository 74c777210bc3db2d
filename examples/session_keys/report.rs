//! What the day tells: a timeline and a summary for each system, and a last line to compare.

use crate::Outcome;
use crate::day::HOUR;
use crate::original::Policy;
use crate::pair::Pair;
use std::fmt::Write;

// Writing to a string cannot fail.
pub(crate) fn render(outcome: &Outcome) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} users, seed {}. A day was played to warm up; this is the same day once more.",
        outcome.options.users, outcome.options.seed
    );
    for (policy, pair) in &outcome.pairs {
        let title = match policy {
            Policy::Idle => "A  agent identity: 30 minutes without activity",
            Policy::Verified => "B  secure sessions: 30 minutes after verification",
        };
        let _ = writeln!(text, "\n{title}\n");
        timeline(&mut text, pair);
        story(&mut text, pair, outcome.start);
        summary(&mut text, pair);
    }
    memory(&mut text, outcome);
    let _ = writeln!(text, "\n{}", last_line(outcome));
    text
}

/// The line that scripts compare.
fn last_line(outcome: &Outcome) -> String {
    let sum = |of: fn(&Pair) -> u64| outcome.pairs.iter().map(|(_, pair)| of(pair)).sum::<u64>();
    let logins = sum(|pair| pair.tally.logins);
    format!(
        "contexts={logins} keys={logins} orphans={} stale_reads={} visited={} walk_visited={}",
        sum(|pair| pair.faults.orphans),
        sum(|pair| pair.faults.stale_reads),
        sum(|pair| pair.tally.visited),
        sum(|pair| pair.tally.walk_visited),
    )
}

fn timeline(text: &mut String, pair: &Pair) {
    let _ = writeln!(
        text,
        "       in the hour      before the sweep at its end: ours/original   entries visited by\n\
         until  visits  logins     contexts         keys  ended, still served  sweeps    walks"
    );
    for row in &pair.rows {
        let [contexts, keys] = row.ours;
        let [old_contexts, old_keys] = row.original;
        let _ = writeln!(
            text,
            "{:>02}:00 {:>7} {:>7} {:>12} {:>12} {:>20} {:>7} {:>8}",
            row.hour,
            row.visits,
            row.logins,
            format!("{contexts}/{old_contexts}"),
            format!("{keys}/{old_keys}"),
            format!("{}+{}", old_contexts - contexts, old_keys - keys),
            row.visited,
            row.walk_visited,
        );
    }
}

fn story(text: &mut String, pair: &Pair, start: u32) {
    let _ = writeln!(text, "\nalice");
    for (at, line) in &pair.story.lines {
        let at = at - start;
        let (hour, minute, second) = (at / HOUR, at / 60 % 60, at % 60);
        let _ = writeln!(text, "  {hour:02}:{minute:02}:{second:02}  {line}");
    }
}

fn summary(text: &mut String, pair: &Pair) {
    let tally = &pair.tally;
    let rows = [
        ("logins", format!("{}: as many contexts, and as many keys", tally.logins)),
        (
            "sweeps visited",
            format!(
                "{} of {} entries, {} survivors; the others ended at requests and logouts",
                tally.visited,
                2 * tally.logins,
                tally.survivors
            ),
        ),
        (
            "walks visited",
            format!(
                "{} ({:.1} times as many)",
                tally.walk_visited,
                tally.walk_visited as f64 / tally.visited.max(1) as f64
            ),
        ),
        (
            "the original",
            format!(
                "would serve {} requests from ended contexts; held an old key at {} logins",
                tally.served_stale, tally.old_keys_found
            ),
        ),
        ("keys refused", format!("{}: their context had ended, or never was", tally.refused)),
        (
            "checks",
            format!(
                "{} reads on both days: {} orphans, {} stale reads, {} faults in all",
                pair.faults.reads, pair.faults.orphans, pair.faults.stale_reads, pair.faults.count
            ),
        ),
    ];
    let _ = writeln!(text);
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<22}{value}");
    }
}

fn memory(text: &mut String, outcome: &Outcome) {
    let [first, second] = outcome.bytes;
    let _ = writeln!(
        text,
        "\nmemory with nothing live: {first} B after the first day, {second} B after this one\n\
         (heap of all caches and of the twins that the checks read; they keep their slots for\n\
         reuse, and overflow lines of the index, up to {} B, come and go)",
        outcome.slack()
    );
}
