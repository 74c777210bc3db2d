//! The rounds.

use idlewheel_benches::scenarios::{Case, Metric, Scale};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// What came out for one name of a metric.
pub(crate) struct Result {
    pub(crate) name: &'static str,
    pub(crate) subjects: Vec<Values>,
}

/// A subject's values, one per round.
pub(crate) struct Values {
    pub(crate) subject: &'static str,
    pub(crate) rounds: Vec<f64>,
}

impl Values {
    pub(crate) fn median(&self) -> f64 {
        median(self.rounds.clone())
    }
}

impl Result {
    pub(crate) fn of(&self, subject: &str) -> Option<&Values> {
        self.subjects.iter().find(|values| values.subject == subject)
    }

    /// idlewheel's values by those of a peer, round by round.
    pub(crate) fn ratios(&self, peer: &Values) -> Vec<f64> {
        let own = self.subjects.first().map(|own| own.rounds.as_slice()).unwrap_or_default();
        own.iter().zip(&peer.rounds).map(|(own, peer)| own / peer).collect()
    }
}

/// Of the values that are numbers.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// The least and the greatest.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    let fold = |with: fn(f64, f64) -> f64| values.iter().copied().fold(f64::NAN, with);
    (fold(f64::min), fold(f64::max))
}

/// Tells how far the measurements are: a bar on a terminal, lines elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Progress {
    fn new(steps: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{elapsed_precise} [{bar:40}] {pos}/{len} {msg}";
            let style = ProgressStyle::with_template(style).expect("the template is valid");
            ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "))
        });
        Progress { bar, start: Instant::now() }
    }

    fn say(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => eprintln!("{:4} s  {text}", self.start.elapsed().as_secs()),
        }
    }

    fn step(&self) {
        self.bar.iter().for_each(|bar| bar.inc(1));
    }
}

pub(crate) fn all(metrics: &[Metric], scale: &Scale) -> Vec<Result> {
    let progress = Progress::new(metrics.iter().map(|metric| metric.rounds(scale) + 1).sum());
    let mut results = Vec::new();
    for metric in metrics {
        if let Some(why) = (metric.skip)(scale) {
            progress.say(format!("{}: left out: {why}", metric.names[0]));
            continue;
        }
        progress.say(format!("{}: filling", metric.names[0]));
        let cases = (metric.cases)(scale);
        progress.step();
        results.extend(rounds(metric, cases, scale, &progress));
    }
    progress.bar.iter().for_each(ProgressBar::finish_and_clear);
    results
}

fn rounds(
    metric: &Metric,
    mut cases: Vec<Case>,
    scale: &Scale,
    progress: &Progress,
) -> Vec<Result> {
    // One round to warm up, where a round is cheap.
    let rounds = metric.rounds(scale);
    let warm = usize::from(rounds == scale.rounds[0]);
    let empty = |case: &Case| Values { subject: case.subject, rounds: Vec::new() };
    let result = |name: &&'static str| Result { name, subjects: cases.iter().map(empty).collect() };
    let mut results: Vec<Result> = metric.names.iter().map(result).collect();
    for round in 0..warm + rounds {
        progress.say(format!("{}: round {} of {}", metric.names[0], round + 1, warm + rounds));
        for (at, case) in cases.iter_mut().enumerate() {
            let values = (case.run)();
            if round >= warm {
                let each = results.iter_mut().zip(values);
                each.for_each(|(result, value)| result.subjects[at].rounds.push(value));
            }
        }
        progress.step();
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads_leave_out_what_is_no_number() {
        assert_eq!(median(vec![3.0, f64::NAN, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert!(median(vec![f64::NAN]).is_nan());
        assert_eq!(spread(&[f64::NAN, 2.0, 1.0]), (1.0, 2.0));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let values = |subject, rounds: &[f64]| Values { subject, rounds: rounds.to_vec() };
        let subjects = vec![values("idlewheel", &[1.0, 6.0]), values("moka", &[2.0, 3.0])];
        let result = Result { name: "get", subjects };
        assert_eq!(result.of("moka").map(|peer| result.ratios(peer)), Some(vec![0.5, 2.0]));
    }
}
