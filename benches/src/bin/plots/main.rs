//! Draws what the report measured: `plots RESULTS.json DIRECTORY`.

mod chart;

use chart::{Chart, Line, bars};
use serde_json::Value;
use std::error::Error;
use std::path::Path;

const THREADS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
const SIZES: [(&str, f64); 3] = [("100k", 1e5), ("1m", 1e6), ("8m", 8e6)];
const SHARES: [(&str, f64); 4] = [("p50", 1.0), ("p99", 2.0), ("p999", 3.0), ("max", 4.0)];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(results), Some(directory)) = (args.next(), args.next()) else {
        return Err("usage: plots RESULTS.json DIRECTORY".into());
    };
    let results: Value = serde_json::from_str(&std::fs::read_to_string(results)?)?;
    let directory = Path::new(&directory);
    let plots = [
        ("reads.svg", reads(&results)),
        ("sweeps.svg", sweeps(&results)),
        ("latency.svg", latency(&results)),
        ("memory.svg", memory(&results)),
    ];
    for (name, text) in plots {
        match text {
            Some(text) => std::fs::write(directory.join(name), text)?,
            None => eprintln!("{name}: its metrics were not measured; the former plot stays"),
        }
    }
    Ok(())
}

/// A subject's value, if there is one.
fn value(results: &Value, metric: &str, subject: &str) -> Option<f64> {
    results.get(metric)?.get(subject)?.as_f64()
}

/// Who was measured, idlewheel first.
fn subjects(results: &Value, metric: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = results.get(metric)?.as_object()?.keys().cloned().collect();
    names.sort_by_key(|name| (name != "idlewheel", name.clone()));
    Some(names)
}

/// One line per subject through the values of these metrics.
fn lines(results: &Value, metrics: &[(String, f64)], scale: f64) -> Option<Vec<Line>> {
    let names = subjects(results, &metrics.first()?.0)?;
    let line = |name: String| {
        let point =
            |(metric, x): &(String, f64)| Some((*x, value(results, metric, &name)? * scale));
        Line { points: metrics.iter().filter_map(point).collect(), name, is_dashed: false }
    };
    Some(names.into_iter().map(line).collect())
}

fn reads(results: &Value) -> Option<String> {
    let metrics = THREADS.map(|threads| (format!("get_hot_{threads}t"), f64::from(threads)));
    let ticks = THREADS.map(|threads| (f64::from(threads), threads.to_string()));
    let chart = Chart {
        title: "Lookups, 10,000 keys, Zipf: wall time by the lookups of all threads",
        x_title: "threads",
        y_title: "ns per lookup",
        x_ticks: ticks.to_vec(),
        is_x_log: true,
    };
    Some(chart.draw(&lines(results, &metrics, 1.0)?))
}

fn sweeps(results: &Value) -> Option<String> {
    let metrics = |kind| SIZES.map(|(name, size)| (format!("sweep_{kind}_of_{name}_us"), size));
    let mut all = lines(results, &metrics("10k"), 1e-3)?;
    let empty = lines(results, &metrics("empty"), 1e-3)?;
    let own = empty.into_iter().filter(|line| line.name == "idlewheel");
    all.extend(own.map(|line| Line {
        name: "idlewheel, none due".to_owned(),
        is_dashed: true,
        ..line
    }));
    let chart = Chart {
        title: "A sweep with 10,000 entries due, all others just touched",
        x_title: "entries",
        y_title: "ms",
        x_ticks: SIZES.map(|(name, size)| (size, name.to_owned())).to_vec(),
        is_x_log: true,
    };
    Some(chart.draw(&all))
}

fn latency(results: &Value) -> Option<String> {
    let metrics = |when| {
        SHARES.map(|(share, x)| {
            let unit = if share == "max" { "us" } else { "ns" };
            (format!("get_{share}_{when}_{unit}"), x)
        })
    };
    let mut all = lines(results, &metrics("during_sweep"), 1.0)?;
    let quiet = lines(results, &metrics("quiet"), 1.0)?;
    let own = quiet.into_iter().filter(|line| line.name == "idlewheel");
    all.extend(own.map(|line| Line {
        name: "idlewheel, quiet".to_owned(),
        is_dashed: true,
        ..line
    }));
    // The maximum is in microseconds.
    let nanos = |point: &mut (f64, f64)| point.1 *= if point.0 == 4.0 { 1e3 } else { 1.0 };
    all.iter_mut().for_each(|line| line.points.iter_mut().for_each(nanos));
    let names = ["median", "99 %", "99.9 %", "longest"];
    let chart = Chart {
        title: "Single lookups while 1,000,000 entries are swept",
        x_title: "percentile",
        y_title: "ns",
        x_ticks: SHARES.iter().zip(names).map(|(share, name)| (share.1, name.to_owned())).collect(),
        is_x_log: false,
    };
    Some(chart.draw(&all))
}

fn memory(results: &Value) -> Option<String> {
    const METRIC: &str = "bytes_per_entry_1m";
    let names = subjects(results, METRIC)?;
    let bar = |name: String| Some((value(results, METRIC, &name)?, name));
    let values: Vec<(f64, String)> = names.into_iter().filter_map(bar).collect();
    Some(bars("Bytes per entry of 16 bytes, 1,000,000 entries", &values))
}
