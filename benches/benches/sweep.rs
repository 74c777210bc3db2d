//! Sweeps: 10,000 entries due among many that were all touched in the newest tick.

use criterion::{Criterion, criterion_group, criterion_main};
use idlewheel_benches::scenarios;

fn sweep(c: &mut Criterion) {
    scenarios::bench(c, &["sweep_10k_of_100k_us", "sweep_10k_of_1m_us"]);
}

criterion_group!(benches, sweep);
criterion_main!(benches);
