//! Which zellij is installed, and whether it is new enough.

use std::fmt;

/// A zellij version. A suffix after the patch number (`-dev`) is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32, u32);

impl Version {
    /// The oldest that ao works with: earlier ones cannot list panes as JSON or write to a pane by its id.
    pub(super) const OLDEST: Self = Self(0, 44, 3);

    /// Reads what `zellij --version` prints.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().strip_prefix("zellij ")?.splitn(3, '.');
        let mut number = || {
            let part = parts.next()?;
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        };
        Some(Self(number()?, number()?, number()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_text() {
        let version = |text: &str| Version::parse(text).unwrap();
        assert!(version("zellij 0.45.1\n") > Version::OLDEST);
        assert!(version("zellij 0.44.3") >= Version::OLDEST);
        assert!(version("zellij 0.44.2") < Version::OLDEST);
        assert!(version("zellij 0.44.10") > Version::OLDEST);
        assert!(version("zellij 0.9.9") < Version::OLDEST);
        assert!(version("zellij 1.0.0-dev.2") > Version::OLDEST);
    }

    #[test]
    fn what_is_no_version_is_not_read_as_one() {
        for text in ["", "zellij", "zellij 0.45", "tmux 3.3.1", "zellij a.b.c"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
