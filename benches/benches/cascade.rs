//! Linked caches: reading a child, removing a parent with its child, cascades of many children.

use criterion::{Criterion, criterion_group, criterion_main};
use idlewheel_benches::scenarios;

fn cascade(c: &mut Criterion) {
    scenarios::bench(c, &["linked_get", "cascade_1", "cascade_children"]);
}

criterion_group!(benches, cascade);
criterion_main!(benches);
