//! Identifiers. Each is a type of its own, made by `text_id!`, so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Timestamp;
use super::session::ToolUse;

/// Text that is not a valid identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct InvalidId {
    /// The text that was refused.
    pub text: String,
    /// The kind of identifier, for example `project id`.
    pub what: &'static str,
    /// What a valid one looks like.
    pub rule: &'static str,
}

/// Makes an identifier type that holds text accepted by one predicate.
///
/// The type parses (`FromStr`), prints (`Display`), orders, hashes, and passes through serde as a plain string that is
/// checked again on the way in.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`InvalidId`] when the text breaks the rule.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { text, what: $what, rule: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

/// `[a-z0-9][a-z0-9-]*`, at most 64 bytes: safe as a directory name, a branch component and a URL segment.
fn is_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    let start = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    start && text.len() <= 64 && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_session_id(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(project, number)| {
        is_slug(project) && !number.starts_with(['0', '+']) && number.parse::<u32>().is_ok_and(|n| n > 0)
    })
}

fn is_opaque(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic())
}

text_id! {
    /// A registered repository.
    ProjectId, "project id", "lower-case letters, digits and '-', starting with a letter or digit, at most 64 characters", is_slug
}

text_id! {
    /// One agent on one task: `{project}-{n}`.
    SessionId, "session id", "a project id, '-', and a number from 1", is_session_id
}

text_id! {
    /// A kind of agent as the user names it: a built-in one, or one named in the configuration.
    AgentKind, "agent name", "lower-case letters, digits and '-', starting with a letter or digit, at most 64 characters", is_slug
}

text_id! {
    /// A kind of runtime: `zellij`, `tmux` or `pty`.
    RuntimeKind, "runtime name", "lower-case letters, digits and '-', starting with a letter or digit, at most 64 characters", is_slug
}

text_id! {
    /// The id an agent gives its own conversation, for example Claude Code's session UUID.
    AgentSessionId, "agent session id", "1 to 128 printable ASCII characters without spaces", is_opaque
}

fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

text_id! {
    /// A message: the start of a hash. Stands in file names, and in the text that an agent is handed.
    MessageId, "message id", "16 hexadecimal digits", is_hash
}

text_id! {
    /// A request for a permission: the start of a hash.
    RequestId, "request id", "16 hexadecimal digits", is_hash
}

/// The start of a text's hash, in hexadecimal digits.
fn hash(text: &str) -> String {
    let start: u64 = Sha256::digest(text).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    format!("{start:016x}")
}

impl MessageId {
    /// The id that belongs to this text.
    #[must_use]
    pub fn hash_of(text: &str) -> Self {
        Self(hash(text))
    }
}

impl RequestId {
    /// The id of what a session's agent asked at a time. Who asked and who was told make it on their own, so it needs no answer.
    #[must_use]
    pub fn of(session: &SessionId, tool_use: &ToolUse, asked_at: Timestamp) -> Self {
        let ToolUse { tool, input, subagent, is_cut: _ } = tool_use;
        Self(hash(&serde_json::json!([session, tool, input, subagent, asked_at]).to_string()))
    }

    /// Tells a tool call from others, whenever it was made.
    #[must_use]
    pub fn of_call(tool_use: &ToolUse) -> Self {
        let ToolUse { tool, input, subagent, is_cut: _ } = tool_use;
        Self(hash(&serde_json::json!([tool, input, subagent]).to_string()))
    }

    /// The id of a request of which it is not known.
    #[must_use]
    pub fn unknown() -> Self {
        Self("0".repeat(16))
    }
}

impl SessionId {
    /// The id of a project's `number`-th session.
    ///
    /// # Panics
    /// Never: a project id followed by a positive number is a session id. Zero is read as one.
    #[must_use]
    pub fn of(project: &ProjectId, number: u32) -> Self {
        Self(format!("{project}-{}", number.max(1)))
    }

    /// The project the session belongs to.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        ProjectId(self.parts().0.to_owned())
    }

    /// The session's number in its project.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.parts().1.parse().unwrap_or(1)
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('-').unwrap_or((self.0.as_str(), "1"))
    }
}

impl ProjectId {
    /// The id a project gets from its directory's name: lower case, every other character a `-`, `project` when nothing
    /// is left.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let mapped: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let mut slug = String::new();
        for part in mapped.split('-').filter(|part| !part.is_empty()) {
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.push_str(part);
        }
        slug.truncate(48);
        let slug = slug.trim_end_matches('-');
        Self(if slug.is_empty() { "project".to_owned() } else { slug.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_know_their_project_and_number() {
        let id: SessionId = "my-app-12".parse().unwrap();
        assert_eq!(id.project().as_str(), "my-app");
        assert_eq!(id.number(), 12);
        assert_eq!(SessionId::of(&id.project(), 12), id);
    }

    #[test]
    fn i17_a_request_has_the_id_that_the_hook_of_an_older_ao_waits_with() {
        let input = serde_json::json!({ "command": "make", "timeout": 7.5 });
        let tool_use = ToolUse { tool: "Bash".into(), input, subagent: Some("a1".into()), is_cut: true };
        let at = Timestamp::from_millisecond(1_790_000_000_123).unwrap();
        assert_eq!(RequestId::of(&"app-1".parse().unwrap(), &tool_use, at).as_str(), "0acf41bb4575f3f4");
    }

    #[test]
    fn bad_ids_are_refused() {
        for text in ["", "app", "app-0", "app-01", "app-+5", "App-1", "-1", "a b-1", "../x-1", "app-99999999999"] {
            assert!(SessionId::new(text).is_err(), "{text:?}");
        }
        for text in ["", "-a", "A", "a_b", "a/b", "a.b"] {
            assert!(ProjectId::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn serde_checks_ids() {
        assert!(serde_json::from_str::<ProjectId>("\"../etc\"").is_err());
        assert_eq!(serde_json::from_str::<ProjectId>("\"ok\"").unwrap().as_str(), "ok");
    }

    #[test]
    fn names_become_project_ids() {
        for (name, id) in [("My App", "my-app"), ("größe", "gr-e"), ("...", "project"), ("a__b.git", "a-b-git")] {
            assert_eq!(ProjectId::from_name(name).as_str(), id);
        }
    }
}
