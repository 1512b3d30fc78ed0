use std::path::Path;

use serde_json::json;

use super::approval::{PendingRequest, Subject, SubjectKind};
use super::id::RequestId;
use super::rule::{Rule, RuleVerdict};
use super::session::ToolUse;
use super::session::tests::at;

fn request(tool: &str, kind: SubjectKind, field: &str, text: &str) -> PendingRequest {
    PendingRequest {
        id: RequestId::unknown(),
        tool_use: ToolUse { tool: tool.into(), input: json!({ field: text }), subagent: None, is_cut: false },
        subject: Subject { kind, field: Some(field.into()), says_not_all: false },
        since: at(0),
        unheard_since: None,
    }
}

/// Of a tool of which nothing is known.
fn request_of(tool_use: ToolUse) -> PendingRequest {
    let (id, subject) = (RequestId::unknown(), Subject::default());
    PendingRequest { id, tool_use, subject, since: at(0), unheard_since: None }
}

fn bash(command: &str) -> PendingRequest {
    request("Bash", SubjectKind::Shell, "command", command)
}

fn edit(path: &str) -> PendingRequest {
    request("Edit", SubjectKind::Path, "file_path", path)
}

fn matches(decide: RuleVerdict, input: &str, request: &PendingRequest) -> bool {
    let rule = Rule { tool: request.tool_use.tool.clone(), input: Some(input.into()), decide, reason: None };
    rule.matches(request, Path::new("/w/app-1"))
}

fn allows(input: &str, request: &PendingRequest) -> bool {
    matches(RuleVerdict::Allow, input, request)
}

fn denies(input: &str, request: &PendingRequest) -> bool {
    let denies = matches(RuleVerdict::Deny, input, request);
    assert_eq!(denies, matches(RuleVerdict::Ask, input, request), "to ask is as generous");
    denies
}

#[test]
fn a_star_stands_for_any_text_and_the_rest_for_itself() {
    for (pattern, command, is_match) in [
        ("git status", "git status", true),
        ("git status", "git status -s", false),
        ("git *", "git ", true),
        ("git *", "git log --oneline", true),
        ("git *", "gitk x", false),
        ("git *", " git log", false),
        ("git *", "GIT log", false),
        ("*", "", true),
        ("*test*", "cargo test --lib", true),
        ("a*b*c", "a b b c", true),
        ("a*b*c", "a b c d", false),
        ("a.c", "abc", false),
        ("ls **", "ls ö 🦀", true),
    ] {
        assert_eq!(allows(pattern, &bash(command)), is_match, "{pattern} {command}");
    }
}

#[test]
fn what_is_allowed_begins_no_other_command_and_writes_no_file() {
    for more in [
        "; rm -rf /",
        "&& rm -rf /",
        "& rm -rf /",
        "| sh",
        "|| rm x",
        "$(rm x)",
        "`rm x`",
        "\nrm x",
        "\r\nrm x",
        "> ~/.bashrc",
        ">> x",
        "< /etc/passwd",
        "<(rm x)",
        "${x@P}",
        "\"a;b\"",
        "*(e:rm:)",
        "\u{0}x",
    ] {
        assert!(!allows("git *", &bash(&format!("git status {more}"))), "{more}");
        assert!(!allows("*", &bash(&format!("git status {more}"))), "{more}");
    }
    // A rule without a pattern for the input is about all there is.
    let any = Rule { tool: "Bash".into(), input: None, decide: RuleVerdict::Allow, reason: None };
    assert!(any.matches(&bash("git status; rm x"), Path::new("/w")));
}

#[test]
fn control_characters_that_a_pattern_names_are_allowed_where_it_names_them() {
    assert!(allows("git log * | head -*", &bash("git log --oneline | head -5")));
    assert!(!allows("git log * | head -*", &bash("git log; rm x | head -5")));
    assert!(!allows("git log * | head -*", &bash("git log x | head -5 | sh")));
    assert!(allows("make *; make *", &bash("make a; make b")));
    assert!(!allows("make *; make *", &bash("make a; rm; make b")));
}

#[test]
fn a_denial_looks_into_every_command_whatever_its_spelling() {
    for command in [
        "rm -rf /",
        "cd /; rm -rf x",
        "true && rm  -rf x",
        "true | RM -rf x",
        "echo $(rm -rf x)",
        "echo `rm -rf x`",
        "(rm -rf x)",
        "true\nrm -rf x",
        "{ rm -rf x; }",
        "\"rm\" -rf x",
        "r\\m -rf x",
        "  rm\t-rf x > y; z",
        "if [ -d x ]; then rm -rf x; fi",
        "for a in x; do rm -rf $a; done",
        "! rm -rf x",
        "A=1 B_2='x' sudo rm -rf x",
        "time env A=1 command rm -rf x",
        "timeout 10 rm -rf x",
        "sudo -u www rm -rf x",
        "nice -n 5 rm -rf x",
        "ls | xargs -0 rm -rf x",
        &"true;".repeat(200),
        // Too much to be looked at.
        &format!("{}{}", "a=;".repeat(99), "a= ".repeat(5300)),
    ] {
        assert!(denies("rm -rf *", &bash(command)), "{command}");
    }
    for command in ["rm file", "echo rm -rf x", "farm -rf x"] {
        assert!(!denies("rm -rf *", &bash(command)), "{command}");
    }
    assert!(denies("*rm -rf*", &bash("echo rm -rf x")));
    assert!(denies("git push", &bash("make && git push && echo done")));
}

