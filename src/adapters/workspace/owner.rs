//! Whose what ao made in a repository is.
//!
//! A session's id is its own in one data directory only, and several may work in one repository. So every mark names
//! the session and the place of its workspace, which is in one data directory. A mark that an older ao wrote names
//! the session alone, and counts for any of that name.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::entry::resolved;
use crate::domain::id::SessionId;

const AT: &str = " at ";

/// A session, told apart from one of that name in another data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    session: SessionId,
    /// Where its workspace is to be, with every byte spelled out that a reference's name could not hold.
    place: Option<String>,
}

impl Owner {
    pub(super) fn new(session: &SessionId, workspace: &Path) -> Self {
        let mut place = String::new();
        for &byte in resolved(workspace).as_os_str().as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' => place.push(char::from(byte)),
                _ => place.push_str(&format!("%{byte:02X}")),
            }
        }
        Self { session: session.clone(), place: Some(place) }
    }

    /// What a mark says; `None` for what ao never wrote.
    pub(super) fn parse(mark: &str) -> Option<Self> {
        let (session, place) = match mark.split_once(AT) {
            Some((session, place)) => (session, Some(place.to_owned())),
            None => (mark, None),
        };
        Some(Self { session: session.parse().ok()?, place })
    }

    pub(super) fn session(&self) -> &SessionId {
        &self.session
    }

    /// The place, from the root on.
    pub(super) fn place(&self) -> &str {
        self.place.as_deref().unwrap_or_default()
    }

    /// Where the workspace is, or was; `None` where an older ao's mark does not say, or what it says is no path.
    pub(super) fn workspace(&self) -> Option<PathBuf> {
        let mut path = Vec::new();
        let mut rest = self.place.as_deref()?.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits = [rest.next()?, rest.next()?];
                path.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            } else {
                path.push(byte);
            }
        }
        Some(PathBuf::from(OsString::from_vec(path))).filter(|path| path.is_absolute())
    }

    /// Whether this one may have left the mark.
    pub(super) fn made(&self, mark: &Self) -> bool {
        self.session == mark.session && (mark.place.is_none() || self.place == mark.place)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{}{AT}{place}", self.session),
            None => write!(f, "{}", self.session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i06_sessions_of_one_name_are_told_apart_by_their_place() {
        let me = Owner::new(&"app-1".parse().unwrap(), Path::new("/nowhere/a .b/app-1"));
        assert_eq!(me.to_string(), "app-1 at /nowhere/a%20%2Eb/app-1");
        for (mark, expected) in [
            (me.to_string().as_str(), true),
            ("app-1", true),
            ("app-1 at /nowhere/b/app-1", false),
            ("app-12", false),
            ("app-12 at /nowhere/a%20%2Eb/app-1", false),
        ] {
            assert_eq!(me.made(&Owner::parse(mark).unwrap()), expected, "{mark}");
        }
        assert_eq!(Owner::parse("on a stick"), None);
        assert_eq!(me.workspace().unwrap(), Path::new("/nowhere/a .b/app-1"));
        for no_path in ["app-1", "app-1 at ", "app-1 at a/b", "app-1 at /a%2", "app-1 at /a%zz"] {
            assert_eq!(Owner::parse(no_path).unwrap().workspace(), None, "{no_path}");
        }
    }
}
