//! What idlewheel has to reach, and whether it does.

use crate::measure::{Result, Values, median, spread};

/// With what idlewheel's value is compared.
enum Against {
    /// The best of these peers in the same round.
    Best(&'static [&'static str]),
    /// idlewheel's own value of another metric.
    Own(&'static str),
    /// A number.
    Value,
}

struct Goal {
    metric: &'static str,
    against: Against,
    /// The greatest ratio, or value, that is good enough.
    limit: f64,
}

const fn goal(metric: &'static str, against: Against, limit: f64) -> Goal {
    Goal { metric, against, limit }
}

use Against::{Best, Own, Value};
const READERS: &[&str] = &["quick_cache", "dashmap", "papaya", "scc"];

const GOALS: &[Goal] = &[
    goal("get_hot_1t", Best(&["quick_cache"]), 0.90),
    goal("get_hot_1t", Best(&["moka"]), 0.12),
    goal("get_hot_2t", Best(&["quick_cache"]), 0.50),
    goal("get_hot_2t", Best(&["moka"]), 0.12),
    goal("get_batch_1t", Best(&["quick_cache"]), 0.65),
    goal("get_one_key_2t", Best(&["quick_cache"]), 0.35),
    goal("get_cold_1t", Best(READERS), 0.95),
    goal("get_cold_2t", Best(READERS), 0.85),
    goal("get_string_1t", Best(&["quick_cache"]), 0.95),
    goal("mixed_hot_1t", Best(&["quick_cache"]), 1.0),
    goal("mixed_hot_2t", Best(&["quick_cache"]), 0.60),
    goal("churn_2t", Best(&["moka"]), 0.20),
    goal("churn_2t", Best(&["dashmap"]), 0.80),
    goal("fill_1m", Best(&["dashmap"]), 1.3),
    goal("fill_1m_max_us", Best(&["dashmap"]), 0.10),
    goal("sweep_10k_of_8m_us", Best(&["dashmap"]), 0.25),
    goal("sweep_10k_of_8m_us", Best(&["moka"]), 0.5),
    goal("sweep_10k_of_8m_us", Own("sweep_10k_of_100k_us"), 4.0),
    goal("sweep_empty_of_8m_us", Best(&["dashmap"]), 0.001),
    goal("get_p999_during_sweep_ns", Own("get_p999_quiet_ns"), 2.0),
    goal("bytes_per_entry_1m", Value, 64.0),
    goal("bytes_per_entry_1m", Best(&["moka"]), 0.25),
    goal("linked_get", Best(&["plain_get"]), 1.3),
    goal("cascade_1", Best(&["two_removes"]), 1.5),
    goal("drop_lag_p999_us", Value, 20_000.0),
];

/// One goal and what was reached.
pub(crate) struct Verdict {
    pub(crate) metric: &'static str,
    pub(crate) goal: String,
    /// Median, least and greatest over the rounds.
    pub(crate) reached: (f64, f64, f64),
    pub(crate) is_met: bool,
}

/// Goals of metrics that were not measured are left out.
pub(crate) fn judge(results: &[Result]) -> Vec<Verdict> {
    GOALS.iter().filter_map(|goal| verdict(goal, results)).collect()
}

fn verdict(goal: &Goal, results: &[Result]) -> Option<Verdict> {
    let find = |name: &str| results.iter().find(|result| result.name == name);
    let result = find(goal.metric)?;
    let own = result.of("idlewheel")?;
    let limit = goal.limit;
    let (text, values) = match goal.against {
        Value => (format!("<= {limit}"), own.rounds.clone()),
        Own(other) => {
            let other = find(other)?;
            let values = result.ratios(other.of("idlewheel")?);
            (format!("<= {limit} x {}", other.name), values)
        }
        Best(peers) => {
            let best = best_of(result, peers)?;
            let which = if peers.len() > 1 { "the best of " } else { "" };
            (format!("<= {limit} x {which}{}", peers.join(", ")), result.ratios(&best))
        }
    };
    let (least, greatest) = spread(&values);
    let median = median(values);
    let is_met = median <= limit;
    Some(Verdict { metric: goal.metric, goal: text, reached: (median, least, greatest), is_met })
}

/// The best of some peers, round by round.
fn best_of(result: &Result, peers: &[&str]) -> Option<Values> {
    let mut peers = peers.iter().filter_map(|peer| result.of(peer));
    let first = peers.next()?;
    let mut rounds = first.rounds.clone();
    for peer in peers {
        rounds.iter_mut().zip(&peer.rounds).for_each(|(best, value)| *best = best.min(*value));
    }
    Some(Values { subject: first.subject, rounds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use idlewheel_benches::scenarios::metrics;

    fn result(name: &'static str, values: &[(&'static str, f64)]) -> Result {
        let values = values.iter().map(|&(subject, value)| Values { subject, rounds: vec![value] });
        Result { name, subjects: values.collect() }
    }

    #[test]
    fn goals_are_about_metrics_that_there_are() {
        let metrics = metrics();
        let names: Vec<&str> = metrics.iter().flat_map(|metric| metric.names).copied().collect();
        assert!(GOALS.iter().all(|goal| names.contains(&goal.metric)));
        let is_known = |goal: &Goal| !matches!(goal.against, Own(name) if !names.contains(&name));
        assert!(GOALS.iter().all(is_known));
    }

    #[test]
    fn the_best_peer_counts_and_losses_are_reported() {
        let values = [("idlewheel", 10.0), ("quick_cache", 20.0), ("scc", 9.0)];
        let verdicts = judge(&[result("get_cold_1t", &values)]);
        assert_eq!(verdicts.len(), 1);
        assert!(!verdicts[0].is_met && (verdicts[0].reached.0 - 10.0 / 9.0).abs() < 1e-9);
        let met = judge(&[result("bytes_per_entry_1m", &[("idlewheel", 64.0), ("moka", 300.0)])]);
        assert!(met.iter().all(|verdict| verdict.is_met) && met.len() == 2);
    }
}
