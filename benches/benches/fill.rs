//! Inserts into an empty map, growth included.

use criterion::{Criterion, criterion_group, criterion_main};
use idlewheel_benches::scenarios;

fn fill(c: &mut Criterion) {
    scenarios::bench(c, &["fill_1m", "fill_1m_max_us"]);
}

criterion_group!(benches, fill);
criterion_main!(benches);
