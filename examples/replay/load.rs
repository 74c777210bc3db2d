//! A generated load whose sessions have the shape of readers of Wikipedia (Ironholds/reconstructr,
//! MIT): 59 % are a single request, the mean is 2.86, and half, 90 % and 99 % of the gaps are
//! within 34, 418 and 1500 s. They arrive as requests did at the World Cup site in 1998, minute by
//! minute (nimamahmoudi/worldcup98-dataset, MIT): half of the minutes have less than 0.36 of the
//! mean, the steepest one 2.36 times as many as the one before, and the peaks 21 times the mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::time::Duration;

const SINGLE: f64 = 0.59;
const MEAN_REQUESTS: f64 = 2.86;

/// Quantiles of the gap between two requests of a session, in seconds.
const GAPS: [(f64, f64); 5] =
    [(0.0, 1.0), (0.5, 34.0), (0.9, 418.0), (0.99, 1500.0), (1.0, 1800.0)];

pub(crate) const MINUTES: usize = 24 * 60;
/// How much more comes in the afternoon than at night: the logarithm, half of it.
const SWELL: f64 = 2.1;
/// Above the rest, in means.
const PEAK_HEIGHT: f64 = 20.0;
/// The minute at which a peak that swells and fades is highest, and its standard deviation.
const SLOW_PEAK: (f64, f64) = (14.5 * 60.0, 4.0);
/// The minute at which a sudden peak is highest. The minutes before it have 2.36 times as many as
/// those before them; it fades by a factor of e in so many.
const SUDDEN_PEAK: (f64, f64) = (20.0 * 60.0, 9.0);
const STEEPEST: f64 = 2.36;

/// One request of a session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) at: Duration,
    pub(crate) key: [u8; 16],
    /// Whether its session starts with it.
    pub(crate) is_first: bool,
    /// Whether its session ends with it.
    pub(crate) is_last: bool,
}

pub(crate) struct Load {
    random: SplitMix64,
    /// Arrivals in each minute of the day, relative to the mean.
    rates: Vec<f64>,
    /// Mean arrivals in a minute.
    scale: f64,
    /// The next arrival, in minutes; kept as two so that the sum stays exact over long loads.
    minute: u64,
    part: f64,
    /// Requests to come: one of each open session, so memory follows the sessions in flight.
    open: BinaryHeap<Reverse<Pending>>,
    pub(crate) started: u64,
    pub(crate) total: u64,
}

/// Ordered by time first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    nanos: u64,
    key: [u8; 16],
    left: u32,
}

impl Load {
    /// So many sessions, which start within about so many days.
    pub(crate) fn new(sessions: u64, days: f64, seed: u64) -> Load {
        let mut load = Load {
            random: SplitMix64(seed),
            rates: day(),
            scale: sessions as f64 / (days * MINUTES as f64),
            minute: 0,
            part: 0.0,
            open: BinaryHeap::new(),
            started: 0,
            total: sessions,
        };
        if sessions > 0 {
            load.next_arrival();
        }
        load
    }

    /// The next request; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Request> {
        let arrival = (self.started < self.total).then(|| self.arrival_nanos());
        let due = self.open.peek().map(|Reverse(pending)| pending.nanos);
        let (mut pending, is_first) = match (due, arrival) {
            (Some(due), arrival) if arrival.is_none_or(|nanos| due <= nanos) => {
                (self.open.pop().map(|Reverse(pending)| pending)?, false)
            }
            (_, Some(nanos)) => (self.start(nanos), true),
            _ => return None,
        };
        let (at, key) = (Duration::from_nanos(pending.nanos), pending.key);
        let is_last = pending.left == 0;
        if !is_last {
            pending.left -= 1;
            pending.nanos += self.gap();
            self.open.push(Reverse(pending));
        }
        Some(Request { at, key, is_first, is_last })
    }

    fn start(&mut self, nanos: u64) -> Pending {
        self.started += 1;
        self.next_arrival();
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.random.next().to_le_bytes());
        key[8..].copy_from_slice(&self.random.next().to_le_bytes());
        let left = self.requests() - 1;
        Pending { nanos, key, left }
    }

    /// Requests of one session. Those of more than one have 2 and a geometric number more, which
    /// gives the published mean; the published shape says no more about them.
    fn requests(&mut self) -> u32 {
        if self.random.unit() < SINGLE {
            return 1;
        }
        let more = (MEAN_REQUESTS - SINGLE) / (1.0 - SINGLE) - 2.0;
        let stop = 1.0 / (1.0 + more);
        2 + (self.random.log_unit() / (1.0 - stop).ln()) as u32
    }

    /// A gap in nanoseconds: the quantiles, with straight lines between their logarithms.
    fn gap(&mut self) -> u64 {
        let at = self.random.unit();
        let upper = GAPS.iter().position(|&(q, _)| at < q).unwrap_or(GAPS.len() - 1);
        let ((q0, low), (q1, high)) = (GAPS[upper - 1], GAPS[upper]);
        let seconds = low * (high / low).powf((at - q0) / (q1 - q0));
        (seconds * 1e9) as u64
    }

    /// A Poisson process whose rate is constant within a minute: an exponential amount of
    /// expected arrivals is used up minute by minute.
    fn next_arrival(&mut self) {
        let mut wait = -self.random.log_unit();
        loop {
            let rate = self.rates[(self.minute % MINUTES as u64) as usize] * self.scale;
            let rest = (1.0 - self.part) * rate;
            if wait < rest {
                self.part += wait / rate;
                return;
            }
            wait -= rest;
            self.minute += 1;
            self.part = 0.0;
        }
    }

    fn arrival_nanos(&self) -> u64 {
        self.minute * 60_000_000_000 + (self.part * 6e10) as u64
    }
}

