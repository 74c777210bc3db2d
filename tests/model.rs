//! The cache against a naive model: seeded random scripts, and directed ones.
#![cfg(not(loom))]

mod script;

use idlewheel::{Cache, Clock, MockClock, SweepBudget, Timeouts};
use script::{
    BURST, DAY, Driver, Hashing, MS, Offset, Op, Random, Read, SECOND, STARTS, Settings, Source,
    Span, Step,
};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

const YEARS_10: u64 = 3653 * DAY;

/// Runs the script of one seed; on a failure, says which one.
fn replay(seed: u64) {
    let mut random = Random(seed);
    let length = 200 + random.below(800) as usize;
    let (settings, ops) = script::draw(&mut random, length);
    let run = catch_unwind(AssertUnwindSafe(|| script::run(&settings, &ops)));
    match run {
        Ok(Ok(_)) => {}
        Ok(Err(fault)) => panic!("`replay({seed:#x})` fails: {fault}\n{settings:?}"),
        Err(_) => panic!("`replay({seed:#x})` panics\n{settings:?}"),
    }
}

fn replay_many(origin: u64, scripts: u32) {
    let mut seeds = Random(origin);
    for _ in 0..scripts {
        replay(seeds.word());
    }
}

#[test]
fn random_scripts_agree_with_the_oracle() {
    replay_many(0x1D1E, 150);
}

#[test]
fn more_random_scripts_agree_with_the_oracle() {
    replay_many(0x33EE1, 150);
}

#[track_caller]
fn succeed(settings: &Settings, ops: &[Op]) -> Vec<u64> {
    script::run(settings, ops).unwrap_or_else(|fault| panic!("{fault}\n{settings:?}"))
}

/// Everything that says whether a key is there, without keeping it alive.
fn looks(key: u16) -> [Op; 3] {
    [Read::Peek, Read::Contains, Read::Remaining].map(|read| Op::Read(read, key))
}

