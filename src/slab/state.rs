//! The state word: the only truth about a slot's life.
//!
//! ```text
//!  63                              28 27            8 7    4     3      2    0
//! | tick of the last activity : 36   | generation:20 | rev:4 | extended | flag:3 |
//! ```
//! Expiring, touching and removing are compare-and-swaps on this one word, so two of them can
//! never both win. In a free slot the tick field links the free list.
//!
//! An entry of revision 0 has the timeouts of its cache; one that is not extended has its first
//! value and no terms. So most hits need no other word.

/// What a slot is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Flag {
    /// Nobody's: on a free list, or never used.
    Free = 0,
    /// An insert is under way; readers miss unless the index says that it is committed.
    Reserved = 1,
    /// A readable entry, unless its deadline has passed.
    Live = 2,
    /// A removed entry whose key and value wait for their grace period.
    Dead = 3,
    /// Holds the present value of an entry that was replaced in place.
    Value = 4,
    /// Holds a replaced value that waits for its grace period.
    Shed = 5,
    /// One thread is dropping what the slot holds.
    Erasing = 6,
}

const FLAGS: [Flag; 7] =
    [Flag::Free, Flag::Reserved, Flag::Live, Flag::Dead, Flag::Value, Flag::Shed, Flag::Erasing];

const FLAG_BITS: u32 = 3;
const FLAG_MASK: u64 = (1 << FLAG_BITS) - 1;
const EXTENDED: u64 = 1 << FLAG_BITS;
const REV_BITS: u32 = 4;
/// In the revision of a dead word, beside the cause.
const HELPED: u8 = 1 << (REV_BITS - 1);
const GENERATION_BITS: u32 = 20;
/// Width of the tick field.
pub(crate) const TICK_BITS: u32 = 36;
const REV_SHIFT: u32 = FLAG_BITS + 1;
const GENERATION_SHIFT: u32 = REV_SHIFT + REV_BITS;
const TICK_SHIFT: u32 = GENERATION_SHIFT + GENERATION_BITS;

/// The last tick that a state word can hold.
pub(crate) const MAX_TICK: u64 = (1 << TICK_BITS) - 1;

const _: () = assert!(TICK_SHIFT + TICK_BITS == 64);
const _: () = assert!(TICK_BITS >= 32, "a free slot links a 32-bit slot id in its tick field");
const _: () = assert!(FLAGS.len() <= 1 << FLAG_BITS);

/// A state word, taken apart by its methods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u64);

impl State {
    /// Set to `{ tick, generation, rev: 0, flag }`.
    pub(crate) fn new(tick: u64, generation: u32, flag: Flag) -> Self {
        debug_assert!(tick <= MAX_TICK);
        let generation = u64::from(generation) & ((1 << GENERATION_BITS) - 1);
        State((tick << TICK_SHIFT) | (generation << GENERATION_SHIFT) | flag as u64)
    }

    #[inline(always)]
    pub(crate) fn flag(self) -> Flag {
        FLAGS[(self.0 & FLAG_MASK) as usize % FLAGS.len()]
    }

    #[inline(always)]
    pub(crate) fn is(self, flag: Flag) -> bool {
        self.0 & FLAG_MASK == flag as u64
    }

    #[inline(always)]
    pub(crate) fn tick(self) -> u64 {
        self.0 >> TICK_SHIFT
    }

    pub(crate) fn generation(self) -> u32 {
        ((self.0 >> GENERATION_SHIFT) & ((1 << GENERATION_BITS) - 1)) as u32
    }

    pub(crate) fn rev(self) -> u8 {
        ((self.0 >> REV_SHIFT) & ((1 << REV_BITS) - 1)) as u8
    }

    /// The revision that follows `rev`. Only entries without terms of their own are of revision 0,
    /// and terms are never lost, so it does not come back.
    pub(crate) fn next_rev(rev: u8) -> u8 {
        if rev < (1 << REV_BITS) - 1 { rev + 1 } else { 1 }
    }

    /// Whether the entry follows its cache's timeouts.
    #[inline(always)]
    pub(crate) fn has_default_timing(self) -> bool {
        self.0 & (((1 << REV_BITS) - 1) << REV_SHIFT) == 0
    }

    /// Whether the slot's extension word says something about it.
    #[inline(always)]
    pub(crate) fn is_extended(self) -> bool {
        self.0 & EXTENDED != 0
    }

    /// The same word of an entry whose extension word says something.
    pub(crate) fn extended(self) -> Self {
        State(self.0 | EXTENDED)
    }

    /// The same word with another flag.
    pub(crate) fn with_flag(self, flag: Flag) -> Self {
        State((self.0 & !FLAG_MASK) | flag as u64)
    }

