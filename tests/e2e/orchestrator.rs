//! Sessions that coordinate, with the real Claude Code: what an orchestrator is taught and told, and that agents cannot keep each other busy for ever.

use serde_json::Value;

use crate::claude::claude_sandbox;
use crate::model_server::{ModelServer, Turn, marker};
use crate::sandbox::{BOUND, Sandbox};
use crate::senders::IDLES;
use crate::tools::claude;

async fn spawn(sandbox: &Sandbox, kind: &str, script: &str) -> String {
    let prompt = format!("Begin. {}", marker(script));
    let args = [
        "spawn",
        "--runtime",
        "pty",
        "--permission-mode",
        "bypass-permissions",
        "--kind",
        kind,
        "--wait",
        "none",
        &prompt,
    ];
    sandbox.ao(&args).await.ok()
}

async fn messages(sandbox: &Sandbox, session: &str) -> Vec<Value> {
    let run = sandbox.ao(&["messages", session, "--json"]).await;
    run.ok();
    run.json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_is_told_of_its_workers_end_and_reacts() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let send = "\"$AO_PROGRAM\" send app-2 'Well done.'";
    server.script("boss", vec![Turn::text("I wait."), Turn::bash(send), Turn::text("It knows."), Turn::text("I see.")]);
    let commit = "echo made > result && git add result && git commit --quiet --message=work";
    server.script("work", vec![Turn::bash(commit), Turn::text("Committed."), Turn::text("Thank you.")]);
    assert_eq!(spawn(&sandbox, "orchestrator", "boss").await, "app-1");
    sandbox.wait_for("app-1", "status", "idle").await;
    let first = server.wait_for_request(|request| request.is_turn() && request.mentions(&marker("boss")), BOUND).await;
    for taught in ["You are session app-1 of ao", "- ao spawn", "- ao send", "[from ao]"] {
        assert!(first.system().contains(taught), "{taught:?} is not in {}", first.system());
    }

    spawn(&sandbox, "worker", "work").await;
    let work = server.wait_for_request(|request| request.is_turn() && request.mentions(&marker("work")), BOUND).await;
    assert!(work.system().contains("Session app-1 coordinates the project"), "{}", work.system());
    let told =
        server.wait_for_request(|request| request.mentions("[from ao]\nNews of your workers, as of "), BOUND).await;
    assert!(told.mentions("sent to you through ao by ao itself"), "{:?}", told.told());
    assert!(told.mentions("app-2 is idle, with 1 commit on ao/app-2"), "{:?}", told.told());
    let answer = server
        .wait_for_request(|request| request.mentions("Well done.") && request.mentions(&marker("work")), BOUND)
        .await;
    assert!(answer.mentions("[from app-1]"), "{:?}", answer.told());

    // Its turn after that is news again, and so is its end.
    sandbox.ao(&["kill", "app-2"]).await.ok();
    server.wait_for_request(|request| request.mentions("app-2 was killed"), BOUND).await;
    let news = messages(&sandbox, "app-1").await;
    assert!(news.iter().all(|message| message["from"] == "ao"), "{news:#?}");
    let idle = news.iter().filter(|message| message["body"].as_str().unwrap().contains("app-2 is idle")).count();
    assert!(idle <= 2, "one turn was told more than once: {news:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_is_told_of_a_worker_that_asks_and_may_allow_it() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let approve = "\"$AO_PROGRAM\" approve app-2 && echo it may";
    server.script("boss", vec![Turn::text("I wait."), Turn::bash(approve), Turn::text("I see."), Turn::text("I see.")]);
    server.script("asks", vec![Turn::bash("touch made"), Turn::text("Made.")]);
    spawn(&sandbox, "orchestrator", "boss").await;
    sandbox.wait_for("app-1", "status", "idle").await;
    let prompt = format!("Begin. {}", marker("asks"));
    sandbox.ao(&["spawn", "--runtime", "pty", "--wait", "none", &prompt]).await.ok();
    let told =
        server.wait_for_request(|request| request.mentions("- app-2 waits for a permission (request "), BOUND).await;
    assert!(told.mentions(&marker("boss")) && told.mentions("Bash: touch made"), "{:?}", told.told());
    let decided = server.wait_for_request(|request| request.mentions("it may"), BOUND).await;
    assert!(decided.mentions(&marker("boss")), "{:?}", decided.told());
    sandbox.wait_for("app-2", "status", "idle").await;
    assert!(sandbox.worktree("app-2").join("made").exists());
    server.wait_for_request(|request| request.mentions("- app-2 is idle"), BOUND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_several_workers_that_pile_up_are_one_message_and_survive_the_daemon() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = crate::model_server::Gate::new();
    server.script("boss", vec![Turn::text("I wait.").gated(&gate), Turn::text("I see."), Turn::text("I see.")]);
    spawn(&sandbox, "orchestrator", "boss").await;
    gate.reached(1, BOUND).await;
    // While it is in a turn: the first news wait, and what follows waits with its worker.
    let end = |code: &'static str| {
        ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "sh", "-c", code]
    };
    sandbox.ao(&end("sleep 1; exit 3")).await.fails(1, &["app-2"]);
    let started = std::time::Instant::now();
    while messages(&sandbox, "app-1").await.is_empty() {
        assert!(started.elapsed() < BOUND, "it is not told of the first");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // What others say meanwhile changes nothing.
    sandbox.ao(&["send", "app-1", "Go on."]).await.ok();
    for _ in 0..3 {
        sandbox.ao(&end("sleep 1; exit 4")).await.fails(1, &["exit code 4"]);
    }
    let daemon = sandbox.daemon_pid().await;
    crate::sandbox::signal(daemon, rustix::process::Signal::KILL);
    sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
    sandbox.ao(&["start"]).await.ok();
    gate.release();
    let all = ["app-2", "app-3", "app-4", "app-5"].map(|id| format!("- {id} failed"));
    server.wait_for_request(|request| all.iter().all(|line| request.mentions(line)), BOUND).await;
    let mut news = messages(&sandbox, "app-1").await;
    news.retain(|message| message["from"] == "ao");
    assert_eq!(news.len(), 2, "{news:#?}");
    for line in all {
        let told = news.iter().filter(|message| message["body"].as_str().unwrap().contains(&line)).count();
        assert_eq!(told, 1, "{line}: {news:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_answer_each_other_are_stopped_with_a_reason() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    // Each answers whatever it is told.
    let answering = |other: &str, first: Turn| {
        let send = Turn::bash(&format!("\"$AO_PROGRAM\" send {other} again 2>&1"));
        let answers = [send, Turn::text("Sent.")].into_iter().cycle().take(100);
        std::iter::once(first).chain(answers).collect::<Vec<Turn>>()
    };
    server.script("one", answering("app-2", Turn::text("Ready.")));
    server.script("two", answering("app-1", Turn::text("Ready.")));
    spawn(&sandbox, "worker", "one").await;
    spawn(&sandbox, "worker", "two").await;
    sandbox.wait_for("app-1", "status", "idle").await;
    sandbox.wait_for("app-2", "status", "idle").await;
    sandbox.ao(&["send", "app-1", "Begin."]).await.ok();
    let reason = "have sent each other 50 messages without a word of a person";
    let stopped = server.wait_for_request(|request| request.mentions(reason), BOUND).await;
    assert!(stopped.mentions("a person's message to either ends that"), "{:?}", stopped.tool_results());
    let between = [messages(&sandbox, "app-1").await, messages(&sandbox, "app-2").await].concat();
    let between = between.iter().filter(|message| message["from"] != Value::Null).count();
    assert_eq!(between, 50);
}

#[cfg(feature = "fault-points")]
#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_is_told_of_a_worker_that_never_reports() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let mut sandbox = claude_sandbox(&server, &program);
    server.script("boss", vec![Turn::text("I wait."), Turn::text("I see.")]);
    // One that only asks something.
    sandbox.install("asks", "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\necho 'Do you trust it?'\nexec sleep 600\n");
    let config = sandbox.path("home/.config/ao");
    std::fs::create_dir_all(&config).unwrap();
    let asks = sandbox.path("bin/asks");
    std::fs::write(
        config.join("config.toml"),
        format!("[agents.asks]\nkind = \"claude-code\"\nprogram = \"{}\"\n", asks.display()),
    )
    .unwrap();
    let faults = sandbox.path("faults");
    std::fs::create_dir(&faults).unwrap();
    sandbox.env.insert("AO_FAULT_DIR".into(), faults.to_str().unwrap().into());
    spawn(&sandbox, "orchestrator", "boss").await;
    sandbox.wait_for("app-1", "status", "idle").await;
    sandbox.ao(&["spawn", "--agent", "asks", "--runtime", "pty", "--wait", "none", "task"]).await.ok();
    sandbox.until_output("app-2", "Do you trust it?").await;
    sandbox.wait_for("app-2", "status", "starting").await;
    assert_eq!(messages(&sandbox, "app-1").await.len(), 0);
    // Ninety seconds later. Nothing else happens, so nothing is put on record.
    std::fs::write(faults.join("clock"), "100000").unwrap();
    let told = server.wait_for_request(|request| request.mentions("app-2 runs, and has not reported"), BOUND).await;
    assert!(told.mentions("ao show app-2"), "{:?}", told.told());
    assert_eq!(messages(&sandbox, "app-1").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_sends_another_too_many_messages_is_stopped_whoever_it_says_it_is() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", IDLES);
    for _ in 0..2 {
        sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    }
    let send = |script: &str| {
        let script = format!(
            "send() {{ \"$AO_PROGRAM\" send \"$1\" \"$2\" > sent || echo \"refused $?: $2\"; }}; {script}; echo over; sleep 600"
        );
        let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", &script];
        sandbox.command(&args)
    };
    let script = "i=0; while [ $((i=i+1)) -le 30 ]; do send app-1 $i; done; until [ -e go ]; do sleep 0.1; done; \
        send app-1 more; AO_SESSION_ID=app-4 send app-1 disguised; (setsid sh -c '\"$AO_PROGRAM\" send app-1 x || echo \"then refused $?\"'); \
        send app-2 another";
    sandbox.run(send(script)).await.ok();
    let started = std::time::Instant::now();
    while messages(&sandbox, "app-1").await.len() < 30 {
        assert!(started.elapsed() < BOUND, "{:#?}", sandbox.ao(&["output", "app-3"]).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // What was sent is on record, and so are the bounds.
    let daemon = sandbox.daemon_pid().await;
    crate::sandbox::signal(daemon, rustix::process::Signal::KILL);
    sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
    sandbox.ao(&["start"]).await.ok();
    std::fs::write(sandbox.worktree("app-3").join("go"), "").unwrap();
    sandbox.until_output("app-3", "over").await;
    let said = sandbox.ao(&["output", "app-3"]).await.ok();
    for refused in ["refused 5: more", "refused 5: disguised", "then refused 5"] {
        assert!(said.contains(refused), "{refused}: {said}");
    }
    assert!(said.contains("app-3 has sent app-1 30 messages within 10 minutes"), "{said}");
    assert!(!said.contains("another"), "that is another pair: {said}");
    // Neither are others, nor people.
    sandbox.run(send("send app-1 other")).await.ok();
    sandbox.until_output("app-4", "over").await;
    sandbox.ao(&["send", "app-1", "a person"]).await.ok();
    let taken = messages(&sandbox, "app-1").await;
    let from = |session: Value| taken.iter().filter(|message| message["from"] == session).count();
    assert_eq!(["app-3", "app-4"].map(|session| from(session.into())), [30, 1], "{taken:#?}");
    assert_eq!((from(Value::Null), messages(&sandbox, "app-2").await.len()), (1, 1));
}
