//! The table on the terminal.

use crate::goals::Verdict;
use crate::measure::{Result, median, spread};

pub(crate) fn print(results: &[Result], verdicts: &[Verdict]) {
    println!("ns per operation unless a name ends in its unit; ratio: idlewheel by the peer,");
    println!("median over the rounds (least - greatest). Smaller is better.");
    for result in results {
        println!("\n{}", result.name);
        for values in &result.subjects {
            let ratio = if values.subject == "idlewheel" {
                String::new()
            } else {
                ratio_text(result.ratios(values))
            };
            println!("  {:16} {:>14}   {ratio}", values.subject, number(values.median()));
        }
        for verdict in verdicts.iter().filter(|verdict| verdict.metric == result.name) {
            let reached = reached_text(verdict);
            println!("  goal {}: {reached}: {}", verdict.goal, word(verdict));
        }
    }
    let met = verdicts.iter().filter(|verdict| verdict.is_met).count();
    println!("\n{met} of {} goals met", verdicts.len());
    for verdict in verdicts.iter().filter(|verdict| !verdict.is_met) {
        println!("  missed: {} {}: {}", verdict.metric, verdict.goal, reached_text(verdict));
    }
}

pub(crate) fn word(verdict: &Verdict) -> &'static str {
    if verdict.is_met { "met" } else { "missed" }
}

pub(crate) fn reached_text(verdict: &Verdict) -> String {
    let (median, least, greatest) = verdict.reached;
    format!("{} ({} - {})", number(median), number(least), number(greatest))
}

fn ratio_text(ratios: Vec<f64>) -> String {
    let (least, greatest) = spread(&ratios);
    format!("x {} ({} - {})", number(median(ratios)), number(least), number(greatest))
}

/// Three digits or more.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.5}"),
    }
}
