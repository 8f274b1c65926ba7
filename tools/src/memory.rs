//! Memory of this process, where the system tells it.

use std::fs;

/// Bytes resident now; `None` where `/proc` is missing.
pub fn resident() -> Option<u64> {
    read("VmRSS")
}

/// The most bytes that were ever resident.
pub fn peak() -> Option<u64> {
    read("VmHWM")
}

fn read(field: &str) -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/status").ok()?, field)
}

/// A line of `/proc/self/status` reads `VmRSS:     1234 kB`.
fn parse(status: &str, field: &str) -> Option<u64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == field)?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_by_name() {
        let status = "Name:\twink\nVmHWM:\t    2048 kB\nVmRSS:\t       3 kB\nThreads:\t1\n";
        for (field, bytes) in [
            ("VmRSS", Some(3 * 1024)),
            ("VmHWM", Some(2048 * 1024)),
            ("Threads", None),
            ("VmSwap", None),
        ] {
            assert_eq!(parse(status, field), bytes, "{field}");
        }
    }
}
