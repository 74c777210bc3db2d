//! As `cache`, but with raw times: any timeout, tick, start of the clock and step.
#![no_main]

mod bytes;
#[allow(dead_code)]
#[path = "../../tests/script/mod.rs"]
mod script;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use script::{Op, Settings, Source, Span, Step};
use std::time::Duration;

const MOST: usize = 500;

#[derive(Debug)]
struct Script {
    settings: Settings,
    ops: Vec<Op>,
}

/// Nanoseconds of every magnitude.
fn nanos(source: &mut impl Source) -> u64 {
    source.word() >> source.below(64)
}

fn timeout(source: &mut impl Source) -> Option<Duration> {
    match source.below(8) {
        0 => None,
        1 => Some(Duration::from_secs(source.word())),
        _ => Some(Duration::from_nanos(nanos(source))),
    }
}

fn settings(source: &mut impl Source) -> Settings {
    let (shortest, longest) = (Duration::from_millis(10), Duration::from_secs(3600));
    let drawn = Settings::draw(source);
    Settings {
        idle: timeout(source),
        absolute: timeout(source),
        tick: Duration::from_nanos(nanos(source)).clamp(shortest, longest),
        start: nanos(source),
        ..drawn
    }
}

fn op(source: &mut impl Source, settings: &Settings) -> Op {
    match Op::draw(source, settings, true) {
        Op::InsertWith(key, idle, absolute) => {
            let mut span = |_| Span::Nanos(nanos(source));
            Op::InsertWith(key, idle.map(&mut span), absolute.map(&mut span))
        }
        Op::Advance(step) if source.below(2) == 0 => Op::Advance(step),
        Op::Advance(_) => Op::Advance(Step::Nanos(nanos(source))),
        op => op,
    }
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let settings = settings(&mut Bytes(bytes));
        let mut ops = Vec::new();
        while !bytes.is_empty() && ops.len() < MOST {
            ops.push(op(&mut Bytes(bytes), &settings));
        }
        Ok(Script { settings, ops })
    }
}

fuzz_target!(|script: Script| {
    if let Err(fault) = script::run(&script.settings, &script.ops) {
        panic!("{fault}");
    }
});
