//! The real Claude Code, started from the adapter's launch plan on a bare terminal, against a scripted model server.
//!
//! The program is `AO_TEST_CLAUDE`, else `claude` on `PATH`. Without it the tests say so and pass, except where `CI` is
//! `true`: there a missing program fails them.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reads its environment, starts its own programs, says when it skips, and may fail"
)]

#[path = "support/agent_terminal.rs"]
mod agent_terminal;
#[path = "support/executable.rs"]
mod executable;
#[path = "support/model_server.rs"]
mod model_server;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agent_terminal::AgentTerminal;
use ao::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings};
use ao::domain::observation::Signal;
use ao::domain::permission::PermissionMode;
use ao::ports::agent::{Agent, LaunchPlan, LaunchRequest};
use model_server::{Gate, ModelServer, Turn, claude_home, marker};
use serde_json::{Value, json};

/// A cold start on a loaded machine with two cores stays within it.
const BOUND: Duration = Duration::from_secs(60);

/// A fresh repository with a linked worktree, a private home in which nothing is trusted, and a program that stands in for
/// `ao` and writes down which hooks called it. Its path needs quoting.
struct Lab {
    root: tempfile::TempDir,
    server: ModelServer,
    env: BTreeMap<String, String>,
    program: PathBuf,
}

impl Lab {
    /// `None` when Claude Code is not installed and need not be.
    async fn new() -> Option<Self> {
        let program = claude()?;
        let root = tempfile::tempdir().unwrap();
        let server = ModelServer::start().await;
        let mut env = claude_home(&root.path().join("home"), &server.url());
        for name in ["PATH", "AO_TEST_RUN"] {
            if let Ok(value) = std::env::var(name) {
                env.insert(name.to_owned(), value);
            }
        }
        let lab = Self { root, server, env, program };
        lab.make_repository();
        lab.make_hook_program();
        Some(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn git(&self, cwd: &Path, args: &[&str]) {
        let output = Command::new("git").args(args).current_dir(cwd).env_clear().envs(&self.env).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn make_repository(&self) {
        let repository = self.path("repository");
        std::fs::create_dir_all(&repository).unwrap();
        std::fs::create_dir_all(self.path("session dir")).unwrap();
        self.git(&repository, &["init", "--quiet", "--initial-branch=main"]);
        for (key, value) in [("user.name", "Test"), ("user.email", "test@example.org")] {
            self.git(&repository, &["config", key, value]);
        }
        self.git(&repository, &["commit", "--quiet", "--allow-empty", "--message=start"]);
        let workspace = self.path("arbeits bäume/app-1");
        self.git(&repository, &["worktree", "add", "--quiet", "-b", "ao/app-1", workspace.to_str().unwrap()]);
    }

    fn make_hook_program(&self) {
        let directory = self.path("it's $HOME/a \"bin\"");
        std::fs::create_dir_all(&directory).unwrap();
        let program = directory.join("ao");
        let log = self.path("hooks");
        let script =
            format!("#!/bin/sh\npayload=$(cat)\nprintf '%s\\t%s\\n' \"$*\" \"$payload\" >> '{}'\n", log.display());
        crate::executable::write(&program, script);
    }

    fn agent(&self) -> ClaudeCode {
        ClaudeCode::new(ClaudeCodeSettings {
            program: Some(self.program.clone()),
            path_var: self.env["PATH"].clone(),
            home: self.path("home"),
            config_dir: None,
            env: self.env.clone(),
            is_root: rustix::process::geteuid().is_root(),
        })
    }

    fn request(&self, prompt: Option<&str>, mode: PermissionMode) -> LaunchRequest {
        LaunchRequest {
            session: "app-1".parse().unwrap(),
            kind: ao::domain::session::SessionKind::Worker,
            session_dir: self.path("session dir"),
            workspace: self.path("arbeits bäume/app-1"),
            repository: self.path("repository"),
            prompt: prompt.map(ToOwned::to_owned),
            system_prompt: None,
            permission_mode: mode,
            args: Vec::new(),
            ao_program: self.path("it's $HOME/a \"bin\"").join("ao"),
            data_dir: "/data".into(),
        }
    }

    fn run(&self, plan: &LaunchPlan) -> AgentTerminal {
        AgentTerminal::start(&plan.command, &self.env, &self.path("arbeits bäume/app-1"))
    }

    async fn launch(&self, prompt: &str, mode: PermissionMode) -> AgentTerminal {
        let plan = self.agent().prepare(&self.request(Some(prompt), mode)).await.unwrap();
        self.run(&plan)
    }

    /// The hooks that called so far: what was called, and with which payload.
    fn hooks(&self) -> Vec<(String, Value)> {
        let text = std::fs::read_to_string(self.path("hooks")).unwrap_or_default();
        let hook = |line: &str| {
            let (call, payload) = line.split_once('\t')?;
            let event = call.strip_prefix("hook claude-code ").unwrap_or_else(|| panic!("called with {call:?}"));
            Some((event.to_owned(), serde_json::from_str(payload).ok()?))
        };
        text.lines().filter_map(hook).collect()
    }

    fn count(&self, event: &str) -> usize {
        self.hooks().iter().filter(|(name, _)| name == event).count()
    }

    /// Waits until a hook has called that often.
    async fn wait_for_hook(&self, terminal: &AgentTerminal, event: &str, count: usize) {
        terminal.wait_until(&format!("hook {event} × {count}"), BOUND, || self.count(event) >= count).await;
    }

    fn signals(&self) -> Vec<Signal> {
        let agent = self.agent();
        self.hooks().iter().flat_map(|(event, payload)| agent.interpret(event, payload)).collect()
    }
}

fn claude() -> Option<PathBuf> {
    let given = std::env::var_os("AO_TEST_CLAUDE").map(PathBuf::from);
    let found = given.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|directory| directory.join("claude")).find(|program| program.is_file())
    });
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "Claude Code is needed: set AO_TEST_CLAUDE");
        // Not `eprintln`, which the test harness keeps to itself when a test passes.
        let _ =
            writeln!(std::io::stderr(), "skipped: Claude Code is not installed (AO_TEST_CLAUDE, or `claude` on PATH)");
    }
    found
}

