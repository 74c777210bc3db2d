//! `{"metric": {"idlewheel": 1.5, "peer": 2.5}}`: medians.

use crate::measure::Result;
use serde_json::{Map, Value};

pub(crate) fn text(results: &[Result]) -> String {
    let subjects = |result: &Result| {
        let value = |value: f64| Value::from((value * 1000.0).round() / 1000.0);
        let pairs = result.subjects.iter();
        let pairs = pairs.map(|values| (values.subject.to_owned(), value(values.median())));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    let metrics = results.iter().map(|result| (result.name.to_owned(), subjects(result)));
    let metrics: Map<String, Value> = metrics.collect();
    format!("{:#}\n", Value::Object(metrics))
}
