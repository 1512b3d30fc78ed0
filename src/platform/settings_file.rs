//! Reading settings from TOML, so that a mistake has its line and key. Keys that are not known are mistakes.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_path_to_error::Segment;

use crate::domain::text::printable;

/// A mistake in a file of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The key, with the tables it is in; `None` when the text is no TOML at that line.
    pub key: Option<String>,
    /// What is wrong, for a person.
    pub cause: String,
}

impl Mistake {
    /// A mistake at an offset of the text, in bytes.
    #[must_use]
    pub fn at(content: &[u8], offset: usize, key: Option<String>, cause: impl Into<String>) -> Self {
        let line = content.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        Self { line, key: key.map(|key| shown(&key)), cause: shown(&cause.into()) }
    }
}

/// Text on one line, with nothing that a terminal obeys: a repository's file may have been written by anybody, and is told of before a person
/// has seen it.
fn shown(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, cause } = self;
        match key {
            Some(key) => write!(f, "line {line}: {key}: {cause}"),
            None => write!(f, "line {line}: {cause}"),
        }
    }
}

/// Reads a document. `T` denies unknown fields, so that a mistyped key is one.
///
/// # Errors
/// The first [`Mistake`].
pub fn parse<T: DeserializeOwned>(content: &[u8]) -> Result<T, Mistake> {
    let text = std::str::from_utf8(content)
        .map_err(|error| Mistake::at(content, error.valid_up_to(), None, "this is not UTF-8 text"))?;
    let document = toml::Deserializer::parse(text).map_err(|error| mistake(content, &error, None))?;
    serde_path_to_error::deserialize(document)
        .map_err(|error| mistake(content, error.inner(), key(error.path(), error.inner().message())))
}

fn mistake(content: &[u8], error: &toml::de::Error, key: Option<String>) -> Mistake {
    Mistake::at(content, error.span().map_or(0, |span| span.start), key, wording(error.message()))
}

/// The key of a mistake, with its tables. What serde calls the path can end before the key in question.
fn key(path: &serde_path_to_error::Path, message: &str) -> Option<String> {
    let mut keys: Vec<String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } if !key.starts_with("$__") => Some(key.clone()),
            Segment::Seq { index } => Some(format!("[{index}]")),
            _ => None,
        })
        .collect();
    let named = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split_once('`'))
        .map(|(name, _)| name);
    if let Some(name) = named
        && keys.last().is_none_or(|last| last != name)
    {
        keys.push(name.to_owned());
    }
    (!keys.is_empty()).then(|| keys.join(".").replace(".[", "["))
}

/// serde's words in those of somebody who edits a file.
fn wording(message: &str) -> String {
    [("unknown field ", "unknown key "), ("missing field ", "missing key "), ("unknown variant ", "unknown value ")]
        .iter()
        .find_map(|(theirs, ours)| message.strip_prefix(theirs).map(|rest| format!("{ours}{rest}")))
        .unwrap_or_else(|| {
            message.replace("expected i64", "expected a whole number").replace("expected a map", "expected a table")
        })
}

const A_DAY: u64 = 24 * 60 * 60;

/// A bound of 1 second to `MOST` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds<const MOST: u64 = A_DAY>(pub u64);

impl<const MOST: u64> Seconds<MOST> {
    fn new(seconds: u64) -> Option<Self> {
        (1..=MOST).contains(&seconds).then_some(Self(seconds))
    }

    fn refusal(given: &dyn fmt::Display) -> String {
        format!("{given} is not a number of seconds from 1 to {MOST}")
    }
}

impl<const MOST: u64> FromStr for Seconds<MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| Self::refusal(&format_args!("{text:?}")))
    }
}

impl<'de, const MOST: u64> Deserialize<'de> for Seconds<MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = i64::deserialize(from)?;
        u64::try_from(seconds).ok().and_then(Self::new).ok_or_else(|| Error::custom(Self::refusal(&seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_shows_nothing_that_a_terminal_obeys() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let mistake = parse::<Nothing>(b"\n\"\\u001b[2J\\n\" = 1\n").unwrap_err();
        let shown = mistake.to_string();
        assert!(shown.starts_with("line 2: \u{fffd}[2J : unknown key"), "{shown:?}");
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}