/// Arrivals in each minute of a day, with a mean of 1: a swell from night to afternoon, and on
/// top of it the short peaks.
fn day() -> Vec<f64> {
    let minutes = || (0..MINUTES).map(|minute| minute as f64);
    let swell = |minute: f64| (-SWELL * (minute / MINUTES as f64 * TAU).cos()).exp();
    let peak = |minute: f64| PEAK_HEIGHT * (slow_peak(minute) + sudden_peak(minute));
    let under_peaks = minutes().map(peak).sum::<f64>();
    let base = (MINUTES as f64 - under_peaks) / minutes().map(swell).sum::<f64>();
    minutes().map(|minute| base * swell(minute) + peak(minute)).collect()
}

fn slow_peak(minute: f64) -> f64 {
    let (top, deviation) = SLOW_PEAK;
    (-0.5 * ((minute - top) / deviation).powi(2)).exp()
}

fn sudden_peak(minute: f64) -> f64 {
    let (top, fading) = SUDDEN_PEAK;
    let since = minute - top;
    if since < 0.0 { STEEPEST.powf(since) } else { (-since / fading).exp() }
}

/// Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but without, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The logarithm of a number over 0 and up to 1.
    fn log_unit(&mut self) -> f64 {
        (1.0 - self.unit()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_load_has_the_published_shape() {
        let days = 2.0;
        let mut load = Load::new(100_000, days, 7);
        let mut sessions: HashMap<[u8; 16], (u32, Duration)> = HashMap::new();
        let (mut gaps, mut newest, mut ended) = (Vec::new(), Duration::ZERO, 0);
        while let Some(Request { at, key, is_first, is_last }) = load.next() {
            assert!(at >= newest);
            newest = at;
            assert_eq!(is_first, !sessions.contains_key(&key));
            ended += u32::from(is_last);
            let session = sessions.entry(key).or_insert((0, at));
            if session.0 > 0 {
                gaps.push((at - session.1).as_secs_f64());
            }
            *session = (session.0 + 1, at);
        }
        assert_eq!((sessions.len(), ended), (100_000, 100_000));
        let single = sessions.values().filter(|s| s.0 == 1).count() as f64 / 1e5;
        let mean = (gaps.len() + 100_000) as f64 / 1e5;
        assert!((single - 0.59).abs() < 0.01 && (mean - 2.86).abs() < 0.05, "{single} {mean}");
        gaps.sort_by(f64::total_cmp);
        for (quantile, seconds) in [(0.5, 34.0), (0.9, 418.0), (0.99, 1500.0)] {
            let seen = gaps[(gaps.len() as f64 * quantile) as usize];
            assert!((seen / seconds - 1.0f64).abs() < 0.05, "{quantile}: {seen}");
        }
        assert!(gaps[gaps.len() - 1] <= 1800.0);
        assert!((newest.as_secs_f64() / 86_400.0 - days).abs() < 0.1, "{newest:?}");
    }

    #[test]
    fn a_day_has_the_published_minutes() {
        let mut rates = day();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let steepest = rates.windows(2).map(|pair| pair[1] / pair[0]).fold(0.0, f64::max);
        assert!((mean - 1.0).abs() < 1e-9);
        assert!((2.0..=2.36).contains(&steepest), "{steepest}");
        rates.sort_by(f64::total_cmp);
        for (quantile, rate) in [(0.5, 0.36), (0.75, 1.27), (0.9, 2.06), (0.99, 10.2), (1.0, 21.2)]
        {
            let seen = rates[((rates.len() as f64 * quantile) as usize).min(MINUTES - 1)];
            assert!((seen / rate - 1.0f64).abs() < 0.15, "{quantile}: {seen}");
        }
        assert!(rates[0] > 0.0);
    }

    #[test]
    fn few_or_no_sessions() {
        assert_eq!(Load::new(0, 2.0, 1).next(), None);
        assert!(Load::new(1, 2.0, 1).next().is_some());
    }
}
