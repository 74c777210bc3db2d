//! Scripts for a family of linked caches.

use crate::bytes::Bytes;
use crate::family::{Bound, CACHES, LINKS, Limits, Terms};
use crate::script::{Hashing, Source};
use arbitrary::{Arbitrary, Unstructured};

const MOST: usize = 500;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Under a parent, where parents are named.
    Insert(u8, Option<u8>),
    InsertNew(u8, Option<u8>),
    InsertWith(u8, Option<u8>, Limits),
    Load(u8, Option<u8>),
    Get(u8),
    Peek(u8),
    Touch(u8),
    Update(u8),
    Remove(u8),
    RemoveIf(u8),
    Renew(u8),
    SetTimeouts(u8, Limits),
    Rekey(u8, u8),
    Children(u8),
    RetainEven,
    Clear,
    Sweep(Option<u8>),
    Flush,
    /// So many halves of a step.
    Advance(u16),
    /// To the last step of an entry, or the one after.
    AdvanceTo(u8, bool),
    DropCache,
    Settle,
}

#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) hashing: Hashing,
    pub(crate) keys: u8,
    pub(crate) terms: [Terms; CACHES],
    /// Which cache, and what.
    pub(crate) ops: Vec<(usize, Op)>,
}

fn draw_limits(source: &mut impl Source) -> Limits {
    let mut limit = || match source.below(12) {
        0..5 => None,
        n => Some([0, 1, 3, 8, 40, 200, 2000][n as usize - 5]),
    };
    Limits { idle: limit(), absolute: limit() }
}

fn draw_terms(source: &mut impl Source, cache: usize) -> Terms {
    let bound = match source.below(8) {
        0 => Bound::Entries(source.below(6) as usize),
        1 | 2 if LINKS[cache].is_some_and(|link| link.1) => {
            Bound::Children(source.below(4) as usize)
        }
        _ => Bound::None,
    };
    let touches = LINKS[cache].is_some() && source.below(3) == 0;
    Terms { limits: draw_limits(source), touches, bound, rejects: source.below(3) == 0 }
}

fn draw_op(source: &mut impl Source, keys: u8) -> Op {
    let key = source.below(keys.into()) as u8;
    let mut other = || source.below(keys.into()) as u8;
    let parent = other();
    // Now and then as if parents were not named.
    let named = (parent != key || source.below(4) > 0).then_some(parent);
    match source.below(64) {
        0..16 => Op::Insert(key, named),
        16..18 => Op::InsertNew(key, named),
        18..22 => Op::InsertWith(key, named, draw_limits(source)),
        22..24 => Op::Load(key, named),
        24..28 => Op::Get(key),
        28..30 => Op::Peek(key),
        30 => Op::Touch(key),
        31 | 32 => Op::Update(key),
        33..36 => Op::Remove(key),
        36 => Op::RemoveIf(key),
        37 => Op::Renew(key),
        38 => Op::SetTimeouts(key, draw_limits(source)),
        39..42 => Op::Rekey(key, parent),
        42..44 => Op::Children(key),
        44 => Op::RetainEven,
        45 if source.below(4) == 0 => Op::Clear,
        46 if source.below(8) == 0 => Op::DropCache,
        45..49 => Op::Sweep(None),
        49..53 => Op::Sweep(Some(source.pick(&[0, 1, 2, 5]))),
        53 => Op::Flush,
        54 => Op::Settle,
        55..60 => Op::AdvanceTo(key, source.below(3) > 0),
        _ => Op::Advance(source.pick(&[0, 1, 2, 3, 6, 20, 90, 400, 5000])),
    }
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let source = &mut Bytes(bytes);
        let hashing = source.pick(&[Hashing::Spread, Hashing::LowBits, Hashing::Constant]);
        let keys = source.pick(&[1, 3, 6, 12]);
        let terms = std::array::from_fn(|cache| draw_terms(source, cache));
        let mut ops = Vec::new();
        while !source.0.is_empty() && ops.len() < MOST {
            ops.push((source.below(CACHES as u64) as usize, draw_op(source, keys)));
        }
        Ok(Script { hashing, keys, terms, ops })
    }
}