    /// The word of an entry that died in this state, in this tick, for a cause with this code,
    /// which is not 0. `helped`: by a thread that ended a conditional removal for another one,
    /// which learns of it by this. A dead entry has no revision: its field holds cause and help.
    pub(crate) fn dead(self, cause: u8, tick: u64, helped: bool) -> Self {
        debug_assert!(cause != 0 && cause < HELPED);
        let rev = if helped { cause | HELPED } else { cause };
        self.with_tick(tick).with_rev(rev).with_flag(Flag::Dead)
    }

    /// Whether a dead entry's removal was ended by another thread.
    pub(crate) fn was_helped(self) -> bool {
        self.is(Flag::Dead) && self.rev() & HELPED != 0
    }

    /// The code of the cause for which an entry died; 0 for a slot that never was live.
    pub(crate) fn cause(self) -> u8 {
        if self.is(Flag::Dead) { self.rev() & !HELPED } else { 0 }
    }

    /// The word of a reserved slot whose insert another thread has stopped.
    pub(crate) fn stopped(self) -> Self {
        self.with_rev(HELPED).with_flag(Flag::Dead)
    }

    /// Whether another thread has stopped the insert. If it went live before, it did not.
    pub(crate) fn was_stopped(self) -> bool {
        self.is(Flag::Dead) && self.rev() == HELPED
    }

    /// The word of a reserved slot whose insert did not happen.
    pub(crate) fn given_up(self, flag: Flag) -> Self {
        self.with_rev(0).with_flag(flag)
    }

    /// The same word with another tick.
    #[inline(always)]
    pub(crate) fn with_tick(self, tick: u64) -> Self {
        debug_assert!(tick <= MAX_TICK);
        State((self.0 & ((1 << TICK_SHIFT) - 1)) | (tick << TICK_SHIFT))
    }

    /// The same word with another revision.
    pub(crate) fn with_rev(self, rev: u8) -> Self {
        let mask = ((1u64 << REV_BITS) - 1) << REV_SHIFT;
        State((self.0 & !mask) | ((u64::from(rev) << REV_SHIFT) & mask))
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tick, generation, rev) = (self.tick(), self.generation(), self.rev());
        write!(f, "{:?}(tick {tick}, generation {generation}, rev {rev})", self.flag())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_changes_of_the_others() {
        for tick in [0, 1, u64::from(u32::MAX), MAX_TICK] {
            for generation in [0, 1, (1 << GENERATION_BITS) - 1] {
                for flag in FLAGS {
                    for rev in 0..1 << REV_BITS {
                        let state = State::new(tick, generation, flag).with_rev(rev);
                        assert_eq!((state.tick(), state.generation()), (tick, generation));
                        assert_eq!((state.rev(), state.flag()), (rev, flag));
                        assert!(state.extended().is_extended() && !state.is_extended());
                        assert_eq!(state.extended().flag(), flag);
                        assert_eq!(state.has_default_timing(), rev == 0);
                        let other = state.with_tick(MAX_TICK - tick).with_flag(Flag::Dead);
                        assert_eq!((other.tick(), other.rev()), (MAX_TICK - tick, rev));
                        assert_eq!((other.generation(), other.flag()), (generation, Flag::Dead));
                    }
                }
            }
        }
    }

    #[test]
    fn a_dead_word_tells_why_and_when_and_whether_another_thread_ended_the_removal() {
        let live = State::new(5, 3, Flag::Live).with_rev(2).extended();
        for (tick, cause) in [(0, 1), (7, 6), (MAX_TICK, 7)] {
            for helped in [false, true] {
                let dead = live.dead(cause, tick, helped);
                assert_eq!((dead.was_helped(), dead.flag()), (helped, Flag::Dead));
                assert_eq!((dead.cause(), dead.tick()), (cause, tick));
                assert_eq!((dead.generation(), dead.is_extended()), (3, true));
            }
        }
        let reserved = State::new(5, 3, Flag::Reserved).with_rev(2);
        let (stopped, given_up) = (reserved.stopped(), reserved.given_up(Flag::Dead));
        assert_eq!((live.cause(), stopped.cause(), given_up.cause()), (0, 0, 0));
        let dead = live.dead(1, 0, true);
        assert_eq!([stopped, given_up, dead].map(State::was_stopped), [true, false, false]);
    }

    #[test]
    fn generation_wraps_within_its_field_and_revisions_skip_zero() {
        let state = State::new(7, 1 << GENERATION_BITS, Flag::Live);
        assert_eq!((state.generation(), state.tick(), state.flag()), (0, 7, Flag::Live));
        assert_eq!(State::next_rev(0), 1);
        assert_eq!(State::next_rev((1 << REV_BITS) - 1), 1);
    }

    #[test]
    fn a_word_is_printed_by_its_fields() {
        let state = State::new(5, 3, Flag::Live).with_rev(2);
        assert_eq!(format!("{state:?}"), "Live(tick 5, generation 3, rev 2)");
    }
}
