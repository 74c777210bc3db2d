//! Scripts: random operations on a cache beside a naive oracle that keeps exact nanoseconds.
//!
//! The same scripts are drawn from seeds by `tests/model.rs` and from raw bytes by the fuzz
//! targets.

mod drive;
mod oracle;
mod steps;
pub(crate) mod value;

pub(crate) use value::Hashing;
#[allow(unused_imports, reason = "each user needs a part")]
pub(crate) use {
    drive::{Driver, run},
    steps::{Offset, Span, Step},
};

use std::time::Duration;

/// Where random choices come from.
pub(crate) trait Source {
    fn byte(&mut self) -> u8;
    fn word(&mut self) -> u64;

    fn below(&mut self, bound: u64) -> u64 {
        if bound <= 256 { u64::from(self.byte()) % bound } else { self.word() % bound }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

/// splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Source for Random {
    fn byte(&mut self) -> u8 {
        (self.word() >> 56) as u8
    }

    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;
pub(crate) const DAY: u64 = 86_400 * SECOND;

/// Clock values at which something could wrap or overflow.
pub(crate) const STARTS: [u64; 7] = [
    0,
    1 << 32,
    (1 << 32) * MS,
    ((1 << 36) - 1) * MS,
    1 << 42,
    (1 << 63) - 1,
    u64::MAX - 3600 * SECOND,
];

/// How the cache of a script is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) idle: Option<Duration>,
    pub(crate) absolute: Option<Duration>,
    pub(crate) tick: Duration,
    /// The mock clock's first time, in nanoseconds.
    pub(crate) start: u64,
    /// Keys that single operations choose from.
    pub(crate) keys: u16,
    pub(crate) hashing: Hashing,
    pub(crate) capacity: usize,
    /// How many slots there are, for scripts that run out of them.
    pub(crate) slots: Option<u32>,
}

impl Settings {
    pub(crate) fn new(idle: Duration) -> Self {
        Settings {
            idle: Some(idle),
            absolute: None,
            tick: Duration::from_millis(100),
            start: 0,
            keys: 8,
            hashing: Hashing::Spread,
            capacity: 0,
            slots: None,
        }
    }

    pub(crate) fn draw(source: &mut impl Source) -> Self {
        let nanos = Duration::from_nanos;
        let idles = [0, 1, 10 * MS, SECOND, SECOND, 1800 * SECOND, 1800 * SECOND, 400 * DAY];
        let idle = match source.below(10) {
            0 => None,
            1 => Some(Duration::MAX),
            n => Some(nanos(idles[n as usize - 2])),
        };
        let absolute = match source.below(8) {
            0 => Some(Duration::ZERO),
            1 | 2 => Some(nanos(SECOND)),
            3 => Some(nanos(12 * 3600 * SECOND)),
            4 => Some(Duration::MAX),
            _ => None,
        };
        let ticks = [10 * MS, 100 * MS, 100 * MS, 3600 * SECOND];
        let hashings = [Hashing::Spread, Hashing::Spread, Hashing::Identity, Hashing::Constant];
        Settings {
            idle,
            absolute,
            tick: nanos(source.pick(&ticks)),
            start: source.pick(&STARTS),
            keys: source.pick(&[1, 3, 8, 64]),
            hashing: source.pick(&hashings),
            capacity: source.pick(&[0, 0, 1, 5000]),
            slots: source.pick(&[None, None, None, Some(40)]),
        }
    }

    /// The step in which the cache counts time. A mock clock is never stale, so this alone bounds
    /// how late an expiry is.
    pub(crate) fn grain(&self) -> u64 {
        1 << (self.tick.as_nanos() / 2).ilog2()
    }

    /// The last time that the cache tells apart from later ones, counted from its start.
    pub(crate) fn horizon(&self) -> u64 {
        ((1 << 36) - 1u64).saturating_mul(self.grain())
    }
}

/// A lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Get,
    GetWith,
    PinnedGet,
    GetMany,
    Touch,
    Peek,
    PinnedPeek,
    Contains,
    Remaining,
}

impl Read {
    pub(crate) const ALL: [Read; 9] = [
        Read::Get,
        Read::GetWith,
        Read::PinnedGet,
        Read::GetMany,
        Read::Touch,
        Read::Peek,
        Read::PinnedPeek,
        Read::Contains,
        Read::Remaining,
    ];

    /// Whether it restarts idleness.
    pub(crate) fn touches(self) -> bool {
        use Read::{Get, GetMany, GetWith, PinnedGet, Touch};
        matches!(self, Get | GetWith | PinnedGet | GetMany | Touch)
    }
}

/// One operation of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read(Read, u16),
    Insert(u16),
    InsertNew(u16),
    InsertWith(u16, Option<Span>, Option<Span>),
    Update(u16),
    Remove(u16),
    Take(u16),
    Renew(u16),
    SetTimeouts(u16, Option<Span>, Option<Span>),
    /// Gives the entry of the first key the second one.
    Rekey(u16, u16),
    /// Takes a lease.
    Hold(u16),
    /// Drops one of the leases.
    Release(u8),
    /// Inserts so many entries under keys that no other operation names.
    Burst(u16),
    Clear,
    Sweep,
    SweepWithin(u8),
    Flush,
    Advance(Step),
}

/// First key of a burst.
pub(crate) const BURST: u16 = 1000;

impl Op {
    /// An operation; `far`: time may also make leaps that use it up.
    pub(crate) fn draw(source: &mut impl Source, settings: &Settings, far: bool) -> Self {
        let kind = source.below(64);
        let key = source.below(settings.keys.into()) as u16;
        match kind {
            0..16 => Op::Read(source.pick(&Read::ALL), key),
            16..24 => Op::Insert(key),
            24..27 => Op::InsertNew(key),
            27..32 => {
                let mut span = || (source.below(3) > 0).then(|| Span::draw(source));
                Op::InsertWith(key, span(), span())
            }
            32..35 => Op::Update(key),
            35..37 => Op::Remove(key),
            37 => Op::Take(key),
            38 => Op::Renew(key),
            39 => {
                let mut span = || (source.below(3) > 0).then(|| Span::draw(source));
                Op::SetTimeouts(key, span(), span())
            }
            40 => Op::Rekey(key, source.below(settings.keys.into()) as u16),
            41 => Op::Hold(key),
            42 => Op::Release(source.byte()),
            43 if source.below(4) == 0 => Op::Burst(source.pick(&[3, 70, 300])),
            43 if source.below(4) == 0 => Op::Clear,
            43..47 => Op::Sweep,
            47..49 => Op::SweepWithin(source.byte() % 8),
            49 => Op::Flush,
            _ => Op::Advance(Step::draw(source, key, far)),
        }
    }
}

/// A script of `length` operations, with its settings.
pub(crate) fn draw(source: &mut impl Source, length: usize) -> (Settings, Vec<Op>) {
    let settings = Settings::draw(source);
    let far = source.below(2) == 0;
    let ops = (0..length).map(|_| Op::draw(source, &settings, far)).collect();
    (settings, ops)
}
