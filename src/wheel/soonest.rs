//! Finding what expires soonest, to make room for something else.

use super::bits::set_bits;
use super::level::Level;
use super::{Home, Timers, Wheel};
use crate::segments::{CHUNK_GROUPS, SEGMENTS};
use crate::slab::{Flag, State};
use crate::sync::atomic::Ordering;

/// A place in the order in which buckets are offered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// When the bucket ends.
    end: u64,
    level: usize,
    bucket: u64,
}

impl Wheel {
    /// Offers live slots to `claim`, bucket by bucket from the one that ends first, until it takes
    /// one. `false`: it took none. The caller is pinned.
    ///
    /// The order is right as long as what is due was swept: then the buckets in use are one turn.
    /// Within a bucket the search goes on where the last one ended, so that threads that make room
    /// at the same time meet seldom, and what was emptied is not searched again.
    pub(crate) fn soonest<T: Timers>(
        &self,
        timers: &T,
        mut claim: impl FnMut(u32, State) -> bool,
    ) -> bool {
        let mut last = None;
        while let Some(turn) = self.turn_after(last) {
            if self.offer_bucket(timers, turn, &mut claim) {
                return true;
            }
            last = Some(turn);
        }
        false
    }

    /// The first bucket after `last`, of any level, in which something may be filed.
    fn turn_after(&self, last: Option<Turn>) -> Option<Turn> {
        let first_of = |(number, level): (usize, &Level)| {
            if level.is_unused() {
                return None;
            }
            let all = level.in_use();
            let ends = |bucket: u64| (bucket + 1).saturating_mul(level.width);
            let turn = |bucket| Turn { end: ends(bucket), level: number, bucket };
            let from = last.map_or(all.start, |last| {
                // The last bucket that may not come after it, and then the next.
                let near = (last.end / level.width).saturating_sub(1).max(all.start);
                if turn(near) > last { near } else { near + 1 }
            });
            level.first_occupied(from.min(all.end)..all.end).map(turn)
        };
        self.levels.iter().enumerate().filter_map(first_of).min()
    }

    fn offer_bucket<T: Timers>(
        &self,
        timers: &T,
        turn: Turn,
        claim: &mut impl FnMut(u32, State) -> bool,
    ) -> bool {
        // Relaxed: a hint.
        let hint = self.last_offer.load(Ordering::Relaxed);
        for chunks in [hint..u64::MAX, 0..hint] {
            for segment in 0..SEGMENTS {
                if self.offer_chunks(timers, turn, segment, &chunks, claim) {
                    return true;
                }
            }
        }
        false
    }

    /// Offers what is filed in the chunks of one segment whose numbers are in a range.
    fn offer_chunks<T: Timers>(
        &self,
        timers: &T,
        turn: Turn,
        segment: usize,
        range: &std::ops::Range<u64>,
        claim: &mut impl FnMut(u32, State) -> bool,
    ) -> bool {
        let level = &self.levels[turn.level];
        let Some(bits) = level.parts.of(segment).get() else { return false };
        let place = level.place(turn.bucket);
        let first = self.geometry.first_chunk(segment);
        let within = |number: u64| number.saturating_sub(first).min(bits.chunks() as u64) as usize;
        for chunk in within(range.start)..within(range.end) {
            for bit in set_bits(bits.groups(place, chunk)) {
                let group = chunk * CHUNK_GROUPS as usize + bit as usize;
                for bit in set_bits(bits.word(place, group)) {
                    let slot = bits.slot(group, bit);
                    let (state, home) = timers.timer(slot);
                    let is_here = |home: Home| {
                        usize::from(home.level) == turn.level && level.place(home.bucket) == place
                    };
                    // A stale bit is cleared by whoever set it elsewhere, or by a sweep.
                    if state.is(Flag::Live) && home.is_some_and(is_here) && claim(slot, state) {
                        self.last_offer.store(first + chunk as u64, Ordering::Relaxed);
                        return true;
                    }
                }
            }
        }
        false
    }
}
