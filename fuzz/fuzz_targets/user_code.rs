//! Keys and values whose `Hash`, `Eq`, `Clone` or `Drop` do something at the n-th call, and
//! operations on caches of them.

use arbitrary::Arbitrary;
use idlewheel::{Cache, MockClock, SweepBudget, Timeouts};
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

thread_local! {
    /// Calls of user code until something happens; 0: nothing does.
    static FUSE: Cell<u32> = const { Cell::new(0) };
    /// What happens.
    static TRAP: Cell<fn()> = const { Cell::new(panic_quietly) };
    /// Panics so far.
    static FIRED: Cell<u64> = const { Cell::new(0) };
    /// Copies of each token.
    static COPIES: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
}

/// What every piece of user code does.
pub(crate) fn called() {
    let left = FUSE.get();
    FUSE.set(left.saturating_sub(1));
    if left == 1 {
        (TRAP.get())();
    }
}

/// Makes something happen at one of the next calls of user code.
pub(crate) fn set_fuse(calls: u8) {
    FUSE.set(calls.into());
}

/// Says what that is, instead of a panic.
#[allow(dead_code, reason = "not all targets set traps")]
pub(crate) fn set_trap(trap: fn()) {
    TRAP.set(trap);
}

pub(crate) fn panic_quietly() {
    FIRED.set(FIRED.get() + 1);
    // Not `panic!`, whose hook ends the fuzzer. No content, because the cache leaks it.
    resume_unwind(Box::new(()));
}

/// Panics so far.
pub(crate) fn fired() -> u64 {
    FIRED.get()
}

/// Forgets what a former script did.
pub(crate) fn reset() {
    COPIES.with_borrow_mut(Vec::clear);
    FIRED.set(0);
    FUSE.set(0);
}

/// Counts its copies.
pub(crate) struct Token(usize);

impl Token {
    pub(crate) fn new() -> Self {
        COPIES.with_borrow_mut(|copies| {
            copies.push(1);
            Token(copies.len() - 1)
        })
    }

    pub(crate) fn alive() -> i32 {
        COPIES.with_borrow(|copies| copies.iter().sum())
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        called();
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
        called();
    }
}

#[derive(Clone)]
pub(crate) struct Name(u8);

impl Hash for Name {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        called();
        // Few hashes, so that `Eq` has work.
        hasher.write_u8(self.0 / 4);
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        called();
        self.0 == other.0
    }
}

impl Eq for Name {}

#[derive(PartialEq, Eq, Clone)]
pub(crate) struct Key(Name, Unequal);

/// A token that does not take part in comparisons.
#[derive(Clone)]
pub(crate) struct Unequal(#[allow(dead_code)] Token);

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

pub(crate) type Sessions = Cache<Key, Token, BuildHasherDefault<DefaultHasher>>;

#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) enum Op {
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

/// A tenth of a second.
pub(crate) const UNIT: Duration = Duration::from_millis(100);
const NAMES: u8 = 16;

pub(crate) fn apply(cache: &Sessions, mock: &MockClock, op: Op) {
    let name = |number: u8| Name(number % NAMES);
    let key = |number: u8| Key(name(number), Unequal(Token::new()));
    match op {
        Op::Get(n) => drop(cache.get(&name(n))),
        Op::GetWith(n) => drop(cache.get_with(&name(n), |_| called())),
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
            called();
            Token::new()
        })),
        Op::Load(n, fails) => drop(cache.get_or_try_insert_with(key(n), || {
            called();
            if fails { Err(()) } else { Ok(Token::new()) }
        })),
        Op::OrInsert(n) => {
            let entry = cache.entry(key(n)).and_modify(|_| Token::new());
            drop(entry.or_insert(Token::new()));
        }
        Op::Rekey(n, to) => drop(cache.rekey(&name(n), key(to))),
        Op::RemoveIf(n) => drop(cache.remove_if(&name(n), |_| {
            called();
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

/// Runs something with a fuse. `true`: a panic came out.
pub(crate) fn with_fuse(fuse: u8, run: impl FnOnce()) -> bool {
    set_fuse(fuse);
    let panicked = catch_unwind(AssertUnwindSafe(run)).is_err();
    set_fuse(0);
    panicked
}

/// Whether an operation lets no panic out: those of drops and listeners are caught.
pub(crate) fn never_panics(op: Op) -> bool {
    matches!(op, Op::Sweep | Op::SweepWithin(_) | Op::Flush | Op::Clear)
}

pub(crate) fn check(cache: &Sessions) {
    let stats = cache.stats();
    assert_eq!(stats.inserted, stats.live + stats.removed.total(), "{stats:?}");
    cache.validate().expect("valid after a panic");
}

/// Drops what was removed; then exactly the live entries' keys and values are left. Returns how
/// many that are.
pub(crate) fn settle(cache: &Sessions, listens: bool) -> u64 {
    // Where caches are linked, one may wait for another.
    let is_settled = || cache.flush() == 0 && cache.stats().pending_reclamation == 0;
    assert!((0..100).any(|_| is_settled()), "never dropped: {:?}", cache.stats());
    let census = cache.validate().expect("valid at rest");
    // Where there is a listener, a value that replaced another one has a copy of its key.
    let copies = if listens { census.holders } else { 0 };
    2 * census.live + census.aliases + copies
}
