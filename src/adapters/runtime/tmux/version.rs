//! Which tmux is installed, and whether it is new enough.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A tmux version. The letter of a bug fix release (`3.3a`) is not looked at, and what comes before a release (`next-3.4`)
/// counts as the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Version(u32, u32);

impl Version {
    /// The oldest that ao works with: earlier ones read `/etc/tmux.conf` also when they are told to read another file.
    pub(super) const OLDEST: Self = Self(3, 2);

    /// From here on `paste-buffer` changes control characters, unless it is told not to (`-S`).
    pub(super) const PASTE_IS_CLEANED: Self = Self(3, 7);

    /// Reads what `tmux -V` prints.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix("tmux ")?;
        let (major, minor) = text.strip_prefix("next-").unwrap_or(text).split_once('.')?;
        let end = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self(major.parse().ok()?, minor[..end].parse().ok()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let version = |text: &str| Version::parse(text).unwrap();
        assert!(version("tmux 3.2a\n") >= Version::OLDEST);
        assert!(version("tmux 3.3a") > Version::OLDEST);
        assert!(version("tmux next-3.4") > Version::OLDEST);
        assert!(version("tmux 3.1c") < Version::OLDEST);
        assert!(version("tmux 2.9") < Version::OLDEST);
        assert!(version("tmux 3.10") > Version::PASTE_IS_CLEANED);
        assert!(version("tmux 3.6b") < Version::PASTE_IS_CLEANED);
    }

    #[test]
    fn what_is_no_version_is_not_read_as_one() {
        for text in ["", "tmux", "tmux master", "tmux openbsd-7.4", "zellij 0.45.1", "tmux 3.x", "tmux 3"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
