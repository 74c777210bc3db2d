//! Levels: which bucket a deadline falls into, and how wide buckets are.

use super::bits::Bits;
use crate::segments::Segments;
use crate::sync::atomic::{AtomicU64, Ordering};
use std::ops::Range;

/// A bucket of a level, counted from the cache's start; its place in the wheel is the rest of the
/// division by the number of buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Home {
    pub(crate) level: u8,
    pub(crate) bucket: u64,
}

/// Bucket widths and counts of all levels.
///
/// Level 0 fits the cache's own shortest timeout T. The others are octaves of ticks, for entries
/// with timeouts of their own. Two bounds make the table:
///
/// - An entry is removed within T/32, or within the lateness that the cache was asked for if that
///   is longer. What is stored is rounded up to the end of a tick, so a bucket is at most that bound
///   less a tick wide. Level 0 allows for two ticks of T/32, so that a clock which is half a tick
///   behind changes nothing for entries without timeouts of their own.
/// - A deadline lies at most D buckets ahead, which leaves B - D - 1 of B buckets between two
///   sweeps before two buckets in use share a place: at least 3/4 T.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    tick: u64,
    /// The lateness that was asked for: at least two ticks.
    asked: u64,
    default_timeout: u64,
    /// Width and number of buckets of each level.
    widths: Vec<(u64, usize)>,
}

/// Buckets per timeout, at least, where ticks are fine enough.
const FINENESS: u64 = 34;
/// Octaves whose buckets are so few ticks wide that a timeout may need most of 128 of them.
const FINE_OCTAVES: usize = 3;

impl Plan {
    /// Levels for ticks of `tick` nanoseconds in a cache that was asked for a lateness of `asked`,
    /// whose entries' shortest timeout mostly is `default_timeout` (`u64::MAX`: they have none).
    pub(crate) fn new(tick: u64, asked: u64, default_timeout: u64) -> Self {
        debug_assert!(asked / 2 >= tick);
        let mut plan = Plan { tick, asked, default_timeout, widths: Vec::new() };
        let in_time = (default_timeout / 32).saturating_sub(2 * tick);
        let width = plan.widest(default_timeout).min(in_time.max(asked - tick));
        let ahead = default_timeout.saturating_add(tick).div_ceil(width) + 1;
        let needed = ahead + 1 + (default_timeout / 4 * 3).div_ceil(width);
        let buckets = [64, 128].into_iter().find(|buckets| needed <= *buckets);
        plan.widths.push((width, buckets.unwrap_or(256) as usize));
        let mut width = tick;
        while width <= u64::MAX / FINENESS / 2 {
            let buckets = if plan.widths.len() <= FINE_OCTAVES { 256 } else { 128 };
            plan.widths.push((width, buckets));
            width *= 2;
        }
        plan
    }

    /// The width of the widest buckets that remove an entry in time.
    fn widest(&self, timeout: u64) -> u64 {
        let in_time = (timeout / 32).max(self.asked) - self.tick;
        (timeout / FINENESS).min(in_time).max(self.tick)
    }

    /// A plan of one level, for models.
    #[cfg(loom)]
    pub(crate) fn single(width: u64, buckets: usize) -> Self {
        let widths = vec![(width, buckets)];
        Plan { tick: width, asked: 2 * width, default_timeout: u64::MAX, widths }
    }

    /// A plan of two levels, for models: buckets of one tick for entries with the default timeout,
    /// and of two ticks for the others.
    #[cfg(loom)]
    pub(crate) fn double(default_timeout: u64, buckets: usize) -> Self {
        Plan { tick: 1, asked: 2, default_timeout, widths: vec![(1, buckets), (2, buckets)] }
    }

    /// The level for entries whose shortest timeout is `timeout` nanoseconds.
    #[inline]
    pub(crate) fn level_for(&self, timeout: u64) -> u8 {
        if timeout == self.default_timeout {
            return 0;
        }
        let octave = (self.widest(timeout) / self.tick).ilog2() as usize;
        (1 + octave).min(self.widths.len() - 1) as u8
    }

    /// The bucket of a deadline.
    #[inline]
    pub(crate) fn home(&self, timeout: u64, deadline: u64) -> Home {
        let level = self.level_for(timeout);
        Home { level, bucket: deadline / self.widths[usize::from(level)].0 }
    }

