//! The same work under criterion, which repeats it as it likes.

use super::{Scale, metrics};
use criterion::{Criterion, SamplingMode, Throughput};
use std::time::Duration;

/// Small if the benchmarks are only tried out (`cargo bench -- --test`, `cargo test --benches`).
#[must_use]
pub fn args_scale() -> Scale {
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let is_test = std::env::args().any(|arg| arg == "--test");
    if is_bench && !is_test { Scale::BENCH } else { Scale::TEST }
}

/// Runs the metrics of these names in one group each.
pub fn bench(c: &mut Criterion, names: &[&str]) {
    let scale = args_scale();
    for metric in metrics().iter().filter(|metric| names.contains(&metric.names[0])) {
        let mut group = c.benchmark_group(metric.names[0]);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        for mut case in (metric.cases)(&scale) {
            group.throughput(Throughput::Elements(case.ops));
            let is_micros = metric.names[0].ends_with("_us");
            let nanos = if is_micros { 1e3 } else { case.ops as f64 };
            group.bench_function(case.subject, |bencher| {
                bencher.iter_custom(|rounds| {
                    let run = |_| Duration::from_nanos(((case.run)()[0] * nanos) as u64);
                    (0..rounds).map(run).sum()
                });
            });
        }
        group.finish();
    }
}
