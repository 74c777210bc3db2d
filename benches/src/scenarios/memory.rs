//! Bytes per entry. Each subject has a process of its own, in which nothing else was allocated.

use super::{Case, Scale, cases, huge};
use crate::Counting;
use crate::peers::Subject;
use crate::time::Coarse;
use std::hint::black_box;
use std::process::{Command, Stdio};

/// Where memory was before something is built.
pub struct Memory {
    resident: f64,
}

impl Memory {
    /// Begins to count; needs [`Counting`] as the allocator.
    #[must_use]
    pub fn start() -> Self {
        let memory = Memory { resident: resident() };
        Counting::start();
        memory
    }

    /// Bytes since then: of the allocator, and resident.
    #[must_use]
    pub fn grown(&self) -> [f64; 2] {
        [Counting::bytes() as f64, resident() - self.resident]
    }
}

fn resident() -> f64 {
    const PAGE: f64 = 4096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(f64::NAN, |pages: f64| pages * PAGE)
}

/// Cases that measure in this process.
#[must_use]
pub fn in_process(scale: &Scale) -> Vec<Case> {
    cases!(all, per_entry::<u64, u64, Coarse>(scale.entries(1_000_000)))
}

fn per_entry<S: Subject<Key = u64, Value = u64, Time = Coarse>>(entries: u64) -> Case {
    Case::of(S::NAME, move || {
        let memory = Memory::start();
        let subject = S::new(&Coarse, entries as usize);
        (0..entries).for_each(|key| subject.insert(key, key));
        subject.flush();
        let grown = memory.grown();
        black_box(&subject);
        grown.map(|bytes| bytes / entries as f64).to_vec()
    })
}

/// The same work in a process of its own, which is this program with `--child`.
#[must_use]
pub fn in_child(scale: &Scale, work: &'static str, cases: Vec<Case>) -> Vec<Case> {
    let divide = scale.divide.to_string();
    let child = |case: Case| {
        let divide = divide.clone();
        Case::of(case.subject, move || values_of_child(&["--child", work, case.subject, &divide]))
    };
    cases.into_iter().map(child).collect()
}

fn values_of_child(args: &[&str]) -> Vec<f64> {
    let program = std::env::current_exe().expect("the program has a path");
    let output = Command::new(program).args(args).stderr(Stdio::inherit()).output();
    let output = output.expect("the child starts");
    assert!(output.status.success(), "the child of {args:?} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|value| value.parse().unwrap_or(f64::NAN)).collect()
}

/// What a child does: the work by its name, for one subject; prints the values.
pub fn serve_child(work: &str, subject: &str, divide: u64) {
    let scale = Scale { divide, ..Scale::FULL };
    let cases = if work == huge::WORK { huge::in_process(&scale) } else { in_process(&scale) };
    for mut case in cases.into_iter().filter(|case| case.subject == subject) {
        println!("{}", (case.run)().iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    }
}