    pub(super) fn levels(&self) -> Box<[Level]> {
        self.widths.iter().map(|&(width, buckets)| Level::new(width, buckets)).collect()
    }
}

/// How far sweeps have walked a level, in one word: all buckets below `bucket`, and the groups
/// below `group` of that bucket.
///
/// ```text
/// | bucket : 38 | group : 26 |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Cursor {
    pub(super) bucket: u64,
    pub(super) group: u64,
}

const GROUP_BITS: u32 = 26;
const _: () = assert!(GROUP_BITS >= 32 - 6, "every group of 64 slots has a number");

impl Cursor {
    fn pack(self) -> u64 {
        (self.bucket << GROUP_BITS) | self.group
    }

    fn unpack(word: u64) -> Self {
        Cursor { bucket: word >> GROUP_BITS, group: word & ((1 << GROUP_BITS) - 1) }
    }
}

/// One level: its bitmaps, allocated segment by segment when an entry first needs them.
pub(super) struct Level {
    pub(super) width: u64,
    pub(super) buckets: usize,
    pub(super) parts: Segments<Bits>,
    cursor: AtomicU64,
    /// One bit per place: clear only if nothing is filed there. For `Wheel::next_due`, which would
    /// have to look at every summary otherwise.
    occupied: [AtomicU64; MOST_BUCKETS / 64],
}

/// The largest number of buckets in a level.
const MOST_BUCKETS: usize = 256;

impl Level {
    fn new(width: u64, buckets: usize) -> Self {
        debug_assert!(buckets <= MOST_BUCKETS && buckets.is_power_of_two());
        let occupied = std::array::from_fn(|_| AtomicU64::new(0));
        Level { width, buckets, parts: Segments::new(), cursor: AtomicU64::new(0), occupied }
    }

    #[inline]
    pub(super) fn place(&self, bucket: u64) -> usize {
        // A power of two.
        bucket as usize & (self.buckets - 1)
    }

