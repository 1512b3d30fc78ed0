//! Values that have rules of their own. Each is checked while the file is read, so that a mistake has its line.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::{AgentMemory, HttpPort};
use crate::app::RuntimeChoice;
use crate::platform::cgroup::place;

/// How many of something; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count(pub(super) NonZeroUsize);

fn no_count(given: &dyn fmt::Display) -> String {
    format!("{given} is not a number from 1 on")
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| no_count(&format_args!("{text:?}")))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(from)?;
        let count = usize::try_from(number).ok().and_then(NonZeroUsize::new);
        count.map(Self).ok_or_else(|| Error::custom(no_count(&number)))
    }
}

/// An amount of memory: a number of bytes, or one with a unit of 1024; or as much as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory(pub(super) AgentMemory);

/// Less than this starts no agent.
const LEAST_MEMORY_BYTES: u64 = 64 << 20;

impl Memory {
    fn of_bytes(bytes: u64) -> Option<Self> {
        (bytes >= LEAST_MEMORY_BYTES).then_some(Self(AgentMemory::AtMost { bytes }))
    }
}

fn no_memory(given: &dyn fmt::Display) -> String {
    format!("{given} is not an amount of memory from 64M on, for example \"4G\", or \"none\"")
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(AgentMemory::Unbounded));
        }
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" => Some(0),
            "K" => Some(10),
            "M" => Some(20),
            "G" => Some(30),
            "T" => Some(40),
            _ => None,
        };
        let bytes = shift.and_then(|shift| number.parse::<u64>().ok()?.checked_mul(1 << shift));
        bytes.and_then(Self::of_bytes).ok_or_else(|| no_memory(&format_args!("{text:?}")))
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MemoryVisitor)
    }
}

struct MemoryVisitor;

impl Visitor<'_> for MemoryVisitor {
    type Value = Memory;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an amount of memory, for example \"4G\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Memory, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Memory, E> {
        u64::try_from(bytes).ok().and_then(Memory::of_bytes).ok_or_else(|| E::custom(no_memory(&bytes)))
    }
}

/// Whether and where agents get control groups of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup(pub(super) place::Choice);

impl FromStr for Cgroup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(place::Choice::Auto)),
            "off" => Ok(Self(place::Choice::Off)),
            path if Path::new(path).is_absolute() => Ok(Self(place::Choice::Below(path.into()))),
            other => Err(format!("{other:?} is not \"auto\", \"off\" or the absolute path of a control group")),
        }
    }
}

impl<'de> Deserialize<'de> for Cgroup {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(Error::custom)
    }
}

/// Whether and where the API is served on a TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Http(pub(super) HttpPort);

impl FromStr for Http {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl<'de> Deserialize<'de> for Http {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(Error::custom)
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounded<const LEAST: u64, const MOST: u64>(pub(super) u64);

impl<const LEAST: u64, const MOST: u64> Bounded<LEAST, MOST> {
    fn new(number: u64) -> Option<Self> {
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }

    fn out_of_bounds(given: &dyn fmt::Display) -> String {
        format!("{given} is not a number from {LEAST} to {MOST}")
    }
}

impl<const LEAST: u64, const MOST: u64> FromStr for Bounded<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| Self::out_of_bounds(&format_args!("{text:?}")))
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Bounded<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(from)?;
        u64::try_from(number).ok().and_then(Self::new).ok_or_else(|| Error::custom(Self::out_of_bounds(&number)))
    }
}

/// Reads a value that parses from a string.
pub(super) fn runtime<'de, D: Deserializer<'de>>(from: D) -> Result<Option<RuntimeChoice>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(Error::custom)
}

/// A regular expression that matches something.
#[derive(Debug)]
pub(super) struct Pattern(pub(super) String);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match regex::Regex::new(&text) {
            Ok(_) if text.is_empty() => Err(Error::custom("the pattern is empty")),
            Ok(_) => Ok(Self(text)),
            Err(error) => {
                // It draws the pattern with a mark below; the cause is its last line.
                let error = error.to_string();
                let cause = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(Error::custom(format!("{text:?} is not a regular expression: {cause}")))
            }
        }
    }
}

/// A program: an absolute path, or a bare name. What a relative path is relative to, nobody could say.
#[derive(Debug)]
pub(super) struct ProgramName(pub(super) PathBuf);

impl<'de> Deserialize<'de> for ProgramName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() || text.contains('/') && !Path::new(&text).is_absolute() {
            let cause = format!("{text:?} is not a program: give an absolute path, or a name to look up on PATH");
            return Err(Error::custom(cause));
        }
        Ok(Self(text.into()))
    }
}

/// A program and its arguments: a list, or one string in shell words. Never empty.
#[derive(Debug)]
pub(super) struct CommandWords(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for CommandWords {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CommandVisitor)
    }
}

struct CommandVisitor;

impl CommandVisitor {
    fn checked<E: de::Error>(words: Vec<String>) -> Result<CommandWords, E> {
        match words.first() {
            Some(program) if !program.is_empty() => Ok(CommandWords(words)),
            _ => Err(E::custom("the command is empty")),
        }
    }
}

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = CommandWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string in shell words or a list of strings")
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<CommandWords, E> {
        let words = shell_words::split(line).map_err(|_| E::custom(format!("a quote is not closed in {line:?}")))?;
        Self::checked(words)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CommandWords, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            words.push(word);
        }
        Self::checked(words)
    }
}
