//! The file that becomes Claude Code's standard input, and what it does with some prompts of its own accord.

use std::path::PathBuf;

use crate::ports::agent::{AgentError, LaunchRequest, prompt_file};

/// Words that end Claude Code when they are the whole prompt.
const ENDING: [&str; 6] = ["exit", "quit", ":q", ":q!", ":wq", ":wq!"];

/// Writes the prompt; gives the file.
pub(super) fn write(request: &LaunchRequest, text: &str) -> Result<PathBuf, AgentError> {
    // It would wait for a first turn that never comes.
    if text.trim().is_empty() {
        return Err(AgentError::Refused("the prompt is empty: give a task, or none at all".to_owned()));
    }
    let path = prompt_file(&request.session_dir);
    super::write(&path, text.as_bytes())?;
    Ok(path)
}

/// What a person should know of a prompt that Claude Code does not simply hand to its model.
pub(super) fn note(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if ENDING.contains(&trimmed) {
        return Some(format!("Claude Code ends on the prompt {trimmed:?}"));
    }
    if is_slash_command(trimmed) {
        return Some("Claude Code runs a prompt that begins with / as one of its commands".to_owned());
    }
    text.contains(is_dropped).then(|| {
        "the prompt holds control or invisible characters, which Claude Code 2.1.330 drops (and makes CR LF into LF)"
            .to_owned()
    })
}

/// What 2.1.330 was seen to drop from every prompt, however it came in; 2.1.197 keeps it. The joiner and the variation
/// selector of emoji are left out: where they join emoji, they stay.
fn is_dropped(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    invisible || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// `/name …`, but not `/etc/passwd …`, which reaches the model.
fn is_slash_command(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let name = rest.split_whitespace().next().unwrap_or("");
    !name.is_empty() && !rest.starts_with(char::is_whitespace) && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prompts_that_claude_code_takes_for_itself_get_a_note() {
        for text in
            ["/help", "/review 12", "exit\n", ":wq", "a\r\nb", "a\u{1b}[31m", "a\u{202e}b", "\u{feff}hi", "a\0b"]
        {
            assert!(note(text).is_some(), "{text:?}");
        }
        for text in [
            "-x",
            "do it\n\n",
            "\ttab",
            "/etc/passwd is a file",
            "/ alone",
            "!touch x",
            "#note",
            "exit code 3 🦀 👩\u{200d}💻",
        ] {
            assert_eq!(note(text), None, "{text:?}");
        }
    }
}