    /// After a bit was set in a place: a read, nearly always.
    #[inline]
    pub(super) fn occupy(&self, place: usize) {
        let (word, bit) = (&self.occupied[place / 64], 1 << (place % 64));
        // SeqCst: "set bits, then load this" against "clear this, then load summaries" in
        // `first_occupied`.
        if word.load(Ordering::SeqCst) & bit == 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// Whether the place may hold something. At rest only.
    pub(super) fn is_occupied(&self, place: usize) -> bool {
        self.occupied[place / 64].load(Ordering::SeqCst) & (1 << (place % 64)) != 0
    }

    /// The first of these buckets, which are at most a turn, in which something is filed.
    pub(super) fn first_occupied(&self, mut buckets: Range<u64>) -> Option<u64> {
        let is_filed = |place: usize| {
            self.parts
                .iter()
                .any(|bits| (0..bits.chunks()).any(|chunk| bits.groups(place, chunk) != 0))
        };
        buckets.find(|bucket| {
            let place = self.place(*bucket);
            let (word, bit) = (&self.occupied[place / 64], 1 << (place % 64));
            // SeqCst: see `occupy`.
            if word.load(Ordering::SeqCst) & bit == 0 {
                return false;
            }
            if is_filed(place) {
                return true;
            }
            word.fetch_and(!bit, Ordering::SeqCst);
            if is_filed(place) {
                word.fetch_or(bit, Ordering::SeqCst);
                return true;
            }
            false
        })
    }

    /// The first bucket that is not wholly past at `now`. Only buckets before it are swept: their
    /// deadlines are over for every reader, while the present bucket may hold survivors.
    pub(super) fn end(&self, now: u64) -> u64 {
        now / self.width
    }

    pub(super) fn is_past(&self, bucket: u64, now: u64) -> bool {
        // The same as `bucket < end(now)`, without a division. A bucket that ends after all time
        // is never past.
        (bucket + 1).checked_mul(self.width).is_some_and(|end| end <= now)
    }

    /// All buckets in which something may be filed, but for those of the turn before that a sweep
    /// which is overdue has yet to pass.
    pub(super) fn in_use(&self) -> Range<u64> {
        let first = self.cursor().bucket;
        first..first + self.buckets as u64
    }

    pub(super) fn cursor(&self) -> Cursor {
        // Acquire: what was walked up to here is visible.
        Cursor::unpack(self.cursor.load(Ordering::Acquire))
    }

    /// Records that this thread, starting from a cursor it loaded, walked everything up to here.
    pub(super) fn advance(&self, to: Cursor) {
        // AcqRel: carries the walk to the next sweep's `cursor`.
        self.cursor.fetch_max(to.pack(), Ordering::AcqRel);
    }

    pub(super) fn is_unused(&self) -> bool {
        self.parts.iter().next().is_none()
    }

    pub(super) fn count_bits(&self) -> u64 {
        self.parts.iter().map(Bits::count).sum()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const TICK: u64 = 1 << 26;

    /// Timeouts around every boundary of the level table.
    fn timeouts() -> Vec<u64> {
        let mut list = vec![0, 1, TICK - 1, TICK, TICK + 1, 1_800_000_000_000];
        for octave in 0..36 {
            let edge = TICK.saturating_mul(FINENESS) << octave.min(31);
            list.extend((0..16).flat_map(|part| [edge + edge / 16 * part, edge - 1 - part]));
        }
        list
    }

    #[test]
    fn buckets_are_fine_enough_and_leave_three_quarters_between_sweeps() {
        for asked in [2 * TICK, 3 * TICK, 4 * TICK - 1] {
            for default in timeouts() {
                let plan = Plan::new(TICK, asked, default);
                for timeout in timeouts().into_iter().chain([default]) {
                    let level = plan.level_for(timeout);
                    let (width, buckets) = plan.widths[usize::from(level)];
                    if level == 0 && timeout / 32 >= asked + TICK {
                        assert!(width + 2 * TICK <= timeout / 32, "{timeout} by a late clock");
                    }
                    assert!(width + TICK <= (timeout / 32).max(asked), "{timeout}: {width}");
                    let ahead = (timeout + TICK).div_ceil(width) + 1;
                    let spare = (buckets as u64).checked_sub(ahead + 1).expect("deadlines fit");
                    assert!(spare * width >= timeout / 4 * 3, "{timeout} in buckets of {width}");
                }
            }
        }
    }

    #[test]
    fn the_last_bucket_of_all_time_is_never_past() {
        let level = Level::new(1 << 40, 64);
        for now in [0, (1 << 40) - 1, 1 << 40, u64::MAX - 1, u64::MAX] {
            for bucket in [0, 1, (1 << 24) - 2, (1 << 24) - 1] {
                assert_eq!(level.is_past(bucket, now), bucket < level.end(now));
            }
        }
    }

    #[test]
    fn every_bucket_of_the_largest_time_fits_the_cursor() {
        let last = Cursor { bucket: crate::slab::MAX_TICK + 2, group: (1 << 26) - 1 };
        assert_eq!(Cursor::unpack(last.pack()), last);
        assert!(Cursor { bucket: 1, group: 0 }.pack() > Cursor { bucket: 0, group: 9 }.pack());
    }

    #[test]
    fn the_first_place_in_which_something_is_filed_is_found_and_empty_ones_are_forgotten() {
        let level = Level::new(TICK, 256);
        let bits = Bits::new(4096, 1, 256);
        for place in [3, 64, 200] {
            bits.spot(7, place).set();
            level.occupy(place);
            level.occupy(place);
        }
        // Something was there.
        level.occupy(2);
        level.parts.of(0).get_or_init(|| Box::new(bits));
        let occupied = || (0..256).filter(|place| level.is_occupied(*place)).collect::<Vec<_>>();
        assert_eq!(occupied(), [2, 3, 64, 200]);
        assert_eq!(level.first_occupied(0..256), Some(3));
        assert_eq!(occupied(), [3, 64, 200]);
        assert_eq!(level.first_occupied(4..256), Some(64));
        assert_eq!(level.first_occupied(201..460), Some(259), "a turn later");
        assert_eq!(level.first_occupied(201..259), None);
        assert_eq!((level.count_bits(), level.is_unused()), (3, false));
    }

    #[test]
    fn a_cursor_goes_forward_only() {
        let level = Level::new(TICK, 64);
        assert!(level.is_unused());
        let ahead = Cursor { bucket: 9, group: 5 };
        level.advance(ahead);
        level.advance(Cursor { bucket: 9, group: 4 });
        assert_eq!((level.cursor(), level.in_use()), (ahead, 9..73));
        level.advance(Cursor { bucket: 10, group: 0 });
        assert_eq!(level.in_use(), 10..74);
    }
}
