//! One script, many starts of the clock. A process of its own: when a slot is reused depends on the
//! pins of other threads, and which of many entries a bounded sweep visits depends on their slots.
#![cfg(not(loom))]

#[allow(dead_code, reason = "it needs a part")]
mod script;

use script::{Op, Random, STARTS, Settings, Source, Step};
use std::time::Duration;

#[test]
fn every_start_of_the_clock_gives_the_same_answers() {
    let mut seeds = Random(0x57A7);
    for _ in 0..12 {
        let mut random = Random(seeds.word());
        let drawn = Settings::draw(&mut random);
        // Short timeouts, because the last start leaves one hour until the clock stands still.
        let settings = Settings {
            idle: Some(Duration::from_millis(random.below(3000))),
            absolute: Some(Duration::from_secs(random.below(10))),
            tick: Duration::from_millis(100),
            ..drawn
        };
        let ops: Vec<Op> = (0..400).map(|_| Op::draw(&mut random, &settings, false)).collect();
        let is_long =
            |step: Step| matches!(step, Step::Level(..) | Step::Deadline(..) | Step::Swept(..));
        let is_short = |op: &&Op| !matches!(op, Op::Advance(step) if is_long(*step));
        let short: Vec<Op> = ops.iter().filter(is_short).copied().collect();
        let (last, others) = STARTS.split_last().expect("there are some");
        assert_same_answers(&settings, &ops, others);
        assert_same_answers(&settings, &short, &[0, *last]);
    }
}

fn assert_same_answers(settings: &Settings, ops: &[Op], starts: &[u64]) {
    let run = |start: u64| {
        let settings = Settings { start, ..*settings };
        script::run(&settings, ops).unwrap_or_else(|fault| panic!("{fault}\n{settings:?}"))
    };
    let expected = run(starts[0]);
    for start in &starts[1..] {
        let differs = run(*start).iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!(differs.map(|at| ops[at]), None, "start {start}: {settings:?}");
    }
}
