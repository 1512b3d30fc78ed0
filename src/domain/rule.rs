//! What a project has decided about permissions beforehand.
//!
//! A pattern is text in which `*` stands for any text, also none, and everything else for itself; it is compared with the whole. To allow is
//! strict and to deny is generous: what is not surely meant is asked.

use std::borrow::Cow;
use std::fmt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::approval::{Decider, Decision, PendingRequest, SubjectKind, Verdict};
use super::text::one_line;

/// What in a shell's command may begin another one, or write a file. No `*` of a rule that allows stands for these.
const CONTROL: [char; 9] = [';', '&', '|', '<', '>', '$', '(', ')', '`'];

/// Words after which a program's name may follow in a command, besides those that set a variable.
const PREFIXES: [&str; 22] = [
    "!", "builtin", "command", "do", "doas", "elif", "else", "env", "eval", "exec", "if", "nice", "nohup", "setsid",
    "stdbuf", "sudo", "then", "time", "timeout", "until", "while", "xargs",
];
/// How many commands of a script are looked at.
const MAX_COMMANDS: usize = 100;

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
        let surely = fits(&self.tool, tool, |_, _| true)
            && self.input.as_ref().is_none_or(|input| surely_matches(input, request, workspace));
        // What is surely meant is meant, whatever becomes of it in lower case, for example of a last Σ.
        if self.decide == RuleVerdict::Allow || surely {
            return surely;
        }
        fits(&self.tool.to_lowercase(), &tool.to_lowercase(), |_, _| true)
            && self.input.as_ref().is_none_or(|input| may_match(input, request, workspace))
    }
}

/// What the first rule that speaks about a request says, unless that is to ask.
pub(super) fn decision(rules: &[Rule], request: &PendingRequest, workspace: &Path) -> Option<Decision> {
    let (index, rule) = rules.iter().enumerate().find(|(_, rule)| rule.matches(request, workspace))?;
    let verdict = match rule.decide {
        RuleVerdict::Allow => Verdict::Allow,
        RuleVerdict::Deny => Verdict::Deny,
        RuleVerdict::Ask => return None,
    };
    let by = Decider::Rule { number: index + 1, rule: rule.clone() };
    Some(Decision { verdict, reason: rule.reason.clone(), by })
}

/// Whether a pattern is surely meant for what is asked.
fn surely_matches(pattern: &str, request: &PendingRequest, workspace: &Path) -> bool {
    let Some(about) = request.about() else { return false };
    if request.subject.says_not_all {
        return false;
    }
    match request.subject.kind {
        SubjectKind::Shell => fits(pattern, &about, |text, at| {
            !CONTROL.contains(&text[at]) && (!text[at].is_control() || text[at] == '\t')
        }),
        SubjectKind::Path => {
            let leads_up = |path: &str| Path::new(path).components().any(|part| part == Component::ParentDir);
            let path = in_workspace(&about, workspace);
            Path::new(about.as_ref()).is_absolute()
                && !leads_up(&about)
                && pattern.starts_with('/') == path.starts_with('/')
                // As a shell has it, a star stands for no name that begins with a dot: those files are read by programs.
                && fits(pattern, &path, |text, at| text[at] != '.' || at > 0 && text[at - 1] != '/')
        }
        SubjectKind::Address => match (parts_of(pattern), parts_of(&about)) {
            _ if is_anything(pattern) => true,
            (Some((pattern_host, pattern_rest)), Some((host, rest))) => {
                let is_host =
                    |text: &[char], at: usize| text[at].is_ascii_alphanumeric() || matches!(text[at], '.' | '-');
                fits(pattern_host, host, is_host) && fits(pattern_rest, rest, |_, _| true)
            }
            _ => false,
        },
        // In JSON a text ends at a quotation mark, and what follows is another one.
        SubjectKind::Text if request.subject.field.is_none() => {
            is_anything(pattern) || fits(pattern, &about, |text, at| text[at] != '"')
        }
        SubjectKind::Text => fits(pattern, &about, |_, _| true),
    }
}

/// An address up to the end of its host, and the rest of it.
fn parts_of(address: &str) -> Option<(&str, &str)> {
    let host = address.find("://")? + "://".len();
    let end = address[host..].find(['/', '?', '#', '\\']).map_or(address.len(), |end| host + end);
    Some(address.split_at(end))
}

fn is_anything(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.chars().all(|c| c == '*')
}

/// Whether a pattern may be meant for what is asked. What is not known may be anything.
fn may_match(pattern: &str, request: &PendingRequest, workspace: &Path) -> bool {
    let Some(about) = request.about() else { return true };
    let pattern = squeezed(pattern);
    let fits = |text: &str| fits(&pattern, text.trim(), |_, _| true);
    if fits(&squeezed(&about)) {
        return true;
    }
    match request.subject.kind {
        SubjectKind::Shell => {
            let bare: String = about.chars().filter(|c| !['"', '\'', '\\'].contains(c)).collect();
            // An end of a line is white space to those who squeeze.
            let one_line = |script: &str| squeezed(&script.replace(['\n', '\r'], ";"));
            [one_line(&about), one_line(&bare)].iter().any(|script| match commands(script) {
                // From each command to its end, and to the end of all.
                Some(commands) => commands.iter().any(|(command, rest)| fits(command) || fits(rest)),
                None => true,
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
            fits(&squeezed(&plain)) || fits(&squeezed(&in_workspace(&plain, workspace)))
        }
        SubjectKind::Address | SubjectKind::Text => false,
    }
}

/// The commands of a squeezed script, each with all that follows it; also what is left of one without the words before the program's name.
/// `None` when they are too many to be looked at.
fn commands(script: &str) -> Option<Vec<(&str, &str)>> {
    let starts = script.char_indices().filter(|(_, c)| ends_command(*c)).map(|(at, c)| at + c.len_utf8());
    let mut commands = Vec::new();
    for start in [0].into_iter().chain(starts) {
        let mut rest = script[start..].trim_start();
        let mut word_before = None;
        loop {
            if commands.len() == MAX_COMMANDS {
                return None;
            }
            commands.push((rest.split(ends_command).next().unwrap_or_default(), rest));
            match rest.split_once(' ') {
                Some((word, after)) if is_before_a_program(word, word_before) => {
                    (word_before, rest) = (Some(word), after);
                }
                _ => break,
            }
        }
    }
    Some(commands)
}

fn ends_command(c: char) -> bool {
    CONTROL.contains(&c) || matches!(c, '{' | '}')
}

/// Whether a program's name may follow this word: it is one of the shell's, sets a variable, or names a program that runs another one, or is what
/// such a one is told.
fn is_before_a_program(word: &str, word_before: Option<&str>) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_told = |word: &str| word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    PREFIXES.contains(&word)
        || word.split_once('=').is_some_and(|(name, _)| is_name(name))
        || word_before.is_some_and(|before| is_told(word) || before.starts_with('-'))
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
    one_line(&text.to_lowercase())
}

/// Whether a text fits a pattern, each `*` of which may stand for the characters of the text that `is_any` takes.
fn fits(pattern: &str, text: &str, is_any: impl Fn(&[char], usize) -> bool) -> bool {
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
            // The last star takes one more. Where it may not, an earlier one might have taken more, so that this was not its turn: that is not
            // looked for, and what is not surely meant is asked.
            let Some((at, taken)) = star.filter(|(_, taken)| is_any(&text, *taken)) else { return false };
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