#[test]
fn every_expiry_is_exact_at_the_deadline_and_one_step_later() {
    for idle in [0, 1, 10 * MS, SECOND, 1800 * SECOND, 400 * DAY] {
        for tick in [10 * MS, 33 * MS, 100 * MS, 3600 * SECOND] {
            let settings = Settings {
                tick: Duration::from_nanos(tick),
                absolute: Some(Duration::from_nanos(3 * idle + 1)),
                ..Settings::new(Duration::from_nanos(idle))
            };
            for offset in [Offset::At, Offset::NanoAfter, Offset::LastGrace, Offset::Over] {
                for read in Read::ALL {
                    for phase in [0, 1, settings.grain() - 1, 12_345_678] {
                        let advance = |step| Op::Advance(step);
                        succeed(
                            &settings,
                            &[
                                advance(Step::Nanos(phase)),
                                Op::Insert(0),
                                advance(Step::HalfIdle),
                                Op::Read(read, 0),
                                advance(Step::Deadline(0, offset)),
                                Op::Read(read, 0),
                                advance(Step::Deadline(0, offset)),
                                Op::Sweep,
                                Op::Read(read, 0),
                            ],
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn writers_never_revive_what_has_expired() {
    let settings = Settings::new(Duration::from_secs(1));
    for writer in [Op::Update(0), Op::Renew(0), Op::Remove(0), Op::Take(0), Op::InsertNew(0)] {
        for offset in [Offset::NanoBefore, Offset::At, Offset::NanoAfter, Offset::Over] {
            let mut ops = vec![Op::InsertWith(0, Some(Span::Nanos(77 * MS)), None)];
            ops.extend([Op::Advance(Step::Deadline(0, offset)), writer]);
            ops.extend(looks(0));
            ops.extend([Op::Insert(0), Op::Advance(Step::Nanos(SECOND))]);
            ops.extend(looks(0));
            succeed(&settings, &ops);
        }
    }
}

#[test]
fn a_replacement_restarts_idleness_and_keeps_the_age() {
    let settings = Settings {
        absolute: Some(Duration::from_secs(3)),
        ..Settings::new(Duration::from_secs(2))
    };
    for writer in [Op::Insert(0), Op::Update(0), Op::InsertWith(0, None, None)] {
        let wait = Op::Advance(Step::Nanos(1500 * MS));
        let answers = succeed(
            &settings,
            &[Op::Insert(0), wait, writer, wait, writer, Op::Read(Read::Peek, 0), wait, Op::Sweep],
        );
        assert_eq!(answers[5], 3, "the third value");
    }
}

#[test]
fn renewal_restarts_both_deadlines() {
    let settings = Settings {
        absolute: Some(Duration::from_secs(3)),
        ..Settings::new(Duration::from_secs(2))
    };
    let wait = Op::Advance(Step::Nanos(1900 * MS));
    let mut ops = vec![Op::Insert(0)];
    for _ in 0..20 {
        ops.extend([wait, Op::Sweep, Op::Renew(0)]);
        ops.extend(looks(0));
    }
    let answers = succeed(&settings, &ops);
    assert!(answers[3..].chunks(6).all(|round| round[0] == 1));
}

#[test]
fn ten_years_in_one_step() {
    for start in STARTS {
        for idle in [0, SECOND, 1800 * SECOND, 400 * DAY] {
            let settings = Settings { start, ..Settings::new(Duration::from_nanos(idle)) };
            let mut ops = vec![Op::Burst(300), Op::InsertWith(0, Some(Span::Max), None)];
            ops.extend([Op::Advance(Step::Nanos(YEARS_10)), Op::Sweep]);
            ops.extend(looks(0));
            ops.extend([Op::Burst(300), Op::Advance(Step::Tick(0)), Op::Sweep]);
            ops.extend([Op::Advance(Step::Nanos(YEARS_10)), Op::Sweep]);
            succeed(&settings, &ops);
        }
    }
}

#[test]
fn expiry_across_every_level_boundary() {
    for level in 0..26 {
        for delta in [-1, 0, 1] {
            let span = Some(Span::Level(level, delta));
            for settings in [
                Settings::new(Duration::from_secs(1800)),
                // The same timeout as the cache's own level.
                Settings::new(
                    Span::Level(level, 0).resolve(&Settings::new(Duration::from_secs(1))),
                ),
            ] {
                let mut ops = vec![Op::InsertWith(0, span, None), Op::InsertWith(1, None, span)];
                for offset in [Offset::At, Offset::NanoAfter, Offset::Over] {
                    ops.extend([Op::Sweep, Op::Advance(Step::Deadline(0, offset)), Op::Sweep]);
                    ops.extend(looks(1));
                    ops.extend([Op::InsertWith(0, span, None), Op::InsertWith(1, None, span)]);
                }
                // In steps of one 33rd of the timeout, it is swept as early as promised.
                ops.push(Op::InsertWith(0, span, None));
                let step = span.map(|span| span.resolve(&settings).as_nanos() as u64 / 33);
                let step = Op::Advance(Step::Nanos(step.unwrap_or(0)));
                ops.extend([step, Op::Sweep].repeat(36));
                succeed(&settings, &ops);
            }
        }
    }
}

#[test]
fn sweeps_three_quarters_of_a_timeout_apart_meet_no_survivors() {
    let mut random = Random(0x34);
    for level in 0..16 {
        for delta in [-1, 0, 1] {
            let span = Span::Level(level, delta);
            let timeout = span.resolve(&Settings::new(Duration::ZERO));
            // In levels for entries of their own timeout, and in the cache's own.
            for idle in [timeout + Duration::from_nanos(5), timeout] {
                let settings = Settings::new(idle);
                let mut ops = vec![Op::InsertWith(0, Some(span), None)];
                for _ in 0..40 {
                    let early = random.below(timeout.as_nanos() as u64 / 20);
                    let gap = timeout.as_nanos() as u64 / 4 * 3 - random.pick(&[0, early]);
                    ops.extend([Op::Advance(Step::Nanos(gap)), Op::Read(Read::Get, 0), Op::Sweep]);
                }
                succeed(&settings, &ops);
            }
        }
    }
}

#[test]
fn a_sweep_removes_an_entry_within_a_32nd_of_its_timeout() {
    for level in 0..20 {
        let span = Span::Level(level, 0);
        let settings = Settings::new(Duration::from_secs(1800));
        let width = span.resolve(&settings).as_nanos() as u64 / 30;
        for settings in [settings, Settings::new(span.resolve(&settings))] {
            let mut ops = Vec::new();
            for phase in 0..64 {
                ops.push(Op::Advance(Step::Nanos(width / 64 * phase)));
                ops.extend([Op::Sweep, Op::InsertWith(0, Some(span), None)]);
                ops.extend([Op::Advance(Step::Deadline(0, Offset::At)), Op::Sweep]);
                ops.extend([Op::Advance(Step::Swept(0, 0)), Op::Sweep]);
            }
            succeed(&settings, &ops);
        }
    }
}

#[test]
fn seconds_and_days_side_by_side() {
    let settings = Settings::new(Duration::from_secs(1800));
    let mut ops = Vec::new();
    let spans: Vec<u64> =
        (0..24).map(|n| SECOND << n).take_while(|span| *span < 100 * DAY).collect();
    for (key, span) in (0..).zip(&spans) {
        ops.push(Op::InsertWith(key, Some(Span::Nanos(*span)), None));
        ops.push(Op::InsertWith(100 + key, None, Some(Span::Nanos(*span))));
        ops.push(Op::Insert(200 + key));
    }
    let (mut now, mut step) = (0, SECOND / 2);
    while now < 100 * DAY {
        ops.extend([Op::Advance(Step::Nanos(step)), Op::Sweep]);
        for key in 0..spans.len() as u16 {
            ops.push(Op::Read(Read::Contains, 100 + key));
        }
        ops.push(Op::Read(Read::Touch, 200));
        now += step;
        step += step / 16;
    }
    succeed(&settings, &ops);
}

#[test]
fn steps_below_a_tick_sum_up_to_one_big_step() {
    for (total, parts) in [(1_111_111_111, 1111), (35 * SECOND + 1, 700), (600 * SECOND, 60)] {
        let mut ops = Vec::new();
        for key in 0..64 {
            let idle = Span::Nanos(u64::from(key) * 600 * MS);
            ops.push(Op::InsertWith(key, Some(idle), None));
        }
        let settings = Settings::new(Duration::from_secs(30));
        let mut by_parts = ops.clone();
        let part = total / parts;
        for _ in 0..parts {
            by_parts.extend([Op::Advance(Step::Nanos(part)), Op::Sweep]);
        }
        by_parts.push(Op::Advance(Step::Nanos(total - part * parts)));
        ops.push(Op::Advance(Step::Nanos(total)));
        let probes: Vec<Op> = (0..64).map(|key| Op::Read(Read::Contains, key)).collect();
        let answers = [by_parts, ops].map(|mut ops| {
            ops.extend(&probes);
            let answers = succeed(&settings, &ops);
            answers[ops.len() - probes.len()..].to_vec()
        });
        assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn bad_hashers_change_nothing_but_the_speed() {
    for (hashing, burst) in [
        (Hashing::Constant, 1500),
        (Hashing::Identity, 4000),
        (Hashing::TopBits, 4000),
        (Hashing::LowBits, 2000),
    ] {
        let settings = Settings { hashing, ..Settings::new(Duration::from_secs(10)) };
        let mut driver = Driver::new(&settings);
        let mut step = |op: Op| {
            driver.step(&op).unwrap_or_else(|fault| panic!("{op:?}, {settings:?}: {fault}"))
        };
        step(Op::Burst(burst));
        step(Op::Advance(Step::Nanos(6 * SECOND)));
        for key in (0..burst).step_by(3) {
            step(Op::Read(Read::Touch, BURST + key));
        }
        for key in (1..burst).step_by(3) {
            step(Op::Remove(BURST + key));
        }
        step(Op::Advance(Step::Nanos(6 * SECOND)));
        step(Op::Sweep);
        for key in 0..burst {
            let found = step(Op::Read(Read::Peek, BURST + key)) != 0;
            assert_eq!(found, key % 3 == 0, "{hashing:?}, {key}");
        }
        driver.check().unwrap();
        driver.finish().unwrap();
    }
}

fn mocked<K, V>(idle: Duration) -> (Cache<K, V>, MockClock) {
    let (clock, mock) = Clock::mock();
    let tick = Duration::from_millis(100);
    (Cache::builder().idle_timeout(idle).tick(tick).clock(clock).build().unwrap(), mock)
}

#[test]
fn keys_and_values_of_no_size() {
    let (cache, mock) = mocked::<(), ()>(Duration::from_secs(1));
    cache.insert((), ()).unwrap();
    cache.insert((), ()).unwrap();
    assert_eq!((cache.get(&()), cache.len()), (Some(()), 1));
    cache.update(&(), ()).unwrap();
    assert_eq!(cache.take(&()), Some(()));
    cache.insert((), ()).unwrap();
    mock.advance(Duration::from_secs(2));
    assert_eq!(cache.sweep().expired, 1);
    cache.validate().unwrap();
}

#[test]
fn values_of_large_alignment_and_size() {
    #[repr(align(128))]
    #[derive(Clone, PartialEq, Debug)]
    struct Aligned(u8);

    let (cache, mock) = mocked::<u8, Aligned>(Duration::from_secs(1));
    let (large, _) = mocked::<u32, [u8; 65_536]>(Duration::from_secs(1));
    for key in 0..100u8 {
        cache.insert(key, Aligned(key)).unwrap();
        cache.insert(key, Aligned(!key)).unwrap();
        large.insert(u32::from(key), [key; 65_536]).unwrap();
    }
    for key in 0..100u8 {
        let aligned =
            cache.get_with(&key, |value| (std::ptr::from_ref(value).addr() % 128, value.0));
        assert_eq!(aligned, Some((0, !key)));
        let ends = large.get_with(&u32::from(key), |value| (value[0], value[65_535]));
        assert_eq!(ends, Some((key, key)));
    }
    mock.advance(Duration::from_secs(2));
    assert_eq!(cache.sweep().expired, 100);
    cache.validate().unwrap();
    large.clear();
    large.flush();
    large.validate().unwrap();
}

/// The wheel against a map of deadlines: many entries with timeouts of their own, swept in steps.
#[test]
fn the_wheel_agrees_with_a_map_of_deadlines() {
    const STEP: u64 = 1 << 25;
    const TICK: u64 = 100_000_000;
    let mut random = Random(0xDEAD);
    for round in 0..4u64 {
        let (cache, mock) = mocked::<u32, ()>(Duration::from_secs(1 + 600 * round));
        let (mut now, mut model) = (0u64, BTreeMap::new());
        for key in 0..3000u32 {
            let idle = random.word() >> (20 + random.below(44));
            cache.insert_with(key, (), Timeouts::new().idle(Duration::from_nanos(idle))).unwrap();
            model.insert(key, (now.saturating_add(idle), idle));
            if key % 8 == 0 {
                let by = random.word() >> (30 + random.below(34));
                (now, _) = (now + by, mock.advance(Duration::from_nanos(by)));
            }
            if key % 64 == 0 {
                cache.sweep();
                let bound = |idle: u64| (idle / 32).max(TICK);
                model.retain(|_, (deadline, idle)| deadline.saturating_add(bound(*idle)) > now);
                assert!(cache.len() <= model.len(), "something is overdue");
                assert!(cache.len() >= model.values().filter(|(end, _)| *end >= now).count());
            }
            let probed = random.below(u64::from(key) + 1) as u32;
            if let Some((deadline, _)) = model.get(&probed) {
                let found = cache.contains_key(&probed);
                assert!(found || now > *deadline, "early");
                assert!(!found || now < deadline + STEP, "late");
            } else {
                assert!(!cache.contains_key(&probed));
            }
        }
        cache.validate().unwrap();
    }
}

/// A sweep that ended within a bucket, then a gap of more than a turn: entries filed meanwhile in
/// the part of the place that was done are not passed over.
#[test]
fn a_long_gap_after_an_interrupted_sweep_skips_nothing() {
    let settings = Settings::new(Duration::from_secs(1));
    let (clock, mock) = Clock::mock();
    let builder = Cache::builder().idle_timeout(settings.idle.unwrap()).tick(settings.tick);
    let cache = builder.clock(clock).build().unwrap();
    // Two groups of 64 slots expire in one bucket, and the sweep ends in the second one.
    for key in 0..100 {
        cache.insert(key, ()).unwrap();
    }
    mock.advance(Duration::from_secs(2));
    let report = cache.sweep_within(SweepBudget::visits(80));
    assert_eq!((report.expired, report.more), (80, true));
    // The first group's slots are used again, for every place of the wheel.
    for key in 1000..1070 {
        cache.insert(key, ()).unwrap();
        mock.advance(Duration::from_nanos(settings.grain()));
    }
    mock.advance(Duration::from_secs(1000));
    cache.sweep();
    assert_eq!(cache.len(), 0);
    cache.validate().unwrap();
}

/// A key that a refused insert does not need is dropped by the cache, and its panic is caught like
/// that of a stored key: else the refused value would not get back to the caller.
#[test]
fn a_panic_in_the_drop_of_a_refused_key_loses_no_value() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key {
        name: u8,
        armed: Armed,
    }
    #[derive(Clone, Copy)]
    struct Armed(bool);
    impl PartialEq for Armed {
        fn eq(&self, _: &Self) -> bool {
            true
        }
    }
    impl Eq for Armed {}
    impl Hash for Armed {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }
    impl Drop for Key {
        fn drop(&mut self) {
            if self.armed.0 {
                // Without a message on the test's output.
                resume_unwind(Box::new("drop"));
            }
        }
    }

    let (cache, _) = mocked::<Key, Arc<u8>>(Duration::from_secs(1));
    let key = |armed| Key { name: 0, armed: Armed(armed) };
    let value = Arc::new(7);
    cache.insert(key(false), Arc::clone(&value)).unwrap();
    let refused = cache.insert_new(key(true), Arc::clone(&value)).unwrap_err();
    assert_eq!(*refused.into_value(), 7);
    cache.insert(key(true), Arc::clone(&value)).unwrap();
    assert_eq!(cache.stats().panics, 2);
    cache.validate().unwrap();
    drop(cache);
    assert_eq!(Arc::strong_count(&value), 1);
}
