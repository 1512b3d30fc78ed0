//! `ao attach`.

use std::fmt;
use std::str::FromStr;

use clap::Args;

use crate::domain::id::SessionId;

/// `ao attach`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao attach app-1                         see and type; Ctrl-\\ leaves it
  ao attach app-1 --read-only             only watch
  ao attach app-1 --detach-key ctrl-]     leave Ctrl-\\ to the agent

All keys but the one that leaves go to the agent, which goes on when you leave. Several may be attached at once: the terminal is as high as the lowest of theirs and as wide as the narrowest, and keeps that size when they leave. Who only watches has no say in it, and sees the part around the cursor where their own terminal is smaller.

A daemon that goes away, as for an upgrade, is waited for: the agent goes on meanwhile.")]
pub struct AttachArgs {
    /// The session, for example app-1
    pub session: SessionId,
    /// Only watch: nothing is typed, and the agent's terminal is not fitted to yours
    #[arg(long)]
    pub read_only: bool,
    /// The key that leaves: Ctrl and a letter, or one of @ \ ] ^ _
    #[arg(long, value_name = "KEY", default_value_t)]
    pub detach_key: DetachKey,
    /// How long a daemon that goes away is waited for; 0 is not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub reconnect: u64,
}

/// A key that is pressed with Ctrl, as a terminal in raw mode gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetachKey(u8);

impl DetachKey {
    /// What the terminal gives for it.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }
}

impl Default for DetachKey {
    fn default() -> Self {
        Self(0x1c)
    }
}

impl fmt::Display for DetachKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctrl-{}", char::from(self.0 | 0x40))
    }
}

impl FromStr for DetachKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.to_ascii_lowercase();
        let letter = plain.strip_prefix("ctrl-").or_else(|| plain.strip_prefix('^'));
        let byte = match letter.map(str::as_bytes) {
            Some([letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => letter & 0x1f,
            _ => return Err("it is Ctrl and a letter, or one of @ \\ ] ^ _; for example: ctrl-]".to_owned()),
        };
        match byte {
            b'\t' | b'\n' | b'\r' => Err("a terminal gives that for Tab or Enter, too".to_owned()),
            0x1b => Err("a terminal gives that for Esc, too, and begins other keys with it".to_owned()),
            _ => Ok(Self(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_said_as_people_say_it() {
        for (text, byte) in [("ctrl-\\", 0x1c), ("Ctrl-]", 0x1d), ("^A", 1), ("ctrl-z", 26), ("^@", 0), ("^^", 0x1e)] {
            assert_eq!(text.parse(), Ok(DetachKey(byte)), "{text}");
        }
        assert_eq!(DetachKey(0x1d).to_string().parse(), Ok(DetachKey(0x1d)));
        assert_eq!(DetachKey::default().to_string(), "Ctrl-\\");
        for text in ["", "a", "ctrl-", "ctrl-ab", "ctrl-é", "ctrl-1", "ctrl-i", "^M", "^[", "alt-a"] {
            assert!(text.parse::<DetachKey>().is_err(), "{text}");
        }
    }
}
