//! Sessions of the shape published for readers of Wikipedia: 59 % are a single request, the mean is
//! 2.86, and half, 90 % and 99 % of the gaps are within 34, 418 and 1500 s.

use crate::loads::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

const SINGLE: f64 = 0.59;
const MEAN_REQUESTS: f64 = 2.86;

/// Quantiles of the gap between two requests of a session, in seconds.
pub const GAPS: [(f64, f64); 5] =
    [(0.0, 1.0), (0.5, 34.0), (0.9, 418.0), (0.99, 1500.0), (1.0, 1800.0)];

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When, in nanoseconds from the start of the load.
    pub nanos: u64,
    /// Of which session.
    pub key: u64,
}

/// All requests up to `end`, in their order. Sessions arrive evenly, so many that at the end of an
/// idle timeout (and from then on) about `live` of them were active within it.
#[must_use]
pub fn sessions(live: u64, idle: Duration, end: Duration, seed: u64) -> Vec<Event> {
    let mut random = Random::new(seed);
    // A session is live for an idle timeout and its requests' gaps; the latter are short.
    let mean_life = idle.as_secs_f64() + mean_gap() * (MEAN_REQUESTS - 1.0);
    let wait = mean_life / live as f64;
    let mut open = BinaryHeap::new();
    let mut events = Vec::new();
    let (mut arrival, end) = (0.0, end.as_secs_f64());
    while arrival < end {
        // Keys are spread as ids drawn at random are.
        open.push(Reverse((nanos(arrival), random.next_u64(), requests(&mut random))));
        arrival += -wait * (1.0 - random.next_unit()).ln();
        while let Some(&Reverse((at, key, left))) = open.peek() {
            if at > nanos(arrival.min(end)) {
                break;
            }
            open.pop();
            events.push(Event { nanos: at, key });
            if left > 1 {
                open.push(Reverse((at + nanos(gap(&mut random)), key, left - 1)));
            }
        }
    }
    events
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Requests of one session. Those of more than one have 2 and a geometric number more, which gives
/// the published mean; the published shape says no more about them.
fn requests(random: &mut Random) -> u32 {
    if random.next_unit() < SINGLE {
        return 1;
    }
    let more = (MEAN_REQUESTS - SINGLE) / (1.0 - SINGLE) - 2.0;
    let stop = 1.0 / (1.0 + more);
    2 + ((1.0 - random.next_unit()).ln() / (1.0 - stop).ln()) as u32
}

/// A gap in seconds: the quantiles, with straight lines between their logarithms.
fn gap(random: &mut Random) -> f64 {
    let at = random.next_unit();
    let upper = GAPS.iter().position(|&(q, _)| at < q).unwrap_or(GAPS.len() - 1);
    let ((q0, low), (q1, high)) = (GAPS[upper - 1], GAPS[upper]);
    low * (high / low).powf((at - q0) / (q1 - q0))
}

/// The mean of [`gap`]: of each piece it is `(high - low) / ln(high / low)`.
fn mean_gap() -> f64 {
    GAPS.windows(2)
        .map(|pair| {
            let ((q0, low), (q1, high)) = (pair[0], pair[1]);
            (q1 - q0) * (high - low) / (high / low).ln()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const IDLE: Duration = Duration::from_secs(1800);

    #[test]
    fn the_load_has_the_published_shape() {
        let events = sessions(20_000, IDLE, 20 * IDLE, 7);
        assert!(events.is_sorted());
        let mut sessions: HashMap<u64, (u32, u64, u64)> = HashMap::new();
        let mut gaps = Vec::new();
        for event in &events {
            let session = sessions.entry(event.key).or_insert((0, event.nanos, event.nanos));
            if session.0 > 0 {
                gaps.push((event.nanos - session.2) as f64 / 1e9);
            }
            *session = (session.0 + 1, session.1, event.nanos);
        }
        // Those that began late are cut off by the end.
        let late = (18 * IDLE).as_nanos() as u64;
        let whole: Vec<u32> = sessions.values().filter(|s| s.1 < late).map(|s| s.0).collect();
        let single = whole.iter().filter(|count| **count == 1).count() as f64 / whole.len() as f64;
        let mean = whole.iter().sum::<u32>() as f64 / whole.len() as f64;
        assert!((single - 0.59).abs() < 0.01 && (mean - 2.86).abs() < 0.05, "{single} {mean}");
        gaps.sort_by(f64::total_cmp);
        for (quantile, seconds) in [(0.5, 34.0), (0.9, 418.0), (0.99, 1500.0)] {
            let seen = gaps[(gaps.len() as f64 * quantile) as usize];
            assert!((seen / seconds - 1.0f64).abs() < 0.05, "{quantile}: {seen}");
        }
    }

    #[test]
    fn as_many_live_as_asked_for() {
        let events = sessions(20_000, IDLE, 4 * IDLE, 7);
        let from = (3 * IDLE).as_nanos() as u64;
        let keys = events.iter().filter(|event| event.nanos >= from).map(|event| event.key);
        let live = keys.collect::<std::collections::HashSet<u64>>().len() as f64;
        assert!((live / 20_000.0 - 1.0).abs() < 0.05, "{live}");
    }
}
