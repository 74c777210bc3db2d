//! Durations that lie on or beside the edges of the cache's arithmetic.

use super::oracle::{Entry, Oracle};
use super::{DAY, MS, SECOND, Settings, Source};
use std::time::Duration;

/// The wheel's buckets are this part of a timeout; a level begins at so many times its width.
const FINENESS: u64 = 34;

fn beside(nanos: u64, delta: i8) -> u64 {
    nanos.saturating_add_signed(delta.into())
}

fn draw_delta(source: &mut impl Source) -> i8 {
    source.pick(&[-1, 0, 1])
}

/// A timeout of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Nanos(u64),
    /// The shortest timeout of a level of the wheel, and so many nanoseconds.
    Level(u8, i8),
    Max,
}

impl Span {
    pub(crate) fn draw(source: &mut impl Source) -> Self {
        let usual = [0, 1, 10 * MS, SECOND, 10 * SECOND, 1800 * SECOND, 400 * DAY];
        match source.below(12) {
            0..7 => Span::Nanos(source.pick(&usual)),
            7..11 => Span::Level(source.below(20) as u8, draw_delta(source)),
            _ => Span::Max,
        }
    }

    pub(crate) fn resolve(self, settings: &Settings) -> Duration {
        match self {
            Span::Nanos(nanos) => Duration::from_nanos(nanos),
            Span::Level(level, delta) => Duration::from_nanos(level_edge(settings, level, delta)),
            Span::Max => Duration::MAX,
        }
    }
}

fn level_edge(settings: &Settings, level: u8, delta: i8) -> u64 {
    let widths = (settings.grain() * FINENESS).saturating_mul(1 << (level % 32));
    beside(widths, delta)
}

/// Where to stop relative to a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offset {
    TickBefore,
    NanoBefore,
    At,
    NanoAfter,
    /// One nanosecond before the entry must be gone.
    LastGrace,
    /// As soon as no read may find the entry.
    Over,
    TickAfter,
}

impl Offset {
    const ALL: [Offset; 7] = [
        Offset::TickBefore,
        Offset::NanoBefore,
        Offset::At,
        Offset::NanoAfter,
        Offset::LastGrace,
        Offset::Over,
        Offset::TickAfter,
    ];

    /// `time` with this offset.
    pub(crate) fn from(self, time: u64, settings: &Settings) -> u64 {
        let (tick, grain) = (settings.tick.as_nanos() as u64, settings.grain());
        match self {
            Offset::TickBefore => time.saturating_sub(tick),
            Offset::NanoBefore => time.saturating_sub(1),
            Offset::At => time,
            Offset::NanoAfter => time.saturating_add(1),
            Offset::LastGrace => time.saturating_add(grain - 1),
            Offset::Over => time.saturating_add(grain),
            Offset::TickAfter => time.saturating_add(tick),
        }
    }
}

/// How far the clock moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nanos(u64),
    /// The builder's tick, and so many nanoseconds.
    Tick(i8),
    /// A bucket width (a power of two times the internal step), and so many nanoseconds.
    Width(u8, i8),
    /// The shortest timeout of a level, and so many nanoseconds.
    Level(u8, i8),
    /// So many 1/34 of the default timeout.
    Bucket(u8, i8),
    Idle(Offset),
    Absolute(Offset),
    HalfIdle,
    /// As far apart as sweeps may be without meeting survivors.
    ThreeQuarters,
    /// To the deadline of the first entry from this key on.
    Deadline(u16, Offset),
    /// To the time at which a sweep must remove that entry, or by so much earlier.
    Swept(u16, u8),
    Max,
}

impl Step {
    pub(crate) fn draw(source: &mut impl Source, key: u16, far: bool) -> Self {
        let bound = if far { 36 } else { 32 };
        match source.below(bound) {
            0 => Step::Nanos(0),
            1 | 2 => Step::Nanos(1),
            3..6 => Step::Tick(draw_delta(source)),
            6..9 => Step::Width(source.below(8) as u8, draw_delta(source)),
            9..11 => Step::Level(source.below(3) as u8, draw_delta(source)),
            11..14 => Step::Bucket(source.below(70) as u8, draw_delta(source)),
            14 => Step::Idle(source.pick(&Offset::ALL)),
            15 => Step::Absolute(source.pick(&Offset::ALL)),
            16 | 17 => Step::HalfIdle,
            18..29 => Step::Deadline(key, source.pick(&Offset::ALL)),
            29 => Step::ThreeQuarters,
            30 | 31 => Step::Swept(key, source.below(2) as u8),
            32 => Step::Width(source.below(24) as u8, draw_delta(source)),
            33 | 34 => Step::Level(source.below(20) as u8, draw_delta(source)),
            _ if source.below(4) == 0 => Step::Max,
            _ => Step::Nanos(3653 * DAY),
        }
    }

    pub(crate) fn resolve(self, settings: &Settings, oracle: &Oracle) -> u64 {
        let nanos =
            |timeout: Option<Duration>| timeout.map_or(0, |t| t.as_nanos().min(DAY.into()) as u64);
        let until = |key: u16, time: &dyn Fn(&Entry) -> u128| {
            let ahead = oracle.from(key).and_then(|entry| time(entry).checked_sub(oracle.now));
            ahead.and_then(|ahead| u64::try_from(ahead).ok())
        };
        let idle = nanos(settings.idle);
        match self {
            Step::Nanos(nanos) => nanos,
            Step::Tick(delta) => beside(settings.tick.as_nanos() as u64, delta),
            Step::Width(shift, delta) => {
                beside(settings.grain().saturating_mul(1 << (shift % 40)), delta)
            }
            Step::Level(level, delta) => level_edge(settings, level, delta),
            Step::Bucket(count, delta) => beside(idle / FINENESS * u64::from(count), delta),
            Step::Idle(offset) => offset.from(idle, settings),
            Step::Absolute(offset) => offset.from(nanos(settings.absolute), settings),
            Step::HalfIdle => idle / 2,
            Step::ThreeQuarters => idle / 4 * 3,
            Step::Deadline(key, offset) => {
                until(key, &Entry::deadline).map_or(0, |left| offset.from(left, settings))
            }
            Step::Swept(key, less) => {
                let swept = until(key, &|entry| entry.swept_by(oracle.tick));
                swept.map_or(0, |left| left.saturating_sub(less.into()))
            }
            Step::Max => u64::MAX,
        }
    }
}
