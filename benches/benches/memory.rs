//! Bytes that the allocator gave out, per entry.

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use idlewheel_benches::Counting;
use idlewheel_benches::scenarios::{args_scale, in_process};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts bytes, not time.
struct Bytes;

impl Measurement for Bytes {
    type Intermediate = isize;
    type Value = f64;

    fn start(&self) -> isize {
        Counting::bytes()
    }

    fn end(&self, start: isize) -> f64 {
        (Counting::bytes() - start) as f64
    }

    fn add(&self, v1: &f64, v2: &f64) -> f64 {
        v1 + v2
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Bytes {
    fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
        "bytes"
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        _throughput: &Throughput,
        _values: &mut [f64],
    ) -> &'static str {
        "bytes"
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "bytes"
    }
}

fn memory(c: &mut Criterion<Bytes>) {
    let mut group = c.benchmark_group("bytes_per_entry_1m");
    group.sample_size(10);
    for mut case in in_process(&args_scale()) {
        group.bench_function(case.subject, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| (case.run)()[0]).sum());
        });
    }
    group.finish();
}

fn in_bytes() -> Criterion<Bytes> {
    // Plots need values that differ.
    Criterion::default().with_measurement(Bytes).without_plots()
}

criterion_group!(name = benches; config = in_bytes(); targets = memory);
criterion_main!(benches);
