//! Permissions, with the real Claude Code: what it asks is shown and answered, by whoever is first, and no hook stays behind.

use std::time::Duration;

use ao::adapters::cli::client::Client;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::claude_sandbox::claude_sandbox;
use crate::model_server::{Block, Gate, ModelServer, Turn, marker};
use crate::project_file::{trust, write};
use crate::sandbox::{BOUND, Sandbox, signal};
use crate::tools::{claude, has_runtime};

/// A sandbox with an agent that asks whether it may run these commands, one after the other.
pub(crate) async fn asking(commands: &[&str], runtime: &str) -> Option<(ModelServer, Sandbox)> {
    let program = claude()?;
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let turns = commands.iter().map(|command| Turn::bash(command)).chain([Turn::text("Done.")]);
    server.script("ask", turns.collect());
    spawn(&sandbox, runtime).await;
    Some((server, sandbox))
}

async fn spawn(sandbox: &Sandbox, runtime: &str) {
    sandbox.ao(&["spawn", "--runtime", runtime, &format!("Begin. {}", marker("ask"))]).await.ok();
}

/// Waits until it asks for this command; gives the id of that request.
pub(crate) async fn asked(sandbox: &Sandbox, command: &str) -> String {
    let asked = async {
        loop {
            let session = sandbox.wait_for("app-1", "status", "blocked").await;
            let request = &session["pending_request"];
            if request["input"]["command"] == command {
                return request["id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, asked).await.expect("it asks for that")
}

/// The hooks that wait for a decision.
fn hooks(sandbox: &Sandbox) -> Vec<u32> {
    let is_hook = |shown: &str| shown.ends_with(" hook claude-code PermissionRequest") && !shown.contains(" -c ");
    sandbox.processes().into_iter().filter(|(_, shown)| is_hook(shown)).map(|(pid, _)| pid).collect()
}

async fn no_hook_is_left(sandbox: &Sandbox) {
    sandbox.until("no hook waits any more", || hooks(sandbox).is_empty()).await;
}

/// Waits until it is seen that nobody waits for the answer of `app-1`, and insists that nobody is told to give one here.
async fn unheard(sandbox: &Sandbox) {
    let unheard = async {
        while sandbox.show("app-1").await["pending_request"]["unheard_since"].is_null() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(BOUND, unheard).await.expect("it is seen that nobody waits");
    assert_eq!(sandbox.show("app-1").await["status"], "blocked");
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(shown.contains("nobody waits for the answer since") && shown.contains("ao attach app-1"), "{shown}");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("see its terminal: it asked for Bash: touch asked"), "{listed}");
    assert!(!format!("{shown}{listed}").contains("ao approve") && !listed.contains("--request"), "{shown}{listed}");
    let begun = std::time::Instant::now();
    sandbox.ao(&["approve", "app-1"]).await.fails(5, &["does not wait any more", "ao attach app-1"]);
    assert!(begun.elapsed() < Duration::from_secs(4), "a hook that has left is waited for");
}

/// Presses a key in the terminal of `app-1`, which is tmux's.
async fn press(sandbox: &Sandbox, key: &str) {
    let record = std::fs::read(sandbox.session_dir("app-1").join("terminal/tmux.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let mut command = std::process::Command::new("tmux");
    command.args(["-S", record["socket"].as_str().unwrap(), "send-keys", key]).env_clear().envs(&sandbox.env);
    sandbox.run(command).await.ok();
}

/// Presses a key until something holds: a dialog that was just drawn may not listen yet.
async fn press_until(sandbox: &Sandbox, key: &str, condition: impl Fn() -> bool) {
    let press = async {
        while !condition() {
            press(sandbox, key).await;
            for _ in 0..20 {
                if !condition() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::time::timeout(BOUND, press).await.expect("the key does something");
}

pub(crate) async fn answers(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.show("app-1").await["answered_requests"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_runs_and_is_on_record() {
    let Some((_server, sandbox)) = asking(&["touch asked"], "pty").await else { return };
    let id = asked(&sandbox, "touch asked").await;
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(shown.contains("Bash {\"command\":\"touch asked\"") && shown.contains(&id), "{shown}");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("blocked"), "{listed}");
    assert!(listed.contains(&format!("wants Bash: touch asked (--request {id})")), "{listed}");
    // What is advised is about what is shown, whatever is asked by then.
    assert!(shown.contains(&format!("ao approve app-1 --request {id}, ao deny app-1 --request {id}")), "{shown}");
    assert!(!sandbox.worktree("app-1").join("asked").exists());
    sandbox
        .ao(&["approve", "app-1", "--request", "0123456789abcdef"])
        .await
        .fails(5, &["is not open", "ao show app-1"]);

    let approved = sandbox.ao(&["approve", "app-1", "--json"]).await;
    approved.ok();
    assert_eq!(approved.json()["request"]["id"], json!(id));
    assert_eq!(approved.json()["session"]["status"], "working");
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(sandbox.worktree("app-1").join("asked").exists());
    let decision = json!({ "verdict": "allow", "reason": null, "by": { "kind": "person" } });
    let answers = answers(&sandbox).await;
    assert_eq!((answers.len(), &answers[0]["decision"]), (1, &decision));
    let words = ["app-1 asks for no permission", "its activity is idle", "was allowed by a person"];
    sandbox.ao(&["approve", "app-1"]).await.fails(5, &words);
    // Who lost the answer asks again.
    sandbox.ao(&["approve", "app-1", "--request", &id]).await.ok();
    sandbox.ao(&["deny", "app-1", "--request", &id]).await.fails(5, &["it was allowed by a person"]);
    sandbox.ao(&["approve", "app-9"]).await.fails(4, &["there is no session app-9"]);
    no_hook_is_left(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_does_not_run_and_the_model_is_told_why() {
    let Some((server, sandbox)) = asking(&["touch asked", "touch more"], "pty").await else { return };
    asked(&sandbox, "touch asked").await;
    sandbox.ao(&["deny", "app-1", "--reason", ""]).await.fails(2, &["the reason is empty"]);
    sandbox.ao(&["deny", "app-1", "--reason", "use the other file"]).await.ok();
    server.wait_for_request(|request| request.tool_results() == ["use the other file"], BOUND).await;
    // It goes on, and asks for the next one.
    asked(&sandbox, "touch more").await;
    sandbox.ao(&["deny", "app-1"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;
    server.wait_for_request(|request| request.mentions("Denied by a person"), BOUND).await;
    for file in ["asked", "more"] {
        assert!(!sandbox.worktree("app-1").join(file).exists(), "{file}");
    }
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(shown.contains("Bash: touch asked: denied by a person: use the other file"), "{shown}");
    no_hook_is_left(&sandbox).await;
}

/// An agent whose dialog a person sees, and beside it waits its hook.
async fn at_its_dialog() -> Option<(ModelServer, Sandbox)> {
    if !has_runtime("tmux") {
        return None;
    }
    let (server, sandbox) = asking(&["touch asked"], "tmux").await?;
    asked(&sandbox, "touch asked").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    sandbox.until_output("app-1", "Do you want to proceed?").await;
    Some((server, sandbox))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_answers_first_in_the_terminal_wins_and_the_hook_leaves() {
    let Some((_server, sandbox)) = at_its_dialog().await else { return };
    press_until(&sandbox, "Enter", || sandbox.worktree("app-1").join("asked").exists()).await;
    sandbox.wait_for("app-1", "status", "idle").await;
    no_hook_is_left(&sandbox).await;
    sandbox.ao(&["approve", "app-1"]).await.fails(5, &["asks for no permission", "was answered in its terminal"]);
    assert_eq!(answers(&sandbox).await[0]["decision"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_that_a_person_leaves_with_esc_is_not_to_be_answered_here() {
    let Some((_server, sandbox)) = at_its_dialog().await else { return };
    assert_eq!(sandbox.show("app-1").await["pending_request"]["unheard_since"], Value::Null);
    press_until(&sandbox, "Escape", || hooks(&sandbox).is_empty()).await;
    unheard(&sandbox).await;
    let told = sandbox.ao(&["events"]).await.ok();
    assert!(told.contains("nobody waits for the answer any more"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_from_both_sides_at_once_are_one_answer() {
    /// How long the command and the key wait, in milliseconds: now one of them is there first, now the other, now both.
    const PAUSES: [(u64, u64); 10] =
        [(0, 0), (0, 0), (0, 1500), (0, 1500), (20, 0), (20, 0), (60, 0), (60, 0), (1500, 300), (1500, 300)];
    const ROUNDS: usize = PAUSES.len();
    let (Some(program), true) = (claude(), has_runtime("tmux")) else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    // A key that comes late must find no other dialog.
    let gates: Vec<Gate> = (0..=ROUNDS).map(|_| Gate::new()).collect();
    let command = |round: usize| format!("echo {round} >> ran");
    let turns = (0..ROUNDS).map(|round| Turn::bash(&command(round)).gated(&gates[round]));
    server.script("ask", turns.chain([Turn::text("Done.").gated(&gates[ROUNDS])]).collect());
    spawn(&sandbox, "tmux").await;
    let mut won = Vec::new();
    for round in 0..ROUNDS {
        gates[round].release();
        let id = asked(&sandbox, &command(round)).await;
        sandbox.until_output("app-1", &command(round)).await;
        let reason = format!("not round {round}");
        let denies = round % 2 == 1;
        let decide: Vec<&str> = if denies {
            vec!["deny", "app-1", "--request", &id, "--reason", &reason]
        } else {
            vec!["approve", "app-1", "--request", &id]
        };
        let (before_ao, before_key) = PAUSES[round];
        let (decided, ()) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_millis(before_ao)).await;
                sandbox.ao(&decide).await
            },
            async {
                tokio::time::sleep(Duration::from_millis(before_key)).await;
                press(&sandbox, "Enter").await;
            }
        );
        assert!([0, 5].contains(&decided.code), "{decided:#?}");
        gates[round + 1].reached(1, BOUND).await;
        let told = server.turns().iter().any(|request| request.tool_results().contains(&reason));
        let ran = std::fs::read_to_string(sandbox.worktree("app-1").join("ran")).unwrap_or_default();
        let times = ran.lines().filter(|line| *line == round.to_string()).count();
        assert_eq!(times, usize::from(!told), "round {round}: {ran:?} {decided:#?}");
        assert!(denies || times == 1, "round {round}");
        assert!(!told || decided.code == 0, "{decided:#?}");
        // The record has what happened.
        let answer = answers(&sandbox).await.pop().unwrap();
        assert_eq!(answer["about"], command(round));
        assert_eq!(answer["decision"].is_null(), decided.code == 5, "round {round}: {answer:#}");
        assert_eq!(answer["is_overruled"], denies && decided.code == 0 && times == 1, "round {round}: {answer:#}");
        won.push(if told {
            "ao"
        } else if denies || decided.code == 5 {
            "terminal"
        } else {
            "either"
        });
    }
    assert!(won.contains(&"ao") && won.contains(&"terminal"), "{won:?}");
    gates[ROUNDS].release();
    sandbox.wait_for("app-1", "status", "idle").await;
    no_hook_is_left(&sandbox).await;
    assert_eq!(answers(&sandbox).await.len(), ROUNDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_a_decision_outlive_the_daemon() {
    let Some((_server, sandbox)) = asking(&["touch one", "touch two"], "pty").await else { return };
    asked(&sandbox, "touch one").await;
    sandbox.ao(&["stop"]).await.ok();
    sandbox.ao(&["approve", "app-1"]).await.fails(3, &["no daemon answers", "ao start"]);
    sandbox.ao(&["start"]).await.ok();
    sandbox.ao(&["approve", "app-1"]).await.ok();

    let id = asked(&sandbox, "touch two").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    let hook = hooks(&sandbox)[0];
    // It is not there to take the answer, and then nobody is there to give it.
    signal(hook, Signal::STOP);
    sandbox.ao(&["approve", "app-1", "--request", &id]).await.ok();
    let daemon = sandbox.daemon_pid().await;
    signal(daemon, Signal::KILL);
    sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
    assert!(!sandbox.worktree("app-1").join("two").exists());
    sandbox.ao(&["start"]).await.ok();
    assert_eq!(answers(&sandbox).await[1]["decision"]["verdict"], "allow");
    signal(hook, Signal::CONT);
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(["one", "two"].iter().all(|file| sandbox.worktree("app-1").join(file).exists()));
    no_hook_is_left(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_and_its_hook_did_not_live_to_tell_is_asked_still() {
    let Some((_server, sandbox)) = asking(&["touch asked"], "pty").await else { return };
    let id = asked(&sandbox, "touch asked").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    let hook = hooks(&sandbox)[0];
    // The daemon answers it, and it prints nothing. (That the answer lies in its socket nothing else tells.)
    signal(hook, Signal::STOP);
    sandbox.ao(&["approve", "app-1", "--request", &id]).await.ok();
    tokio::time::sleep(Duration::from_secs(1)).await;
    signal(hook, Signal::KILL);
    no_hook_is_left(&sandbox).await;
    assert_eq!(asked(&sandbox, "touch asked").await, id);
    assert_eq!(answers(&sandbox).await, Vec::<Value>::new());
    unheard(&sandbox).await;
    assert!(!sandbox.worktree("app-1").join("asked").exists());
}

/// What an agent's hook of an older ao does: it fetches the decision, prints it, and says nothing of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_says_nothing_of_what_it_told_has_told_it() {
    let Some((_server, sandbox)) = asking(&["touch asked"], "pty").await else { return };
    let id = asked(&sandbox, "touch asked").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    let hook = hooks(&sandbox)[0];
    signal(hook, Signal::STOP);
    let since = sandbox.show("app-1").await["pending_request"]["since"].as_str().unwrap().to_owned();
    sandbox.ao(&["approve", "app-1", "--request", &id]).await.ok();
    let daemon = Client::new(&sandbox.path("data/run/daemon.sock"));
    let path = format!("/sessions/app-1/requests/{id}?asked_at={since}");
    assert_eq!(daemon.get::<Value>(&path).await.unwrap()["state"], "decided");
    signal(hook, Signal::KILL);
    no_hook_is_left(&sandbox).await;
    // Longer than a hook may take to say so.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(sandbox.show("app-1").await["status"], "working");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_of_what_was_answered_in_the_terminal_leave_also_while_no_daemon_runs() {
    if !has_runtime("tmux") {
        return;
    }
    let Some((_server, sandbox)) = asking(&["touch one", "touch two"], "tmux").await else { return };
    asked(&sandbox, "touch one").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    let first = hooks(&sandbox)[0];
    sandbox.until_output("app-1", "Do you want to proceed?").await;
    sandbox.ao(&["stop"]).await.ok();
    let has = |file: &str| sandbox.worktree("app-1").join(file).exists();
    press_until(&sandbox, "Enter", || has("one")).await;
    sandbox.until("the first hook has left", || !hooks(&sandbox).contains(&first)).await;
    press_until(&sandbox, "Enter", || has("two")).await;
    no_hook_is_left(&sandbox).await;
    sandbox.ao(&["start"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(answers(&sandbox).await.iter().all(|answer| answer["decision"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subagent_in_the_background_asks_while_no_daemon_runs_is_answered_in_its_terminal() {
    let (Some(program), true) = (claude(), has_runtime("tmux")) else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = Gate::new();
    let input = json!({ "description": "sub", "prompt": marker("sub"), "subagent_type": "general-purpose",
                        "run_in_background": true });
    let begins = Turn::of(vec![Block::ToolUse { name: "Agent".into(), input }]);
    server.script("ask", vec![begins, Turn::text("Begun."), Turn::text("Told.")]);
    server.script("sub", vec![Turn::bash("touch asked").gated(&gate), Turn::text("Sub done.")]);
    spawn(&sandbox, "tmux").await;
    gate.reached(1, BOUND).await;
    sandbox.ao(&["stop"]).await.ok();
    gate.release();
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    no_hook_is_left(&sandbox).await;
    press_until(&sandbox, "Enter", || sandbox.worktree("app-1").join("asked").exists()).await;
    sandbox.ao(&["start"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;
    assert_eq!(answers(&sandbox).await[0]["decision"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_while_no_daemon_runs_is_decided_when_one_is_back() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = Gate::new();
    server.script("ask", vec![Turn::bash("touch asked").gated(&gate), Turn::text("Done.")]);
    spawn(&sandbox, "pty").await;
    gate.reached(1, BOUND).await;
    sandbox.ao(&["stop"]).await.ok();
    gate.release();
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    sandbox.ao(&["start"]).await.ok();
    asked(&sandbox, "touch asked").await;
    sandbox.ao(&["approve", "app-1"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(sandbox.worktree("app-1").join("asked").exists());
    no_hook_is_left(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_leaves_with_its_agent_and_without_a_hook_nothing_is_decided() {
    let Some((_server, sandbox)) = asking(&["touch asked"], "pty").await else { return };
    asked(&sandbox, "touch asked").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    // Also while nobody could tell it.
    let agent = u32::try_from(sandbox.show("app-1").await["pid"].as_u64().unwrap()).unwrap();
    sandbox.ao(&["stop"]).await.ok();
    signal(agent, Signal::KILL);
    no_hook_is_left(&sandbox).await;
    sandbox.ao(&["start"]).await.ok();
    sandbox.wait_for("app-1", "activity", "exited").await;
    sandbox.ao(&["approve", "app-1"]).await.fails(5, &["app-1 asks for no permission", "it is over"]);

    spawn(&sandbox, "pty").await;
    sandbox.wait_for("app-2", "status", "blocked").await;
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    signal(hooks(&sandbox)[0], Signal::KILL);
    no_hook_is_left(&sandbox).await;
    sandbox.ao(&["approve", "app-2"]).await.fails(5, &["does not wait any more", "answer in its terminal"]);
    assert_eq!(sandbox.show("app-2").await["status"], "blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn subagents_that_ask_at_the_same_time_are_answered_each_for_itself() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let agent = |script: &str| {
        let input = json!({ "description": "sub", "prompt": marker(script), "subagent_type": "general-purpose" });
        Block::ToolUse { name: "Agent".into(), input }
    };
    server.script("ask", vec![Turn::of(vec![agent("sub-a"), agent("sub-b")])]);
    for name in ["a", "b"] {
        server.script(&format!("sub-{name}"), vec![Turn::bash(&format!("touch {name}")), Turn::text("Sub done.")]);
    }
    spawn(&sandbox, "pty").await;
    let first = loop {
        let session = sandbox.wait_for("app-1", "status", "blocked").await;
        if !session["other_requests"].as_array().unwrap().is_empty() {
            let shown = sandbox.ao(&["show", "app-1"]).await.ok();
            for request in [&session["pending_request"], &session["other_requests"][0]] {
                let (command, id) = (&request["input"]["command"], request["id"].as_str().unwrap());
                assert!(shown.contains(&format!("Bash {{\"command\":{command}")), "{shown}");
                assert!(shown.contains(&format!("ao approve app-1 --request {id}")), "{shown}");
            }
            break session["pending_request"]["input"]["command"].as_str().unwrap().to_owned();
        }
    };
    let second = if first == "touch a" { "touch b" } else { "touch a" };
    sandbox.ao(&["approve", "app-1"]).await.ok();
    let made = |command: &str| sandbox.worktree("app-1").join(command.trim_start_matches("touch ")).exists();
    sandbox.until("the first one ran", || made(&first)).await;
    asked(&sandbox, second).await;
    assert!(!made(second));
    sandbox.ao(&["deny", "app-1", "--reason", "not the second one"]).await.ok();
    server.wait_for_request(|request| request.mentions("not the second one"), BOUND).await;
    no_hook_is_left(&sandbox).await;
    assert!(!made(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_a_person_accepted_decide_and_are_named() {
    const RULES: &str =
        "[[rules]]\ntool = 'Bash'\ninput = 'touch secret*'\ndecide = 'deny'\nreason = 'secrets are not touched'\n
[[rules]]\ntool = 'Bash'\ninput = 'touch *'\ndecide = 'allow'\n";
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = Gate::new();
    let commands = ["touch made", "touch other; touch secret", "touch more; rm made", "mkdir asked"];
    let turns = commands.iter().map(|command| Turn::bash(command).gated(&gate)).chain([Turn::text("Done.")]);
    server.script("ask", turns.collect());
    write(&sandbox, RULES);
    let prompt = format!("Begin. {}", marker("ask"));
    sandbox.ao(&["spawn", "--runtime", "pty", &prompt]).await.fails(5, &["nobody has accepted it"]);
    let shown = sandbox.ao(&["project", "trust"]).await.fails(5, &["rule      deny Bash: touch secret*"]);
    assert!(shown.stderr.contains("rule      allow Bash: touch *"), "{shown:#?}");
    trust(&sandbox).await;
    spawn(&sandbox, "pty").await;
    // What the file says later, accepted or not, is nothing to an agent that runs.
    gate.reached(1, BOUND).await;
    write(&sandbox, "[[rules]]\ntool = '*'\ndecide = 'allow'\n");
    gate.release();
    for (command, is_made) in [("touch more; rm made", true), ("mkdir asked", true)] {
        asked(&sandbox, command).await;
        assert_eq!(sandbox.worktree("app-1").join("made").exists(), is_made);
        sandbox.ao(&["deny", "app-1"]).await.ok();
    }
    sandbox.wait_for("app-1", "status", "idle").await;
    server.wait_for_request(|request| request.mentions("secrets are not touched"), BOUND).await;
    assert!(!sandbox.worktree("app-1").join("other").exists());
    let answers = answers(&sandbox).await;
    let told: Vec<_> =
        answers.iter().map(|answer| (&answer["decision"]["verdict"], &answer["decision"]["by"])).collect();
    let rule = |number: u32, input: &str, decide: &str, reason: Value| {
        json!({ "kind": "rule", "number": number,
                "rule": { "tool": "Bash", "input": input, "decide": decide, "reason": reason } })
    };
    assert_eq!(told[0], (&json!("allow"), &rule(2, "touch *", "allow", Value::Null)));
    assert_eq!(told[1], (&json!("deny"), &rule(1, "touch secret*", "deny", json!("secrets are not touched"))));
    let person = json!({ "kind": "person" });
    assert_eq!(told[2..], [(&json!("deny"), &person), (&json!("deny"), &person)]);
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    let rule = "denied by rule 1 of ao.toml (deny Bash: touch secret*): secrets are not touched";
    assert!(shown.contains(rule), "{shown}");
    no_hook_is_left(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_decides_nothing_unless_it_coordinates() {
    let Some((_server, sandbox)) = asking(&["touch asked"], "pty").await else { return };
    asked(&sandbox, "touch asked").await;
    let script = "\"$AO_PROGRAM\" approve app-1; echo \"said $?\"; sleep 600";
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", script]).await.ok();
    sandbox.until_output("app-2", "said 5").await;
    let said = sandbox.ao(&["output", "app-2"]).await.ok();
    assert!(said.contains("is not for app-2 to decide"), "{said}");
    assert_eq!(sandbox.show("app-1").await["status"], "blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_decides_for_its_workers_and_for_nobody_else() {
    let Some((server, sandbox)) = asking(&["touch asked"], "pty").await else { return };
    asked(&sandbox, "touch asked").await;
    let decide = |session: &str| format!("\"$AO_PROGRAM\" approve {session}; echo \"said $?\"; sleep 600");
    let lead = |script: &str| {
        let args =
            ["spawn", "--kind", "orchestrator", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", script];
        args.map(str::to_owned)
    };
    let run = |args: [String; 11]| {
        let sandbox = &sandbox;
        async move { sandbox.ao(&args.each_ref().map(String::as_str)).await.ok() }
    };
    run(lead(&decide("app-1"))).await;
    sandbox.until_output("app-2", "said 0").await;
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(sandbox.worktree("app-1").join("asked").exists());
    assert_eq!(answers(&sandbox).await[0]["decision"]["by"], json!({ "kind": "session", "session": "app-2" }));
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(shown.contains("allowed by app-2"), "{shown}");

    // It is no other orchestrator's to decide what one asks.
    let prompt = format!("Begin. {}", marker("ask"));
    server.script("ask", vec![Turn::bash("touch mine"), Turn::text("Done.")]);
    sandbox.ao(&["spawn", "--kind", "orchestrator", "--runtime", "pty", &prompt]).await.ok();
    sandbox.wait_for("app-3", "status", "blocked").await;
    run(lead(&decide("app-3"))).await;
    sandbox.until_output("app-4", "said 5").await;
    assert_eq!(sandbox.show("app-3").await["status"], "blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_not_decide_what_it_asks_itself() {
    /// Also an orchestrator's: its tools and commands are those of a person's, and it must not use them for itself.
    const ASKS_ITSELF: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }
report() { printf '{"session_id":"x","tool_name":"Bash","tool_input":{"command":"ls"}}' | "$AO_PROGRAM" hook claude-code "$1"; }
me=$AO_SESSION_ID
report SessionStart
report PermissionRequest &
until "$AO_PROGRAM" show "$me" | grep -q blocked; do sleep 0.1; done
"$AO_PROGRAM" approve "$me"; echo "said $?"
# One that has left its family.
(setsid sh -c '"$AO_PROGRAM" approve '"$me"'; echo "then said $?"' &)
request=$("$AO_PROGRAM" show "$me" | sed -n 's/^request *\([0-9a-f]*\),.*/\1/p')
for tool in approve deny; do
  { printf '%s\n' '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}' '{"jsonrpc":"2.0","method":"notifications/initialized"}'
    printf '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"%s","arguments":{"session":"%s","request":"%s"}}}\n' "$tool" "$me" "$request"
  } | "$AO_PROGRAM" mcp | grep -q "is not for $me to decide"; echo "tool $tool said $?"
done
sleep 600
"#;
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", ASKS_ITSELF);
    for (session, kind) in [("app-1", "worker"), ("app-2", "orchestrator")] {
        sandbox.ao(&["spawn", "--kind", kind, "--runtime", "pty", "--wait", "none", "task"]).await.ok();
        for said in ["said 5", "then said 5", "tool approve said 0", "tool deny said 0"] {
            sandbox.until_output(session, said).await;
        }
        let said = sandbox.ao(&["output", session]).await.ok();
        assert!(said.contains(&format!("is not for {session} to decide")), "{said}");
        assert_eq!(sandbox.show(session).await["status"], "blocked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_that_came_after_the_terminals_answer_is_not_taken_for_one() {
    let command = "touch begun; until [ -e go ]; do sleep 0.1; done; touch ended";
    if !has_runtime("tmux") {
        return;
    }
    let Some((_server, sandbox)) = asking(&[command], "tmux").await else { return };
    asked(&sandbox, command).await;
    sandbox.until_output("app-1", "Do you want to proceed?").await;
    let has = |file: &str| sandbox.worktree("app-1").join(file).exists();
    press_until(&sandbox, "Enter", || has("begun")).await;
    // Nothing tells that it runs.
    sandbox.ao(&["deny", "app-1", "--reason", "not that"]).await.ok();
    std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(has("ended"));
    assert_eq!(answers(&sandbox).await[0]["is_overruled"], true);
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(
        shown.contains("denied by a person: not that; but it had been allowed in its terminal, and ran"),
        "{shown}"
    );
    no_hook_is_left(&sandbox).await;
}

const ALLOWS_TOUCH: &str = "[[rules]]\ntool = 'Bash'\ninput = 'touch *'\ndecide = 'allow'\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_speaks_about_is_decided_also_when_it_was_asked_while_no_daemon_ran() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = Gate::new();
    server.script("ask", vec![Turn::bash("touch asked").gated(&gate), Turn::text("Done.")]);
    write(&sandbox, ALLOWS_TOUCH);
    trust(&sandbox).await;
    spawn(&sandbox, "pty").await;
    gate.reached(1, BOUND).await;
    sandbox.ao(&["stop"]).await.ok();
    gate.release();
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    assert!(!sandbox.worktree("app-1").join("asked").exists());
    sandbox.ao(&["start"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(sandbox.worktree("app-1").join("asked").exists());
    assert_eq!(answers(&sandbox).await[0]["decision"]["by"]["kind"], "rule");
    no_hook_is_left(&sandbox).await;
}

/// An agent that begins, and does nothing.
const REPORTS: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }
printf '{"session_id":"x"}' | "$AO_PROGRAM" hook claude-code SessionStart
exec sleep 600
"#;

/// Reports that the agent of `app-1` asks for this command, as a hook does that is killed when it has reported.
async fn report_of_a_killed_hook(daemon: &Client, command: &str) {
    let payload = json!({ "session_id": "x", "tool_name": "Bash", "tool_input": { "command": command } });
    let report = json!({ "session": "app-1", "agent": "claude-code", "event": "PermissionRequest",
                         "at": jiff::Timestamp::now(), "payload": payload });
    daemon.post::<Value>("/reports", &report).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_that_was_away_for_long_waits_for_can_be_answered_again() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", REPORTS);
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    let daemon = Client::new(&sandbox.path("data/run/daemon.sock"));
    report_of_a_killed_hook(&daemon, "touch asked").await;
    unheard(&sandbox).await;
    let asked = sandbox.show("app-1").await["pending_request"].clone();
    let (id, since) = (asked["id"].as_str().unwrap(), asked["since"].as_str().unwrap());
    let path = format!("/sessions/app-1/requests/{id}?asked_at={since}&timeout_ms=30000&confirms=true");
    let (told, ()) = tokio::join!(daemon.get::<Value>(&path), async {
        let started = std::time::Instant::now();
        while !sandbox.show("app-1").await["pending_request"]["unheard_since"].is_null() {
            assert!(started.elapsed() < BOUND, "it is not seen that somebody waits");
        }
        sandbox.ao(&["approve", "app-1", "--request", id]).await.ok();
    });
    assert_eq!(told.unwrap()["decision"]["verdict"], "allow");
    assert_eq!(sandbox.show("app-1").await["status"], "working");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_decided_and_no_hook_heard_is_asked_still() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", REPORTS);
    write(&sandbox, ALLOWS_TOUCH);
    trust(&sandbox).await;
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    let daemon = Client::new(&sandbox.path("data/run/daemon.sock"));
    report_of_a_killed_hook(&daemon, "touch asked").await;
    assert_eq!(answers(&sandbox).await[0]["decision"]["by"]["kind"], "rule");
    sandbox.wait_for("app-1", "status", "blocked").await;
    assert_eq!(answers(&sandbox).await, Vec::<Value>::new());
    sandbox.ao(&["approve", "app-1"]).await.fails(5, &["does not wait any more"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subagent_in_the_background_asks_is_answered_here_and_on_its_terminal_when_the_hook_has_left() {
    let (Some(program), true) = (claude(), has_runtime("tmux")) else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let input = json!({ "description": "sub", "prompt": marker("sub"), "subagent_type": "general-purpose",
                        "run_in_background": true });
    let begins = Turn::of(vec![Block::ToolUse { name: "Agent".into(), input }]);
    server.script("ask", vec![begins, Turn::text("Begun."), Turn::text("Told.")]);
    server.script("sub", vec![Turn::bash("touch one"), Turn::bash("touch two"), Turn::text("Sub done.")]);
    spawn(&sandbox, "tmux").await;
    asked(&sandbox, "touch one").await;
    // What a message to the agent begins is no answer to its subagent.
    sandbox.until("its turn is over", || !sandbox.worktree("app-1").join(".ao/turn").exists()).await;
    let sent = sandbox.ao(&["send", "app-1", "--wait", "--json", "MSG-meanwhile"]).await;
    assert_eq!(sent.json()["via"], "wake", "{sent:?}");
    asked(&sandbox, "touch one").await;
    sandbox.ao(&["approve", "app-1"]).await.ok();
    asked(&sandbox, "touch two").await;
    assert!(sandbox.worktree("app-1").join("one").exists());
    // Until its hook has left, Claude Code shows no dialog for such a one.
    let waiting = sandbox.ao(&["output", "app-1"]).await.ok();
    assert!(!waiting.contains("touch two"), "{waiting}");
    sandbox.until("its hook waits", || hooks(&sandbox).len() == 1).await;
    signal(hooks(&sandbox)[0], Signal::TERM);
    sandbox.until_output("app-1", "Do you want to proceed?").await;
    press_until(&sandbox, "Enter", || sandbox.worktree("app-1").join("two").exists()).await;
    sandbox.wait_for("app-1", "status", "idle").await;
    assert_eq!(answers(&sandbox).await[1]["decision"], Value::Null);
    no_hook_is_left(&sandbox).await;
}
