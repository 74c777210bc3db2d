//! 90 % lookups, 5 % inserts, 5 % removals.

use criterion::{Criterion, criterion_group, criterion_main};
use idlewheel_benches::scenarios;

fn mixed(c: &mut Criterion) {
    scenarios::bench(c, &["mixed_hot_1t", "mixed_hot_2t"]);
}

criterion_group!(benches, mixed);
criterion_main!(benches);
