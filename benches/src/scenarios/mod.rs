//! The work that is measured, once per subject. Everything that is not measured (filling, touching,
//! waiting, dropping) is done outside of the timed part.

mod churn;
mod drop_lag;
mod fill;
mod huge;
mod latency;
mod links;
mod list;
mod memory;
mod mixed;
mod reads;
mod scale;
mod sweep;
mod under_criterion;

pub use list::{Metric, Weight, metrics};
pub use memory::{Memory, in_child, in_process, serve_child};
pub use scale::Scale;
pub use under_criterion::{args_scale, bench};

use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One subject at one piece of work.
pub struct Case {
    /// Whose work it is.
    pub subject: &'static str,
    /// Operations in one run.
    pub ops: u64,
    /// Does the work once. One value for each name of the metric, in its unit.
    pub run: Box<dyn FnMut() -> Vec<f64>>,
}

impl Case {
    /// A case whose value is nanoseconds per operation.
    fn per_op(
        subject: &'static str,
        ops: u64,
        mut run: impl FnMut() -> Duration + 'static,
    ) -> Self {
        let run = move || vec![run().as_nanos() as f64 / ops as f64];
        Case { subject, ops, run: Box::new(run) }
    }

    /// A case with values of its own.
    fn of(subject: &'static str, run: impl FnMut() -> Vec<f64> + 'static) -> Self {
        Case { subject, ops: 1, run: Box::new(run) }
    }
}

/// One case per subject: `cases!([A, B], function::<Key, Value, Time>(arguments))`.
macro_rules! cases {
    (all, $($rest:tt)*) => {
        cases!([Idlewheel, QuickCache, Moka, MiniMoka, Dashmap, Papaya, Scc, Locked], $($rest)*)
    };
    ([$($subject:ident),+], $build:ident::<$key:ty, $value:ty, $time:ty>$args:tt) => {
        vec![$(cases!(@one $build, $crate::peers::$subject<$key, $value, $time>, $args)),+]
    };
    (@one $build:ident, $subject:ty, ($($arg:expr),*)) => {
        $build::<$subject>($($arg),*)
    };
}
pub(crate) use cases;

/// Runs `work` on so many threads at once, each with its number; the time from the first start to
/// the last end.
fn parallel(threads: usize, work: impl Fn(usize) + Sync) -> Duration {
    if threads == 1 {
        return timed(|| work(0));
    }
    let barrier = Barrier::new(threads);
    let one = |thread| {
        barrier.wait();
        let begin = Instant::now();
        work(thread);
        (begin, Instant::now())
    };
    let times: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let one = &one;
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("the work does not panic")).collect()
    });
    let first = times.iter().map(|time| time.0).min();
    let last = times.iter().map(|time| time.1).max();
    first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
}

/// How long `work` takes.
fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

/// The value below which a share of all are. Reorders the values.
fn quantile<T: Ord + Copy + Default>(values: &mut [T], share: f64) -> T {
    if values.is_empty() {
        return T::default();
    }
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    *values.select_nth_unstable(at).1
}
