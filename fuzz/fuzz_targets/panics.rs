//! Keys and values whose `Hash`, `Eq`, `Clone` or `Drop` panic at the n-th call.
#![no_main]

use arbitrary::Arbitrary;
use idlewheel::{Cache, Clock, MockClock, SweepBudget, Timeouts};
use libfuzzer_sys::fuzz_target;
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

thread_local! {
    /// Calls of user code until one panics; 0: none does.
    static FUSE: Cell<u32> = const { Cell::new(0) };
    /// Panics so far.
    static FIRED: Cell<u64> = const { Cell::new(0) };
    /// Copies of each token.
    static COPIES: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
}

/// What every piece of user code does.
fn burn() {
    let left = FUSE.get();
    FUSE.set(left.saturating_sub(1));
    if left == 1 {
        FIRED.set(FIRED.get() + 1);
        // Not `panic!`, whose hook ends the fuzzer. No content, because the cache leaks it.
        resume_unwind(Box::new(()));
    }
}

/// Counts its copies.
struct Token(usize);

impl Token {
    fn new() -> Self {
        COPIES.with_borrow_mut(|copies| {
            copies.push(1);
            Token(copies.len() - 1)
        })
    }

    fn alive() -> i32 {
        COPIES.with_borrow(|copies| copies.iter().sum())
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        burn();
        COPIES.with_borrow_mut(|copies| copies[self.0] += 1);
        Token(self.0)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        COPIES.with_borrow_mut(|copies| {
            copies[self.0] -= 1;
            assert!(copies[self.0] >= 0, "dropped twice");
        });
        burn();
    }
}

#[derive(Clone)]
struct Name(u8);

impl Hash for Name {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        burn();
        // Few hashes, so that `Eq` has work.
        hasher.write_u8(self.0 / 4);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        burn();
        self.0 == other.0
    }
}

impl Eq for Name {}

#[derive(PartialEq, Eq, Clone)]
struct Key(Name, Unequal);

