//! Keys and values whose `Hash`, `Eq`, `Clone` or `Drop` panic at the n-th call.
#![no_main]

mod user_code;

use arbitrary::Arbitrary;
use idlewheel::{Cache, Clock};
use libfuzzer_sys::fuzz_target;
use std::hash::BuildHasherDefault;
use user_code::{
    Op, Sessions, Token, UNIT, apply, called, check, fired, never_panics, reset, settle, with_fuse,
};

#[derive(Arbitrary, Debug)]
struct Script {
    idle: u8,
    /// Whether there is a listener, which may panic as well.
    listens: bool,
    ops: Vec<(u8, Op)>,
    last: u8,
}

fuzz_target!(|script: Script| {
    reset();
    let (clock, mock) = Clock::mock();
    let idle = UNIT * script.idle.into();
    let mut builder = Cache::builder().idle_timeout(idle).clock(clock);
    if script.listens {
        builder = builder.on_removal(|_, _, _| called());
    }
    let cache: Sessions = builder.hasher(BuildHasherDefault::default()).build().expect("valid");
    let mut caught = 0;
    for (number, &(fuse, op)) in script.ops.iter().take(300).enumerate() {
        let before = fired();
        let panicked = with_fuse(fuse % 16, || apply(&cache, &mock, op));
        let panics = fired() - before;
        assert!(panics == 1 || !panicked);
        caught += panics - u64::from(panicked);
        assert!(!panicked || !never_panics(op), "the panic of a drop came out of {op:?}");
        assert_eq!(cache.stats().panics, caught, "panics of drops");
        if number % 8 == 0 {
            check(&cache);
            let tokens = settle(&cache, script.listens);
            assert_eq!(Token::alive(), tokens as i32, "a key or value was lost");
        }
    }
    check(&cache);
    let panicked = with_fuse(script.last, || drop(cache));
    assert!(!panicked, "the panic of a drop came out of the cache's drop");
    assert_eq!(Token::alive(), 0, "a key or value was lost");
});
