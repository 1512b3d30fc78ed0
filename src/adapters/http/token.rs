//! The token of TCP clients, in a file that only its owner can read.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::platform::file;

/// How long the file may be, in bytes.
const MAX_BYTES: u64 = 1024;

/// What a client has to know. It is never shown by accident.
#[derive(Clone)]
pub struct Token(String);

/// A file as it was at a time: one that took its place, or that was changed since, has another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    device: u64,
    inode: u64,
    bytes: u64,
    owner: u32,
    mode: u32,
    /// When content, mode or owner were changed last, in seconds and nanoseconds.
    changed: (i64, i64),
}

impl Version {
    /// Of the file that is there; `None` when none is, or it cannot be looked at.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|metadata| Self::told_by(&metadata))
    }

    fn told_by(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let (device, inode, bytes) = (metadata.dev(), metadata.ino(), metadata.len());
        Self { device, inode, bytes, owner: metadata.uid(), mode: metadata.mode(), changed }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a file cannot serve as a token's.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Others may have read it.
    #[error("{path} can be read by others (mode {mode:o}, of user {owner})")]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
        /// Whose it is.
        owner: u32,
    },
    /// It holds no token.
    #[error("{path} holds no token")]
    Empty {
        /// The file.
        path: String,
    },
}

impl Token {
    /// The token of the file; a new one where there is no file.
    ///
    /// # Errors
    /// [`TokenError`]; a file that others can read is refused rather than mended: they may have read it.
    pub fn load_or_make(path: &Path) -> Result<Self, TokenError> {
        match Self::load(path) {
            Err(TokenError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Self::renew(path),
            loaded => loaded.map(|(token, _)| token),
        }
    }

    /// The token of the file as it is now.
    pub(super) fn load(path: &Path) -> Result<(Self, Version), TokenError> {
        let shown = || path.display().to_string();
        let failed = |source| TokenError::File { path: shown(), source };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
        let metadata = file.metadata().map_err(failed)?;
        let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
        if mode & 0o077 != 0 || owner != rustix::process::geteuid().as_raw() {
            return Err(TokenError::Exposed { path: shown(), mode, owner });
        }
        let version = Version::told_by(&metadata);
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty { path: shown() });
        }
        Ok((Self(text.to_owned()), version))
    }

    /// Writes a new one.
    ///
    /// # Errors
    /// [`TokenError::File`]; the old one is as it was then.
    pub fn renew(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::File { path: path.display().to_string(), source };
        // Each has 122 bits of the system's randomness.
        path.parent().map_or(Ok(()), file::create_private_dir).map_err(failed)?;
        let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        file::write_atomically(path, format!("{token}\n").as_bytes(), 0o600).map_err(failed)?;
        Ok(Self(token))
    }

    /// The token itself.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Whether that is it. How long this takes says nothing about where they differ, nor about how long the token is.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        digest(&self.0).ct_eq(&digest(given)).into()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let made = Token::load_or_make(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = Token::load_or_make(&path).unwrap();
        assert!(made.is(read.secret()) && made.secret().len() == 64);
        let renewed = Token::renew(&path).unwrap();
        assert!(!renewed.is(made.secret()) && Token::load_or_make(&path).unwrap().is(renewed.secret()));
        for wrong in ["", &renewed.secret()[1..], &format!("{} ", renewed.secret())] {
            assert!(!renewed.is(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{made:?}"), "Token(…)");
    }

    #[test]
    fn a_file_that_others_could_read_or_that_leads_elsewhere_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        Token::renew(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Token::load_or_make(&path), Err(TokenError::Exposed { mode: 0o640, .. })));
        let link = directory.path().join("link");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Token::load_or_make(&link), Err(TokenError::File { .. })));
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(Token::load_or_make(&path), Err(TokenError::Empty { .. })));
    }
}
