//! What the optional features do: `cargo test --all-features --test features`.
#![cfg(all(feature = "metrics", feature = "tokio", feature = "tracing", not(any(loom, shuttle))))]

use idlewheel::{Cache, Clock, Sweeper};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const MINUTE: Duration = Duration::from_secs(60);

/// One test at a time: the facades remember for all threads who listens.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_sweep_publishes_what_its_cache_has_counted() {
    let _alone = alone();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let (clock, mock) = Clock::mock();
        let cache = Cache::builder().name("sessions").clock(clock).record_stats(true);
        // The lags below are told apart to the second.
        let cache = cache.tick(Duration::from_millis(100));
        let cache = cache.build().unwrap();
        for key in 0..10 {
            cache.insert(key, "secret").unwrap();
        }
        for key in 5..12 {
            cache.get(&key);
        }
        cache.remove(&0);
        mock.advance(40 * MINUTE);
        cache.sweep();
        cache.sweep();
    });
    let mut found = HashMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let mut name = key.key().name().to_owned();
        for label in key.key().labels() {
            write!(name, " {}={}", label.key(), label.value()).unwrap();
        }
        found.insert(name, value);
    }
    let counter = |name: &str| match found.get(name) {
        Some(DebugValue::Counter(count)) => *count,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(counter("idlewheel_inserts_total cache=sessions"), 10);
    assert_eq!(counter("idlewheel_requests_total cache=sessions result=hit"), 5);
    assert_eq!(counter("idlewheel_requests_total cache=sessions result=miss"), 2);
    assert_eq!(counter("idlewheel_removals_total cache=sessions cause=idle"), 9);
    assert_eq!(counter("idlewheel_removals_total cache=sessions cause=explicit"), 1);
    assert_eq!(counter("idlewheel_sweeps_total cache=sessions"), 2);
    match &found["idlewheel_entries cache=sessions"] {
        DebugValue::Gauge(entries) => assert_eq!(entries.into_inner(), 0.0),
        other => panic!("{other:?}"),
    }
    let histogram = |name: &str| match &found[&format!("{name} cache=sessions")] {
        DebugValue::Histogram(values) => values.iter().map(|v| v.into_inner()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(histogram("idlewheel_sweep_duration_seconds").len(), 2);
    let lags = histogram("idlewheel_expiry_lag_seconds");
    assert_eq!(lags.len(), 9, "each once");
    assert!(lags.iter().all(|lag| (599.0..=600.0).contains(lag)), "{lags:?}");
    assert_eq!(histogram("idlewheel_erasure_lag_seconds").len(), 10);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "idlewheel"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn sweeps_are_logged_at_debug_and_panics_at_warn_without_keys_and_values() {
    let _alone = alone();
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let (clock, mock) = Clock::mock();
        let cache = Cache::builder()
            .name("sessions")
            .clock(clock)
            .on_removal(|_, _, _| panic!("a listener that panics"))
            .build()
            .unwrap();
        cache.insert("key-4711", "value-4711").unwrap();
        mock.advance(40 * MINUTE);
        cache.sweep();
    });
    let lines = log.0.lock().unwrap();
    let of = |level: &str| lines.iter().filter(|line| line.starts_with(level)).count();
    assert_eq!((of("DEBUG"), of("WARN"), lines.len()), (1, 1, 2), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("cache=\"sessions\"")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("4711")), "{lines:?}");
    let sweep = lines.iter().find(|line| line.starts_with("DEBUG")).unwrap();
    assert!(sweep.contains(" expired=1 ") && sweep.contains("swept"), "{sweep}");
}

#[test]
fn a_sweeper_runs_as_a_task_until_it_is_told_to_end() {
    let _alone = alone();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let (clock, mock) = Clock::mock();
    let cache: Cache<u32, Arc<()>> = Cache::builder().clock(clock).build().unwrap();
    let value = Arc::new(());
    runtime.block_on(async {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let sweeper = Sweeper::builder().interval(MINUTE).watch(&cache);
        let task = tokio::spawn(sweeper.run(stopped));
        cache.insert(1, Arc::clone(&value)).unwrap();
        mock.advance(40 * MINUTE);
        // The runtime's time is paused: it leaps when all tasks wait.
        while cache.stats().sweeps.count < 3 || Arc::strong_count(&value) > 1 {
            tokio::time::sleep(MINUTE).await;
        }
        assert!(cache.is_empty());
        stop.send(()).unwrap();
        task.await.unwrap();
    });
}
