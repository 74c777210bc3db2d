//! Sessions that come, go quiet and expire, while sweeps run.

use criterion::{Criterion, criterion_group, criterion_main};
use idlewheel_benches::scenarios;

fn churn(c: &mut Criterion) {
    scenarios::bench(c, &["churn_2t"]);
}

criterion_group!(benches, churn);
criterion_main!(benches);
