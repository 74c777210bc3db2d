//! The cache against a naive model: seeded random scripts, and directed ones.
#![cfg(not(loom))]

mod script;

use script::{Random, Source};

/// Runs the script of one seed; on a failure, says which one.
fn replay(seed: u64) {
    let mut random = Random(seed);
    let length = 200 + random.below(800) as usize;
    let (settings, ops) = script::draw(&mut random, length);
    let fault = std::panic::catch_unwind(|| script::run(&settings, &ops));
    match fault {
        Ok(Ok(_)) => {}
        Ok(Err(fault)) => panic!("`replay({seed:#x})` fails: {fault}\n{settings:?}"),
        Err(_) => panic!("`replay({seed:#x})` panics\n{settings:?}"),
    }
}

#[test]
fn random_scripts_agree_with_the_oracle() {
    let mut seeds = Random(0x1D1E);
    for _ in 0..500 {
        replay(seeds.word());
    }
}
