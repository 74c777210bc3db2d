//! Lookups that all hit and touch.

use criterion::{Criterion, criterion_group, criterion_main};
use idlewheel_benches::scenarios;

fn get(c: &mut Criterion) {
    scenarios::bench(
        c,
        &[
            "get_hot_1t",
            "get_hot_2t",
            "get_batch_1t",
            "get_one_key_2t",
            "get_cold_1t",
            "get_cold_2t",
            "get_cold_batch_1t",
            "get_string_1t",
        ],
    );
}

criterion_group!(benches, get);
criterion_main!(benches);
