//! Scripts of all operations, checked against the naive oracle of the model tests.
#![no_main]

mod bytes;
#[allow(dead_code)]
#[path = "../../tests/script/mod.rs"]
mod script;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use script::{Op, Settings, Source};

const MOST: usize = 1000;

#[derive(Debug)]
struct Script {
    settings: Settings,
    ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let settings = Settings::draw(&mut Bytes(bytes));
        let far = Bytes(bytes).below(2) == 0;
        let mut ops = Vec::new();
        while !bytes.is_empty() && ops.len() < MOST {
            ops.push(Op::draw(&mut Bytes(bytes), &settings, far));
        }
        Ok(Script { settings, ops })
    }
}

fuzz_target!(|script: Script| {
    if let Err(fault) = script::run(&script.settings, &script.ops) {
        panic!("{fault}");
    }
});