/// A token that does not take part in comparisons.
#[derive(Clone)]
struct Unequal(#[allow(dead_code)] Token);

impl PartialEq for Unequal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Unequal {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

impl Borrow<Name> for Key {
    fn borrow(&self) -> &Name {
        &self.0
    }
}

type Sessions = Cache<Key, Token, BuildHasherDefault<DefaultHasher>>;

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Op {
    Get(u8),
    GetWith(u8),
    Pinned(u8),
    Peek(u8),
    Touch(u8),
    Insert(u8),
    InsertNew(u8),
    InsertWith(u8, u8),
    Update(u8),
    Remove(u8),
    Take(u8),
    Renew(u8),
    Remaining(u8),
    Hold(u8),
    Modify(u8),
    Load(u8, bool),
    OrInsert(u8),
    Rekey(u8, u8),
    RemoveIf(u8),
    Clear,
    Sweep,
    SweepWithin(u8),
    Flush,
    Advance(u8),
}

#[derive(Arbitrary, Debug)]
struct Script {
    idle: u8,
    /// Whether there is a listener, which may panic as well.
    listens: bool,
    ops: Vec<(u8, Op)>,
    last: u8,
}

/// A tenth of a second.
const UNIT: Duration = Duration::from_millis(100);
const NAMES: u8 = 16;

fn apply(cache: &Sessions, mock: &MockClock, op: Op) {
    let name = |number: u8| Name(number % NAMES);
    let key = |number: u8| Key(name(number), Unequal(Token::new()));
    match op {
        Op::Get(n) => drop(cache.get(&name(n))),
        Op::GetWith(n) => drop(cache.get_with(&name(n), |_| burn())),
        Op::Pinned(n) => drop(cache.pin().get(&name(n)).cloned()),
        Op::Peek(n) => drop(cache.peek(&name(n))),
        Op::Touch(n) => drop(cache.touch(&name(n))),
        Op::Insert(n) => drop(cache.insert(key(n), Token::new())),
        Op::InsertNew(n) => drop(cache.insert_new(key(n), Token::new())),
        Op::InsertWith(n, idle) => {
            let timeouts = Timeouts::new().idle(UNIT * idle.into());
            drop(cache.insert_with(key(n), Token::new(), timeouts));
        }
        Op::Update(n) => drop(cache.update(&name(n), Token::new())),
        Op::Remove(n) => drop(cache.remove(&name(n))),
        Op::Take(n) => drop(cache.take(&name(n))),
        Op::Renew(n) => drop(cache.renew(&name(n))),
        Op::Remaining(n) => drop(cache.remaining(&name(n))),
        Op::Hold(n) => drop(cache.hold(&name(n))),
        Op::Modify(n) => drop(cache.modify(&name(n), |_| {
            burn();
            Token::new()
        })),
        Op::Load(n, fails) => drop(cache.get_or_try_insert_with(key(n), || {
            burn();
            if fails { Err(()) } else { Ok(Token::new()) }
        })),
        Op::OrInsert(n) => {
            let entry = cache.entry(key(n)).and_modify(|_| Token::new());
            drop(entry.or_insert(Token::new()));
        }
        Op::Rekey(n, to) => drop(cache.rekey(&name(n), key(to))),
        Op::RemoveIf(n) => drop(cache.remove_if(&name(n), |_| {
            burn();
            true
        })),
        Op::Clear => cache.clear(),
        Op::Sweep => {
            let _ = cache.sweep();
        }
        Op::SweepWithin(visits) => {
            let _ = cache.sweep_within(SweepBudget::visits(visits.into()));
        }
        Op::Flush => drop(cache.flush()),
        Op::Advance(units) => mock.advance(UNIT * units.into()),
    }
}

/// Runs something with a fuse. `true`: its panic came out.
fn with_fuse(fuse: u8, run: impl FnOnce()) -> bool {
    FUSE.set(fuse.into());
    let panicked = catch_unwind(AssertUnwindSafe(run)).is_err();
    FUSE.set(0);
    panicked
}

fn check(cache: &Sessions) {
    let stats = cache.stats();
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "{stats:?}");
    cache.validate().expect("valid after a panic");
}

/// Drops what was removed; then exactly the live entries' keys and values are left.
fn settle(cache: &Sessions, listens: bool) {
    while cache.stats().pending_reclamation > 0 {
        cache.flush();
    }
    let census = cache.validate().expect("valid at rest");
    // Where there is a listener, a value that replaced another one has a copy of its key.
    let copies = if listens { census.holders } else { 0 };
    let tokens = 2 * census.live + census.aliases + copies;
    assert_eq!(Token::alive(), tokens as i32, "a key or value was lost");
}

fuzz_target!(|script: Script| {
    COPIES.with_borrow_mut(Vec::clear);
    FIRED.set(0);
    let (clock, mock) = Clock::mock();
    let idle = UNIT * script.idle.into();
    let mut builder = Cache::builder().idle_timeout(idle).clock(clock);
    if script.listens {
        builder = builder.on_removal(|_, _, _| burn());
    }
    let cache: Sessions = builder.hasher(BuildHasherDefault::default()).build().expect("valid");
    let mut caught = 0;
    for (number, &(fuse, op)) in script.ops.iter().take(300).enumerate() {
        let before = FIRED.get();
        let panicked = with_fuse(fuse % 16, || apply(&cache, &mock, op));
        let fired = FIRED.get() - before;
        assert!(fired == 1 || !panicked);
        caught += fired - u64::from(panicked);
        if matches!(op, Op::Sweep | Op::SweepWithin(_) | Op::Flush | Op::Clear) {
            assert!(!panicked, "the panic of a drop came out of {op:?}");
        }
        assert_eq!(cache.stats().panics, caught, "panics of drops");
        if number % 8 == 0 {
            check(&cache);
            settle(&cache, script.listens);
        }
    }
    check(&cache);
    let panicked = with_fuse(script.last, || drop(cache));
    assert!(!panicked, "the panic of a drop came out of the cache's drop");
    assert_eq!(Token::alive(), 0, "a key or value was lost");
});
