//! What the caches take, and whether that stays.

/// Bytes at one moment at rest.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Of the heap, by the caches.
    pub(crate) heap: u64,
    /// Resident, of the process, with what the load needs. 0 where nobody tells.
    pub(crate) resident: u64,
}

const MIB: u64 = 1 << 20;

impl Memory {
    pub(crate) fn now(heap: isize) -> Memory {
        Memory { heap: u64::try_from(heap).unwrap_or(0), resident: resident().unwrap_or(0) }
    }

    /// Whether it is what it was earlier. Days differ: the largest number of live entries so far
    /// may grow a little, and then a shard of the index.
    pub(crate) fn is_flat_since(&self, earlier: &Memory) -> bool {
        let most = |bytes: u64, slack: u64| bytes + bytes / 10 + slack;
        self.heap <= most(earlier.heap, MIB) && self.resident <= most(earlier.resident, 16 * MIB)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        write!(f, "{:.2} MiB of heap, {:.1} MiB resident", mib(self.heap), mib(self.resident))
    }
}

/// The resident set as Linux tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_noticed() {
        let before = Memory { heap: 100 * MIB, resident: 200 * MIB };
        assert!(before.is_flat_since(&before));
        assert!(!Memory { heap: 112 * MIB, ..before }.is_flat_since(&before));
        assert!(!Memory { resident: 237 * MIB, ..before }.is_flat_since(&before));
    }
}
