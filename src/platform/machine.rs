//! What this machine has, or the part of it that this process's container has. Linux only: `/proc`.

use std::io;
use std::num::NonZeroUsize;

use super::cgroup;

/// The memory there is: the machine's, or what this process's control groups leave of it.
///
/// # Errors
/// When `/proc` cannot be read or understood.
pub fn memory_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let total = total(&text).ok_or_else(|| io::Error::other(format!("no MemTotal in /proc/meminfo: {text:?}")))?;
    Ok(cgroup::memory::limit_bytes()?.map_or(total, |limit| limit.min(total)))
}

/// An amount of memory for a person.
#[expect(clippy::cast_precision_loss, reason = "one decimal of it is shown")]
#[must_use]
pub fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn total(meminfo: &str) -> Option<u64> {
    let kibibytes: u64 =
        meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())?;
    kibibytes.checked_mul(1024)
}

/// How many processors this process may use; 1 when that cannot be found out.
#[must_use]
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_gibibytes() {
        assert_eq!(gibibytes(4 << 30), "4.0 GiB");
        assert_eq!(gibibytes(512 << 20), "0.5 GiB");
    }

    #[test]
    fn the_memory_is_read_in_bytes() {
        assert_eq!(total("MemTotal:       24731708 kB\nMemFree: 1 kB\n"), Some(24_731_708 * 1024));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory_bytes().unwrap() > 1 << 20);
    }
}
