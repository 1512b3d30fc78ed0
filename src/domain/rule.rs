//! What a project has decided about permissions beforehand.
//!
//! A pattern is text in which `*` stands for any text, also none, and everything else for itself; it is compared with the whole. To allow is
//! strict and to deny is generous: what is not surely meant is asked.

use std::borrow::Cow;
use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::approval::{PendingRequest, SubjectKind};

/// What in a shell's command may begin another one, or write a file. No `*` of a rule that allows stands for these.
const CONTROL: [char; 9] = [';', '&', '|', '<', '>', '$', '(', ')', '`'];

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleVerdict {
    /// The agent may.
    Allow,
    /// It may not.
    Deny,
    /// A person is asked, whatever later rules say.
    Ask,
}

impl RuleVerdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

/// A rule. The first one that matches counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// A pattern for the tool's name.
    pub tool: String,
    /// A pattern for what a person decides by; `None` for whatever that is.
    pub input: Option<String>,
    /// What it says.
    pub decide: RuleVerdict,
    /// Why.
    pub reason: Option<String>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, input, decide, reason: _ } = self;
        write!(f, "{} {tool}", decide.as_str())?;
        match input {
            Some(input) => write!(f, ": {input}"),
            None => Ok(()),
        }
    }
}

impl Rule {
    /// Whether it speaks about this request of an agent that works in `workspace`.
    #[must_use]
    pub fn matches(&self, request: &PendingRequest, workspace: &Path) -> bool {
        let tool = &request.tool_use.tool;
        if self.decide == RuleVerdict::Allow {
            return fits(&self.tool, tool, |_| true)
                && self.input.as_ref().is_none_or(|input| surely_matches(input, request, workspace));
        }
        fits(&self.tool.to_lowercase(), &tool.to_lowercase(), |_| true)
            && self.input.as_ref().is_none_or(|input| may_match(input, request, workspace))
    }
}

/// Whether a pattern is surely meant for what is asked.
fn surely_matches(pattern: &str, request: &PendingRequest, workspace: &Path) -> bool {
    let Some(about) = request.about() else { return false };
    match request.subject.kind {
        SubjectKind::Shell => fits(pattern, &about, |c| !CONTROL.contains(&c) && (!c.is_control() || c == '\t')),
        SubjectKind::Path => {
            let path = in_workspace(&about, workspace);
            let is_plain = |path: &str| !Path::new(path).components().any(|part| part == Component::ParentDir);
            (is_plain(&path) || !is_plain(pattern))
                && pattern.starts_with('/') == path.starts_with('/')
                && fits(pattern, &path, |_| true)
        }
        SubjectKind::Text => fits(pattern, &about, |_| true),
    }
}

/// Whether a pattern may be meant for what is asked. What is not known may be anything.
fn may_match(pattern: &str, request: &PendingRequest, workspace: &Path) -> bool {
    let Some(about) = request.about() else { return true };
    let pattern = squeezed(pattern);
    let fits = |text: &str| fits(&pattern, &squeezed(text), |_| true);
    if fits(&about) {
        return true;
    }
    match request.subject.kind {
        SubjectKind::Shell => {
            let bare: String = about.chars().filter(|c| !['"', '\'', '\\'].contains(c)).collect();
            [about.as_ref(), bare.as_str()].into_iter().any(|command| {
                let is_end = |c: char| CONTROL.contains(&c) || ['\n', '\r', '{', '}'].contains(&c);
                let starts = command.char_indices().filter(|(_, c)| is_end(*c)).map(|(at, c)| at + c.len_utf8());
                // From each command to its end, and to the end of all.
                [0].into_iter().chain(starts).any(|start| {
                    let rest = &command[start..];
                    fits(rest) || rest.split(is_end).next().is_some_and(fits)
                })
            })
        }
        SubjectKind::Path => {
            // A part of it that is followed by `..` is not where it leads.
            let mut parts: Vec<Component<'_>> = Vec::new();
            for part in Path::new(about.as_ref()).components() {
                match part {
                    Component::ParentDir => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let plain: std::path::PathBuf = parts.into_iter().collect();
            let plain = plain.to_string_lossy();
            fits(&plain) || fits(&in_workspace(&plain, workspace))
        }
        SubjectKind::Text => false,
    }
}

/// A path relative to the workspace, when it is in there.
fn in_workspace<'a>(path: &'a str, workspace: &Path) -> Cow<'a, str> {
    match Path::new(path).strip_prefix(workspace) {
        Ok(inner) => inner.to_string_lossy(),
        Err(_) => Cow::Borrowed(path),
    }
}

/// Lower case, without white space at the ends, and with one blank for each other run of it.
fn squeezed(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text fits a pattern, each `*` of which may stand for what `is_any` takes.
fn fits(pattern: &str, text: &str, is_any: impl Fn(char) -> bool) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and what in the text follows what it stands for.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else {
            // The last star takes one more. What it may not take no earlier one could: it would have to take it as well, or the pattern
            // between them would.
            let Some((at, taken)) = star.filter(|(_, taken)| is_any(text[*taken])) else { return false };
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
