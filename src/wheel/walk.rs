//! Sweeping: walking the buckets that are wholly past.

use super::bits::{Bits, set_bits};
use super::level::{Cursor, Level};
use super::{Home, Timers, Wheel};
use crate::segments::{CHUNK_GROUPS, GROUP, SEGMENTS};
use crate::slab::Flag;
use crate::sync::atomic::Ordering;
use crate::sync::{Step, broken, model_fence};

/// How much a walk may do. `proceed` is asked before every visit.
pub(crate) trait Budget {
    /// Whether another slot may be visited, after `visited` so far.
    fn proceed(&mut self, visited: u64) -> bool;
}

/// What a walk did.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Bits met: expired entries, survivors and stale bits.
    pub(crate) visited: u64,
    /// Entries that this walk expired.
    pub(crate) expired: u64,
    /// Entries met before their time, because two buckets in use shared a place.
    pub(crate) survivors: u64,
    /// Buckets passed.
    pub(crate) buckets: u64,
    /// The budget ended before the due buckets did.
    pub(crate) more: bool,
}

/// Where a walk stands.
struct Pass<'a> {
    level: u8,
    bucket: u64,
    place: usize,
    now: u64,
    bits: &'a Bits,
}

impl Wheel {
    /// Expires what is due at `now` (nanoseconds), bucket by bucket, until `budget` ends it. The
    /// caller is pinned.
    pub(crate) fn sweep<T: Timers>(&self, timers: &T, now: u64, budget: &mut impl Budget) -> Walk {
        let mut walk = Walk::default();
        // SeqCst, before any bit is read: whoever sets a bit or goes live later sees that its
        // bucket may be passed, and claims its slot itself (`is_covered`).
        if !broken(Step::PublishSweptFirst) {
            self.swept.fetch_max(now, Ordering::SeqCst);
        }
        model_fence();
        for (number, level) in self.levels.iter().enumerate() {
            self.sweep_level(timers, number as u8, level, now, budget, &mut walk);
            if walk.more {
                break;
            }
        }
        if broken(Step::PublishSweptFirst) {
            self.swept.fetch_max(now, Ordering::SeqCst);
        }
        walk
    }

    fn sweep_level<T: Timers>(
        &self,
        timers: &T,
        number: u8,
        level: &Level,
        now: u64,
        budget: &mut impl Budget,
        walk: &mut Walk,
    ) {
        let end = level.end(now);
        let mut from = level.cursor();
        if from.bucket >= end {
            return;
        }
        // After a long gap every place is walked once; missed ticks are never walked one by one.
        // The last turn has all places. The next slice of this sweep, or the next sweep, goes on
        // within it: were it the first one, each slice would begin another turn.
        let last_turn = end.saturating_sub(level.buckets as u64);
        if from.bucket < last_turn {
            from = Cursor { bucket: last_turn, group: 0 };
        }
        if !level.is_unused() {
            for bucket in from.bucket..end {
                let group = if bucket == from.bucket { from.group } else { 0 };
                if !self.sweep_bucket(timers, (number, level, bucket), group, now, budget, walk) {
                    walk.more = true;
                    return;
                }
                level.advance(Cursor { bucket: bucket + 1, group: 0 });
                walk.buckets += 1;
            }
        }
        level.advance(Cursor { bucket: end, group: 0 });
    }

    /// Walks one bucket from group `from` on. `false`: the budget ended; the cursor stands before
    /// the group that was not finished.
    fn sweep_bucket<T: Timers>(
        &self,
        timers: &T,
        (number, level, bucket): (u8, &Level, u64),
        from: u64,
        now: u64,
        budget: &mut impl Budget,
        walk: &mut Walk,
    ) -> bool {
        let place = level.place(bucket);
        for segment in 0..SEGMENTS {
            let Some(bits) = level.parts.of(segment).get() else { continue };
            let pass = Pass { level: number, bucket, place, now, bits };
            let first = self.geometry.start(segment) / u64::from(GROUP);
            for chunk in 0..bits.chunks() {
                for group_bit in set_bits(bits.groups(place, chunk)) {
                    let group = chunk * CHUNK_GROUPS as usize + group_bit as usize;
                    let number = first + group as u64;
                    if number >= from && !self.sweep_group(timers, &pass, group, budget, walk) {
                        level.advance(Cursor { bucket, group: number });
                        return false;
                    }
                }
            }
        }
        true
    }

    fn sweep_group<T: Timers>(
        &self,
        timers: &T,
        pass: &Pass<'_>,
        group: usize,
        budget: &mut impl Budget,
        walk: &mut Walk,
    ) -> bool {
        let mut survivors = 0;
        for bit in set_bits(pass.bits.word(pass.place, group)) {
            // Survivors stay where they are: a walk that stopped at them would meet them again, so
            // a group is left only for the sake of visits that changed something.
            if !budget.proceed(walk.visited - survivors) {
                return false;
            }
            let slot = pass.bits.slot(group, bit);
            if self.visit(timers, pass, slot, walk) {
                survivors += 1;
            }
        }
        true
    }

    /// Looks at one slot whose bit was met. `true`: it survives, in this very place.
    fn visit<T: Timers>(&self, timers: &T, pass: &Pass<'_>, slot: u32, walk: &mut Walk) -> bool {
        walk.visited += 1;
        let here = Home { level: pass.level, bucket: pass.bucket };
        // The sweep's half of the insert's pair: swept is published, then states are read.
        model_fence();
        loop {
            let (state, home) = timers.timer(slot);
            let due = |home: Home| self.level_of(home).is_past(home.bucket, pass.now);
            if state.is(Flag::Live) && home.is_some_and(due) {
                // Due, whatever bucket the bit was found in.
                if !timers.expire(slot, state) {
                    continue;
                }
                walk.expired += 1;
                if home.is_some_and(|home| !self.same_place(home, here)) {
                    self.unset(timers, here, slot);
                }
                return false;
            }
            if super::has_home(state) && home.is_some_and(|home| self.same_place(home, here)) {
                walk.survivors += 1;
                return true;
            }
            // A stale bit. It may be the net of a mover that has not set its new bit yet, so the
            // new home comes first.
            if !broken(Step::EnsureBeforeClear) {
                self.ensure(timers, slot);
            }
            self.unset(timers, here, slot);
            return false;
        }
    }

    fn same_place(&self, a: Home, b: Home) -> bool {
        let level = self.level_of(a);
        a.level == b.level && level.place(a.bucket) == level.place(b.bucket)
    }

    /// When the next sweep has something to do, at the earliest, as far as the summaries tell.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let due = |level: &Level| {
            if level.is_unused() {
                return None;
            }
            let bucket = level.first_occupied(level.in_use())?;
            Some((bucket + 1).saturating_mul(level.width))
        };
        self.levels.iter().filter_map(due).min()
    }
}
