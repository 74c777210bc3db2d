//! The day: who comes when, what they do, and when they leave or just go quiet.

/// In seconds. All events are at whole seconds, so no two times differ by less than a tick
/// without being equal.
pub(crate) const HOUR: u32 = 3600;
pub(crate) const DAY: u32 = 24 * HOUR;

/// The user whose day is told.
pub(crate) const ALICE: u32 = 0;

/// Arrivals by hour, in proportion: office hours, a dip at noon, few at night.
const ARRIVALS: [u64; 24] =
    [1, 1, 1, 1, 1, 2, 4, 8, 14, 16, 15, 13, 11, 13, 15, 14, 12, 10, 8, 7, 6, 5, 3, 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A request; who has no session logs in first.
    Visit,
    /// A login, whether there is a session or not.
    Login,
    Logout,
    /// The watch steps the clock by milliseconds to see when the user's session ends.
    Probe,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Since midnight.
    pub(crate) second: u32,
    pub(crate) user: u32,
    pub(crate) act: Act,
}

/// The events of a day, in order.
pub(crate) fn day(users: u32, seed: u64) -> Vec<Event> {
    let mut random = Random(seed);
    let mut events = alice();
    for user in 1..users {
        live(user, &mut random, &mut events);
    }
    // Stable: what one user does in one second stays in order.
    events.sort_by_key(|event| event.second);
    events
}

/// Alice comes back just after her session has ended, logs out, and comes back at once. The
/// probes are half an hour after her last visit, and after her first.
fn alice() -> Vec<Event> {
    let script = [
        ((9, 0, 10), Act::Visit),
        ((9, 12, 0), Act::Visit),
        ((9, 25, 30), Act::Visit),
        ((9, 30, 10), Act::Probe),
        ((9, 41, 7), Act::Visit),
        ((10, 11, 7), Act::Probe),
        ((10, 13, 20), Act::Visit),
        ((10, 28, 0), Act::Visit),
        ((10, 41, 30), Act::Logout),
        ((10, 43, 0), Act::Visit),
    ];
    let event = |((hour, minute, second), act): ((u32, u32, u32), Act)| Event {
        second: hour * HOUR + minute * 60 + second,
        user: ALICE,
        act,
    };
    script.into_iter().map(event).collect()
}

/// One user's day: a few sessions, with gaps within them, some longer than the timeout.
fn live(user: u32, random: &mut Random, events: &mut Vec<Event>) {
    let mut second = arrival(random);
    for _ in 0..=random.below(3) {
        for _ in 0..=random.below(16) {
            let act = if random.below(20) == 0 { Act::Login } else { Act::Visit };
            events.push(Event { second, user, act });
            second += gap(random);
            if second >= DAY {
                return;
            }
        }
        let logs_out = random.below(9) < 4;
        if logs_out {
            events.push(Event { second, user, act: Act::Logout });
        }
        // One in four who logged out is back before the next sweep.
        let soon = logs_out && random.below(4) == 0;
        second += if soon { random.between(1, 290) } else { random.between(HOUR / 2, 6 * HOUR) };
        if second >= DAY {
            return;
        }
    }
}

fn arrival(random: &mut Random) -> u32 {
    let mut at = random.below(ARRIVALS.iter().sum());
    for (hour, weight) in (0..).zip(ARRIVALS) {
        if at < weight {
            return hour * HOUR + random.between(0, HOUR - 1);
        }
        at -= weight;
    }
    unreachable!("below the sum of the weights")
}

/// Seconds between two requests; one in twenty is about as long as the timeout.
fn gap(random: &mut Random) -> u32 {
    match random.below(20) {
        0..16 => random.between(5, 120),
        16..19 => random.between(120, 900),
        _ => random.between(1700, 2300),
    }
}

/// Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(u64::from(high - low) + 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_in_order_and_has_its_shape() {
        let events = day(2000, 7);
        assert!(events.is_sorted_by_key(|event| event.second));
        assert!(events.iter().all(|event| event.second < DAY && event.user < 2000));
        let count = |hours: std::ops::Range<u32>| {
            events.iter().filter(|event| hours.contains(&(event.second / HOUR))).count()
        };
        assert!(count(9..12) > 5 * count(1..4));
        assert!(events.iter().any(|event| event.act == Act::Logout));
    }
}
