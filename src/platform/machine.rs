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

/// How many agents a machine bears: one for each 2 GiB of memory, but no more than eight for each core, for an agent mostly
/// waits for its model. Memory that cannot be found out does not count.
#[must_use]
pub fn bearable_agents(memory_bytes: Option<u64>, cores: NonZeroUsize) -> NonZeroUsize {
    const BYTES_EACH: u64 = 2 << 30;
    const PER_CORE: usize = 8;
    let by_cores = cores.get().saturating_mul(PER_CORE);
    let by_memory = memory_bytes.map_or(by_cores, |bytes| usize::try_from(bytes / BYTES_EACH).unwrap_or(usize::MAX));
    NonZeroUsize::new(by_memory.min(by_cores)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_cores_decide_how_many_agents_a_machine_bears() {
        let bears = |gib: u64, cores| bearable_agents(Some(gib << 30), NonZeroUsize::new(cores).unwrap()).get();
        assert_eq!(bears(24, 2), 12);
        assert_eq!(bears(256, 4), 32, "cores");
        assert_eq!(bears(1, 4), 1, "never none");
        assert_eq!(bearable_agents(None, NonZeroUsize::MIN).get(), 8, "memory that cannot be found out");
    }

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
