//! How much memory this process's groups leave it. A container has less than its machine, and `/proc/meminfo` is silent on that.

use std::io;
use std::path::{Path, PathBuf};

use super::place::{agents_group, locate, named};
use super::read_if_there;

/// The lowest limit of the groups that this process is in, of version 2 and of version 1; `None` without one. An agent's own
/// is left out: it says nothing of what other agents may use.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn limit_bytes() -> io::Result<Option<u64>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(lowest(&mounts, &std::fs::read_to_string("/proc/self/cgroup")?))
}

fn lowest(mountinfo: &str, cgroup: &str) -> Option<u64> {
    let unified = named(cgroup).and_then(|group| {
        let outside = agents_group(group).and_then(Path::parent).unwrap_or(group);
        locate(mountinfo, outside, |file_system| file_system.starts_with("cgroup2 "))
    });
    let legacy = named_in_version_1(cgroup).and_then(|group| locate(mountinfo, group, is_memory_of_version_1));
    let limits = [limit(unified, "memory.max"), limit(legacy, "memory.limit_in_bytes")];
    limits.into_iter().flatten().min()
}

/// The lowest limit from a mount's root down to a group in it. One that is unlimited says "max", in version 1 a number that
/// no machine has.
fn limit(found: Option<(PathBuf, PathBuf)>, file: &str) -> Option<u64> {
    let (point, below) = found?;
    let read = |group: &Path| read_if_there(&point.join(group).join(file)).ok()??.trim().parse().ok();
    below.ancestors().filter_map(read).min()
}

fn named_in_version_1(cgroup: &str) -> Option<&Path> {
    cgroup.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|controller| controller == "memory").then(|| Path::new(group))
    })
}

fn is_memory_of_version_1(file_system: &str) -> bool {
    let options = file_system.rsplit(' ').next().unwrap_or_default();
    file_system.starts_with("cgroup ") && options.split(',').any(|option| option == "memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_all_groups_counts_but_an_agents_own() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let root = dir.path().display();
        let mounts = format!(
            "35 31 0:32 /box {root}/v1 rw - cgroup cgroup rw,cpu,memory\n\
             41 31 0:38 / {root}/v2 rw,relatime - cgroup2 cgroup2 rw\n"
        );
        write("v2/a/memory.max", "3000\n");
        write("v2/a/b/memory.max", "max\n");
        write("v2/a/b/ao-app-1-0f3a99c2/memory.max", "10\n");
        write("v1/memory.limit_in_bytes", "9223372036854771712\n");
        write("v1/inner/memory.limit_in_bytes", "2000\n");
        assert_eq!(lowest(&mounts, "0::/a/b\n"), Some(3000));
        assert_eq!(lowest(&mounts, "0::/a/b/ao-app-1-0f3a99c2\n"), Some(3000));
        assert_eq!(lowest(&mounts, "4:cpu,memory:/box/inner\n0::/a\n"), Some(2000));
        assert_eq!(lowest(&mounts, "4:memory:/box\n0::/a\n"), Some(3000));
        assert_eq!(lowest(&mounts, "4:memory:/elsewhere\n0::/\n"), None);
        assert_eq!(lowest("", "4:memory:/box\n0::/a\n"), None);
    }
}
