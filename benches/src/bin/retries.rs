//! Retries of idlewheel under contention: how often an operation is done again because another
//! thread came between. Counted in builds with `--cfg retries` only: see `scripts/retries.sh`.

#[cfg(retries)]
mod counted {
    use idlewheel::Cache;
    use idlewheel_benches::loads::{Random, zipf};
    use std::sync::Barrier;
    use std::time::Instant;

    const OPERATIONS: usize = 4_000_000;

    /// A load: its keys, and how many of 100 operations insert, and remove.
    struct Load {
        name: &'static str,
        keys: usize,
        inserts: u64,
        removes: u64,
    }

    const LOADS: [Load; 4] = [
        Load { name: "90 % get, 10,000 keys", keys: 10_000, inserts: 5, removes: 5 },
        Load { name: "90 % get, 100 keys", keys: 100, inserts: 5, removes: 5 },
        Load { name: "no get, 10,000 keys", keys: 10_000, inserts: 50, removes: 50 },
        Load { name: "no get, one key", keys: 1, inserts: 50, removes: 50 },
    ];

    fn run(load: &Load, threads: usize) {
        let cache: Cache<u64, u64> = Cache::new();
        let keys = zipf(load.keys, 0.99, 65_536, 1);
        let start = Barrier::new(threads);
        let work = |thread: u64| {
            let mut random = Random::new(thread + 1);
            start.wait();
            for n in 0..OPERATIONS / threads {
                let key = keys[(n + thread as usize * 4099) % keys.len()];
                let draw = random.next_u64() % 100;
                if draw < load.inserts {
                    assert!(cache.insert(key, key).is_ok());
                } else if draw < load.inserts + load.removes {
                    cache.remove(&key);
                } else {
                    cache.get(&key);
                }
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..threads as u64 {
                let work = &work;
                scope.spawn(move || work(thread));
            }
        });
    }

    pub(super) fn main() {
        println!("| load | threads | ns/operation | retries in a million operations |");
        println!("|---|--:|--:|---|");
        for load in &LOADS {
            for threads in [1, 2, 4, 16, 64] {
                let before = idlewheel::retries();
                let begun = Instant::now();
                run(load, threads);
                let each = begun.elapsed().as_nanos() as f64 / OPERATIONS as f64;
                let after = idlewheel::retries();
                let counts = before.iter().zip(&after).filter(|(b, a)| a.1 > b.1).map(|(b, a)| {
                    format!("{} {:.1}", a.0, (a.1 - b.1) as f64 / OPERATIONS as f64 * 1e6)
                });
                let counts: Vec<String> = counts.collect();
                println!("| {} | {threads} | {each:.0} | {} |", load.name, counts.join(", "));
            }
        }
    }
}

#[cfg(retries)]
fn main() {
    counted::main();
}

#[cfg(not(retries))]
fn main() {
    eprintln!("retries are counted in builds with `--cfg retries`: run scripts/retries.sh");
}