#[test]
fn paths_in_the_workspace_are_relative_to_it_and_others_are_named_as_such() {
    for (pattern, path, is_match) in [
        ("docs/*", "/w/app-1/docs/a/b.md", true),
        ("docs/*", "/w/app-2/docs/a.md", false),
        ("*", "/w/app-1/a", true),
        ("*", "/etc/passwd", false),
        ("*.md", "/home/me/x.md", false),
        ("/etc/*", "/etc/passwd", true),
        ("/*", "/w/app-1/a", false),
        ("docs/*", "/w/app-1/docs/../src/a", false),
        ("/tmp/*", "/tmp/../etc/passwd", false),
        ("*", "/w/app-1/../app-2/a", false),
        ("*", "/w/app-12/a", false),
        // No name that begins with a dot, but where it is named.
        ("*", "/w/app-1/.git/hooks/pre-commit", false),
        ("*", "/w/app-1/a/.env", false),
        (".github/*", "/w/app-1/.github/x.yml", true),
        ("a*/b", "/w/app-1/a.d/b", true),
        // Where it is, only an absolute path says.
        ("*", "~/.bashrc", false),
        ("*", "docs/a.md", false),
        ("../*", "../x", false),
        ("/w/../*", "/w/../x", false),
    ] {
        assert_eq!(allows(pattern, &edit(path)), is_match, "{pattern} {path}");
    }
    for (pattern, path, is_match) in [
        ("*.env", "/w/app-1/.ENV", true),
        (".env", "/w/app-1/.env", true),
        (".env", "/w/app-1/a/../.env", true),
        ("/etc/*", "/tmp/../etc/passwd", true),
        ("/w/app-1/.env", "/w/app-1/.env", true),
        (".env", "/w/app-1/a/.env", false),
    ] {
        assert_eq!(denies(pattern, &edit(path)), is_match, "{pattern} {path}");
    }
}

#[test]
fn what_was_too_large_to_be_reported_is_never_surely_meant_and_may_be_anything() {
    let mut large = bash("x");
    large.tool_use.input = json!({ "command": null, "description": "x" });
    assert!(!allows("*", &large));
    assert!(denies("rm *", &large));
}

#[test]
fn the_tool_is_a_pattern_too_and_the_rest_is_json() {
    let tool_use =
        ToolUse { tool: "mcp__db__query".into(), input: json!({ "sql": "select 1" }), subagent: None, is_cut: false };
    let asked = request_of(tool_use);
    let rule = |tool: &str, input: Option<&str>, decide| Rule {
        tool: tool.into(),
        input: input.map(str::to_owned),
        decide,
        reason: None,
    };
    let is_match = |rule: Rule| rule.matches(&asked, Path::new("/w"));
    assert!(is_match(rule("mcp__db__*", Some("{\"sql\":\"select *\"}"), RuleVerdict::Allow)));
    assert!(is_match(rule("mcp__db__*", Some("*"), RuleVerdict::Allow)));
    assert!(!is_match(rule("mcp__db__*", Some("select *"), RuleVerdict::Allow)));
    assert!(!is_match(rule("MCP__db__*", None, RuleVerdict::Allow)));
    assert!(is_match(rule("MCP__db__*", Some("*SELECT*"), RuleVerdict::Deny)));
    assert!(!is_match(rule("Bash", None, RuleVerdict::Deny)));
}

#[test]
fn a_star_in_json_stands_for_no_end_of_a_text() {
    let asked = |input: serde_json::Value, is_cut: bool| {
        request_of(ToolUse { tool: "mcp__fs__read".into(), input, subagent: None, is_cut })
    };
    let docs = "{\"path\":\"docs/*\"}";
    assert!(allows(docs, &asked(json!({ "path": "docs/a.md" }), false)));
    assert!(!allows(docs, &asked(json!({ "path": "docs/a", "mode": "delete\\" }), false)));
    assert!(!allows(docs, &asked(json!({ "path": "docs/\"a" }), false)));
    // What was left out may be anything.
    let cut = asked(json!({ "path": "docs/a.md" }), true);
    assert!(!allows(docs, &cut) && !allows("*", &cut) && denies("*secret*", &cut));
}

#[test]
fn a_star_in_an_address_does_not_leave_its_host() {
    let fetch = |url: &str| request("WebFetch", SubjectKind::Address, "url", url);
    for (pattern, url, is_match) in [
        ("https://docs.rs/*", "https://docs.rs/serde?x#y", true),
        ("https://*.docs.rs/*", "https://a.docs.rs/x", true),
        ("https://*.docs.rs/*", "https://evil.example/x.docs.rs/", false),
        ("https://*.docs.rs/*", "https://evil.example?.docs.rs/", false),
        ("https://*docs.rs/*", "https://me@docs.rs/", false),
        ("https://docs.rs*", "https://docs.rs/x", false),
        ("*docs.rs*", "https://docs.rs/x", false),
        ("*", "https://docs.rs/x", true),
        ("https://docs.rs/*", "HTTPS://docs.rs/x", false),
    ] {
        assert_eq!(allows(pattern, &fetch(url)), is_match, "{pattern} {url}");
    }
    assert!(denies("*EVIL.example*", &fetch("https://evil.example/")));
}

#[test]
fn a_command_that_asks_for_more_than_it_says_is_allowed_by_no_pattern() {
    let mut outside = bash("git status");
    outside.subject.says_not_all = true;
    assert!(!allows("git *", &outside) && denies("git *", &outside));
}

#[test]
fn what_a_rule_would_allow_it_denies_too() {
    // In lower case a Σ at the end of a word is another letter than alone.
    let asked = request("AΣ", SubjectKind::Text, "query", "AΣ");
    assert!(allows("*Σ", &asked) && denies("*Σ", &asked));
    let asked = edit("/w/app-1/a//b");
    assert!(allows("a//b", &asked) && denies("a//b", &asked));
}
