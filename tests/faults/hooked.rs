//! An agent whose hooks take messages: a script in the place of Claude Code, which calls its hooks all the time and writes down what it is
//! told by those that end well. Its transcript has that a moment later, as Claude Code's does.

use std::fs;

use crate::bench::Bench;

/// Its name among the agents.
pub(crate) const AGENT: &str = "hooked";

/// Something that happened to the agent of a session, across its restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was started.
    Began,
    /// A hook of it did not end well: it was killed.
    HookDied,
    /// It was told a message.
    Told { id: String, text: String },
}

/// Makes it known to daemons that are started from now on.
pub(crate) fn install(bench: &Bench) {
    let (config, program) = (bench.path("home/.config/ao/config.toml"), bench.path("home/agent"));
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::create_dir_all(bench.path("home/heard")).unwrap();
    fs::write(config, format!("[agents.{AGENT}]\nkind = 'claude-code'\nprogram = '{}'\n", program.display())).unwrap();
    crate::executable::write(&program, SCRIPT);
}

/// What happened to a session's agent, in order.
pub(crate) fn heard(bench: &Bench, session: &str) -> Vec<Heard> {
    let text = fs::read_to_string(bench.path("home/heard").join(session)).unwrap_or_default();
    let mut heard = Vec::new();
    for line in text.lines() {
        match line {
            "began" => heard.push(Heard::Began),
            "died" => heard.push(Heard::HookDied),
            answer => heard.extend(messages_in(answer)),
        }
    }
    heard
}

/// The messages in a hook's answer.
fn messages_in(answer: &str) -> Vec<Heard> {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    let between_tools = answer["hookSpecificOutput"]["additionalContext"].as_str();
    let mut rest = between_tools.or_else(|| answer["reason"].as_str()).unwrap();
    let mut told = Vec::new();
    while let Some((_, message)) = rest.split_once("Message ") {
        let (id, message) = message.split_once(", sent to you through ao by ").unwrap();
        let (_sender, message) = message.split_once(" (it ends at the line ").unwrap();
        let (end, message) = message.split_once("):\n").unwrap();
        let (text, after) = message.split_once(&format!("\n{end}")).unwrap();
        told.push(Heard::Told { id: id.to_owned(), text: text.to_owned() });
        rest = after;
    }
    told
}

const SCRIPT: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }
heard="$HOME/heard/$AO_SESSION_ID" transcript="$HOME/heard/$AO_SESSION_ID.transcript"
hook() {
  printf '{"transcript_path":"%s","hook_event_name":"%s","tool_name":"Bash","tool_input":{}}' "$transcript" "$1" |
    "$AO_PROGRAM" hook hooked "$1"
}
touch "$transcript"
echo began >> "$heard"
hook SessionStart
while :; do
  for event in PostToolUse Stop; do
    if ! answer=$(hook $event); then
      echo died >> "$heard"
    elif [ -n "$answer" ]; then
      printf '%s\n' "$answer" >> "$heard"
      sleep 0.2
      printf '{"type":"attachment","content":%s}\n' "$answer" >> "$transcript"
    fi
  done
  sleep 0.2
done
"#;
