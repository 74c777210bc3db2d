//! Benchmarks of idlewheel.
