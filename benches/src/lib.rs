//! What the benchmarks of idlewheel are made of: loads, peers, and the work that both do. The
//! criterion groups in `benches/` and the binary `report` run the same [`scenarios`].

mod counting;
pub mod loads;
pub mod peers;
pub mod scenarios;

mod sessions;
pub mod time;

pub use counting::Counting;