async fn prompt_arrives(prompt: &str) {
    let Some(lab) = Lab::new().await else { return };
    let terminal = lab.launch(prompt, PermissionMode::Default).await;
    let arrived = tokio::select! {
        request = lab.server.wait_for_request(|request| request.has_user_text(prompt), BOUND) => request,
        () = terminal.ended() => panic!("it ended: {}", terminal.screen()),
    };
    assert!(arrived.is_turn());
    terminal.assert_not_in_process_listing(prompt);
    lab.wait_for_hook(&terminal, "Stop", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_of_quotes_newlines_and_shell_text_arrives_byte_for_byte() {
    prompt_arrives(
        "\n  say \"hi\" and 'ho' \\n `id` $(id) ${HOME} %s !! ~ \t; rm -rf / & | > x\n\n- é 🦀 👩\u{200d}💻 e\u{301}\n\n",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_with_a_leading_dash_arrives_byte_for_byte() {
    prompt_arrives("--help me -- with -p this").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_of_200_kilobytes_arrives_byte_for_byte() {
    let line = |number: usize| format!("{number:06} \"quoted\" $(id) 🦀 größe\n");
    let prompt: String = (0..6_000).map(line).collect();
    assert!(prompt.len() > 200 * 1024);
    prompt_arrives(&prompt).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_that_look_like_terminal_shortcuts_are_only_text() {
    prompt_arrives("!touch made-by-bang").await;
    prompt_arrives("# remember this, @README.md /help").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_followed_from_its_start_to_its_commit_and_resumed() {
    let Some(lab) = Lab::new().await else { return };
    let commit = "printf done > result && git add result && git commit --quiet --message=result";
    lab.server.script("commit", vec![Turn::bash(commit), Turn::bash("exit 3"), Turn::text("It is committed.")]);
    let agent = lab.agent();
    let mut request = lab.request(Some(&marker("commit")), PermissionMode::BypassPermissions);
    request.system_prompt = Some("SYSTEM \"prompt\" $(x)".to_owned());
    let plan = agent.prepare(&request).await.unwrap();
    assert_eq!(
        plan,
        agent.prepare(&request).await.map(|again| LaunchPlan { notes: plan.notes.clone(), ..again }).unwrap()
    );

    let terminal = lab.run(&plan);
    lab.wait_for_hook(&terminal, "Stop", 1).await;
    assert_eq!(std::fs::read_to_string(lab.path("arbeits bäume/app-1/result")).unwrap(), "done");
    lab.git(&lab.path("repository"), &["rev-parse", "--verify", "--quiet", "ao/app-1^{/result}"]);
    let turn = lab.server.turns().into_iter().next_back().unwrap();
    assert!(turn.system().contains("SYSTEM \"prompt\" $(x)"));
    terminal.assert_not_in_process_listing("SYSTEM \"prompt\"");

    let id = plan.agent_session_id.clone().unwrap();
    let signals = lab.signals();
    assert_eq!(signals.first(), Some(&Signal::Ready { agent_session_id: Some(id.clone()) }));
    assert_eq!(signals.get(1), Some(&Signal::Prompted));
    let tools = signals[2..signals.len() - 1]
        .iter()
        .filter(|signal| matches!(signal, Signal::Calling(_) | Signal::Called(_)))
        .count();
    assert_eq!(tools, 4, "two tools, each before and after: {signals:?}");
    assert_eq!(signals.last(), Some(&Signal::Idle));

    terminal.hang_up();
    lab.wait_for_hook(&terminal, "SessionEnd", 1).await;
    terminal.ended().await;
    assert_eq!(lab.signals().last(), Some(&Signal::Ending));

    let plan = agent.prepare_resume(&request, &id).await.unwrap();
    assert_eq!(plan.agent_session_id.as_ref(), Some(&id));
    let terminal = lab.run(&plan);
    lab.wait_for_hook(&terminal, "SessionStart", 2).await;
    assert_eq!(lab.signals().last(), Some(&Signal::Ready { agent_session_id: Some(id) }));
    terminal.submit("and now?", BOUND).await;
    let turn = lab.server.wait_for_request(|request| request.has_user_text("and now?"), BOUND).await;
    assert!(turn.has_user_text(&marker("commit")), "the earlier conversation is not there");
    lab.wait_for_hook(&terminal, "Stop", 2).await;
    let (_, stop) = lab.hooks().pop().unwrap();
    assert_eq!(stop["permission_mode"], "bypassPermissions");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_terminal_takes_more_prompts_and_answers_after_a_prompt_from_standard_input() {
    let Some(lab) = Lab::new().await else { return };
    lab.server.script("ask", vec![Turn::bash("touch allowed"), Turn::text("Done.")]);
    let terminal = lab.launch(&marker("ask"), PermissionMode::Default).await;
    lab.wait_for_hook(&terminal, "PermissionRequest", 1).await;
    let blocked = lab.signals();
    assert!(
        matches!(blocked.last(), Some(Signal::Blocked { tool_use, .. }) if tool_use.input["command"] == "touch allowed"),
        "{blocked:?}"
    );
    terminal.wait_for_text("Do you want to proceed", BOUND).await;
    terminal.press_until("\r", BOUND, || lab.count("PostToolUse") == 1).await;
    lab.wait_for_hook(&terminal, "Stop", 1).await;
    assert!(lab.path("arbeits bäume/app-1/allowed").exists());
    terminal.submit("second prompt", BOUND).await;
    lab.server.wait_for_request(|request| request.has_user_text("second prompt"), BOUND).await;
}

/// The reason to mark the workspace and not the main checkout: see the adapter's `trust`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_repository_allows_itself_is_asked_about_all_the_same() {
    let Some(lab) = Lab::new().await else { return };
    let workspace = lab.path("arbeits bäume/app-1");
    std::fs::create_dir(workspace.join(".claude")).unwrap();
    std::fs::write(workspace.join(".claude/settings.json"), r#"{"permissions":{"allow":["Bash(touch:*)"]}}"#).unwrap();
    lab.git(&workspace, &["add", "--all"]);
    lab.git(&workspace, &["commit", "--quiet", "--message=settings"]);
    lab.server.script("ask", vec![Turn::bash("touch allowed"), Turn::text("Done.")]);
    let terminal = lab.launch(&marker("ask"), PermissionMode::Default).await;
    // 2.1.330 asks at its start whether the repository's permissions shall hold.
    let asks = || lab.count("PermissionRequest") == 1 || terminal.screen().contains("pre-approves");
    terminal.wait_until("a question or the end", BOUND, || asks() || lab.count("Stop") == 1).await;
    assert!(asks(), "{:?}", lab.signals());
    assert!(!workspace.join("allowed").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_permission_mode_is_accepted_and_the_one_asked_for() {
    for (mode, name) in [
        (PermissionMode::Default, "default"),
        (PermissionMode::AcceptEdits, "acceptEdits"),
        (PermissionMode::Auto, "auto"),
        (PermissionMode::Plan, "plan"),
        (PermissionMode::BypassPermissions, "bypassPermissions"),
    ] {
        let Some(lab) = Lab::new().await else { return };
        let terminal = lab.launch("hello", mode).await;
        lab.wait_for_hook(&terminal, "Stop", 1).await;
        let (_, stop) = lab.hooks().into_iter().find(|(event, _)| event == "Stop").unwrap();
        assert_eq!(stop["permission_mode"], name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_the_model_refuses_is_over() {
    let Some(lab) = Lab::new().await else { return };
    lab.server.script("refuse", vec![Turn::refusal(400)]);
    let terminal = lab.launch(&marker("refuse"), PermissionMode::Default).await;
    lab.wait_for_hook(&terminal, "StopFailure", 1).await;
    let last = lab.signals().pop();
    assert!(matches!(&last, Some(Signal::Failed { cause }) if cause.contains("scripted refusal")), "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subagent_that_the_model_refuses_fails_no_turn_of_the_agents() {
    let Some(lab) = Lab::new().await else { return };
    let input = json!({ "description": "sub", "prompt": marker("sub"), "subagent_type": "general-purpose" });
    lab.server.script("main", vec![Turn::tool("Agent", input), Turn::text("So be it.")]);
    lab.server.script("sub", vec![Turn::refusal(400)]);
    let terminal = lab.launch(&marker("main"), PermissionMode::BypassPermissions).await;
    lab.wait_for_hook(&terminal, "Stop", 1).await;
    let failures: Vec<_> = lab.hooks().into_iter().filter(|(event, _)| event == "StopFailure").collect();
    let subagent = failures.first().and_then(|(_, failure)| failure["agent_id"].as_str()).map(str::to_owned);
    assert!(failures.len() == 1 && subagent.is_some(), "{failures:?}");
    let signals = lab.signals();
    assert!(signals.contains(&Signal::Settled { subagent }), "{signals:?}");
    assert!(!signals.iter().any(|signal| matches!(signal, Signal::Failed { .. })), "{signals:?}");
    assert_eq!(signals.last(), Some(&Signal::Idle));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_auto_mode_a_safe_tool_runs_or_the_person_is_asked() {
    let Some(lab) = Lab::new().await else { return };
    lab.server.script("auto", vec![Turn::bash("touch ../beside; touch made"), Turn::text("Made.")]);
    let terminal = lab.launch(&marker("auto"), PermissionMode::Auto).await;
    let waits = || lab.signals().last() == Some(&Signal::WaitingInput);
    terminal.wait_until("the end of the turn", BOUND, || lab.count("Stop") == 1 || waits()).await;
    if waits() {
        // 2.1.330 has its actions checked by Anthropic's own servers, and says so where they are out of reach.
        terminal.wait_for_text("can't check actions", BOUND).await;
        return;
    }
    assert!(lab.path("arbeits bäume/app-1/made").exists(), "screen: {}", terminal.screen());
    assert!(lab.path("arbeits bäume/beside").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_refused_with_words_does_not_leave_it_blocked() {
    let Some(lab) = Lab::new().await else { return };
    let gate = Gate::new();
    lab.server.script("ask", vec![Turn::bash("touch forbidden"), Turn::text("As you like.").gated(&gate)]);
    let terminal = lab.launch(&marker("ask"), PermissionMode::Default).await;
    lab.wait_for_hook(&terminal, "PermissionRequest", 1).await;
    assert!(matches!(lab.signals().last(), Some(Signal::Blocked { .. })), "{:?}", lab.signals());
    terminal.wait_for_text("3. No", BOUND).await;
    // Down to the last answer, then Tab, to add words to it.
    terminal.press_until("\x1b[B", BOUND, || terminal.screen().contains("❯NoTab")).await;
    terminal.press_until("\t", BOUND, || terminal.screen().contains(",andtellClaude")).await;
    terminal.submit("do something else", BOUND).await;
    // It goes on with its turn, and the model has not answered yet.
    gate.reached(1, BOUND).await;
    terminal
        .wait_until("it is known to work", BOUND, || lab.signals().last() == Some(&Signal::Settled { subagent: None }))
        .await;
    gate.release();
    lab.wait_for_hook(&terminal, "Stop", 1).await;
    assert!(!lab.path("arbeits bäume/app-1/forbidden").exists());
}

#[tokio::test]
async fn preflight_reads_the_real_version_and_leaves_the_home_as_it_was() {
    let Some(lab) = Lab::new().await else { return };
    let listing = || {
        let mut names: Vec<_> =
            std::fs::read_dir(lab.path("home")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = listing();
    let found = lab.agent().preflight(&[]).await.unwrap();
    assert_eq!(found.program, lab.program);
    assert!(found.version.unwrap().split('.').count() == 3);
    assert_eq!(listing(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_was_never_saved_is_started_anew() {
    let Some(lab) = Lab::new().await else { return };
    let request = lab.request(Some("begin"), PermissionMode::Default);
    let unsaved = "11111111-2222-5333-8444-555555555555".parse().unwrap();
    let plan = lab.agent().prepare_resume(&request, &unsaved).await.unwrap();
    assert!(plan.notes.iter().any(|note| note.contains("never saved")), "{:?}", plan.notes);
    let terminal = lab.run(&plan);
    lab.server.wait_for_request(|request| request.has_user_text("begin"), BOUND).await;
    drop(terminal);
}
