//! Keys in the orders in which the benchmarks use them; all the same in each run.

pub use crate::sessions::{Event, GAPS, sessions};

/// Marsaglia's xorshift64: numbers that look random, the same in each run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator; equal seeds give equal numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 up to 1, without 1.
    pub fn next_unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// `count` keys below `keys`, key `i` with a weight of `1 / (i + 1)^exponent` (Zipf).
#[must_use]
pub fn zipf(keys: usize, exponent: f64, count: usize, seed: u64) -> Vec<u64> {
    let weights = (1..=keys).map(|rank| 1.0 / (rank as f64).powf(exponent));
    let sums: Vec<f64> = weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let total = sums.last().copied().unwrap_or(0.0);
    let mut random = Random::new(seed);
    let draw = |_| {
        let at = random.next_unit() * total;
        sums.partition_point(|sum| *sum < at).min(keys - 1) as u64
    };
    (0..count).map(draw).collect()
}

/// `count` keys below `keys`, all with the same weight.
#[must_use]
pub fn uniform(keys: u64, count: usize, seed: u64) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next_u64() % keys).collect()
}

/// A key of 32 bytes, as a session id in text is.
#[must_use]
pub fn text(key: u64) -> String {
    format!("{:032x}", u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 32 | u128::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_prefers_small_keys_and_stays_in_range() {
        let keys = zipf(1000, 0.99, 100_000, 1);
        let share = keys.iter().filter(|key| **key == 0).count() as f64 / keys.len() as f64;
        assert!((0.10..0.16).contains(&share), "the first of 1000 keys got {share}");
        assert!(keys.iter().all(|key| *key < 1000));
    }

    #[test]
    fn texts_are_32_bytes_and_differ() {
        let texts: std::collections::HashSet<String> = (0..1000).map(text).collect();
        assert_eq!(texts.len(), 1000);
        assert!(texts.iter().all(|text| text.len() == 32));
    }
}
