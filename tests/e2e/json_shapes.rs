//! What every `--json` gives: keys and types, as programs rely on them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::project_file;
use crate::sandbox::{BOUND, Run, Sandbox};
use crate::snapshots;
use crate::wait::{OBEDIENT, tell};

/// A program that is typed to when it asks.
const ASKS: &str = r#"[agents.asks]
kind = "command"
command = ["sh", "-c", "printf 'ask> '; while read -r line; do printf 'ask> '; done"]
prompt = "ask>"
"#;

/// What there was in one place of all the values seen.
#[derive(Debug, Default)]
struct Shape {
    plain: BTreeSet<&'static str>,
    items: Option<Box<Shape>>,
    objects: usize,
    /// The fields of the objects, and how many had each.
    fields: BTreeMap<String, (usize, Shape)>,
}

impl Shape {
    fn take_in(&mut self, value: &Value) {
        match value {
            Value::Null => _ = self.plain.insert("null"),
            Value::Bool(_) => _ = self.plain.insert("boolean"),
            Value::Number(_) => _ = self.plain.insert("number"),
            Value::String(_) => _ = self.plain.insert("string"),
            Value::Array(values) => {
                let items = self.items.get_or_insert_default();
                for value in values {
                    items.take_in(value);
                }
            }
            Value::Object(fields) => {
                self.objects += 1;
                for (name, value) in fields {
                    let (count, shape) = self.fields.entry(name.clone()).or_default();
                    *count += 1;
                    shape.take_in(value);
                }
            }
        }
    }

    /// As text; a key that not every object has is followed by `?`.
    fn show(&self, indent: &str) -> String {
        let mut alternatives: Vec<String> = self.plain.iter().map(|&plain| plain.to_owned()).collect();
        alternatives.extend(self.items.iter().map(|items| format!("[{}]", items.show(indent))));
        if self.objects > 0 {
            let inner = format!("{indent}  ");
            let field = |(name, (count, shape)): (&String, &(usize, Shape))| {
                let mark = if *count < self.objects { "?" } else { "" };
                format!("{inner}{name}{mark}: {}\n", shape.show(&inner))
            };
            alternatives.push(format!("{{\n{}{indent}}}", self.fields.iter().map(field).collect::<String>()));
        }
        alternatives.join(" | ")
    }
}

/// Runs commands with `--json`, and keeps what shape their answers have.
struct Sampler {
    sandbox: Sandbox,
    shapes: BTreeMap<String, Shape>,
}

impl Sampler {
    /// Runs a command of one word or two, which succeeds.
    async fn ok(&mut self, command: &str, args: &[&str]) -> Vec<Value> {
        let run = self.run(command, args).await;
        run.ok();
        self.keep(command, &run)
    }

    async fn run(&self, command: &str, args: &[&str]) -> Run {
        let words: Vec<&str> = command.split(' ').chain(["--json"]).chain(args.iter().copied()).collect();
        self.sandbox.ao(&words).await
    }

    fn keep(&mut self, command: &str, run: &Run) -> Vec<Value> {
        // Some give a value a line.
        let values = serde_json::Deserializer::from_str(&run.stdout).into_iter::<Value>();
        let values: Vec<Value> =
            values.map(|value| value.unwrap_or_else(|error| panic!("{error}: {run:#?}"))).collect();
        assert!(!values.is_empty(), "{run:#?}");
        let shape = self.shapes.entry(command.to_owned()).or_default();
        for value in &values {
            shape.take_in(value);
        }
        values
    }

    /// Spawns a shell script without hooks; gives its session.
    async fn spawn(&mut self, wait: &str, script: &str) -> String {
        let args = ["--agent", "command", "--runtime", "pty", "--wait", wait, "--", "sh", "-c", script];
        self.ok("spawn", &args).await[0]["id"].as_str().unwrap().to_owned()
    }

    /// Spawns one, and lets it come to its end once it is seen to run: one that ends before is a failed spawn.
    async fn spawn_and_end(&mut self, script: &str) -> String {
        let id = self.spawn("ready", &format!("until [ -e go ]; do sleep 0.05; done; rm go; {script}")).await;
        std::fs::write(self.sandbox.worktree(&id).join("go"), "").unwrap();
        self.ok("wait", &[&id, "--for", "exit"]).await;
        id
    }

    async fn about_the_machine(&mut self) {
        self.ok("version", &[]).await;
        // Something is always there, and without a PATH something is always missing.
        let run = self.run("doctor", &[]).await;
        self.keep("doctor", &run);
        let mut command = self.sandbox.command(&["doctor", "--json"]);
        command.env("PATH", "/nowhere");
        let run = self.sandbox.run(command).await;
        self.keep("doctor", &run);
        self.sandbox.ao(&["start"]).await.ok();
        self.ok("status", &[]).await;
        self.ok("token", &[]).await;
    }

    async fn about_projects(&mut self) {
        self.sandbox.make_repository("other");
        let other = self.sandbox.path("other");
        self.ok("project add", &[other.to_str().unwrap()]).await;
        self.ok("project add", &["."]).await;
        self.ok("project ls", &[]).await;
        self.ok("project show", &["other"]).await;
        std::fs::write(other.join("ao.toml"), "nonsense = 1\n").unwrap();
        self.ok("project show", &["other"]).await;
        project_file::write(&self.sandbox, "setup = ['echo ready']\n");
        self.ok("project show", &["app"]).await;
        self.ok("project trust", &["--yes"]).await;
        self.ok("project trust", &["--yes"]).await;
        self.ok("project rm", &["other"]).await;
    }

    /// One with hooks, that asks, is answered, and is sent messages; and one without, that is typed to.
    async fn about_agents_that_are_told_things(&mut self) {
        self.ok("spawn", &["--runtime", "pty", "--name", "n", "--issue", "7", "task"]).await;
        tell(&self.sandbox, "UserPromptSubmit");
        self.sandbox.wait_for("app-1", "status", "working").await;
        for (command, args) in [("approve", &["app-1"][..]), ("deny", &["app-1", "--reason", "no"])] {
            tell(&self.sandbox, "PermissionRequest");
            self.ok("wait", &["app-1", "--for", "blocked"]).await;
            self.ok("ls", &[]).await;
            self.ok("show", &["app-1"]).await;
            self.ok(command, args).await;
        }
        self.ok("show", &["app-1"]).await;
        self.ok("send", &["app-1", "text"]).await;
        self.spawn_and_end("\"$AO_PROGRAM\" send app-1 hello").await;
        self.ok("messages", &["app-1"]).await;
        let since = std::time::Instant::now();
        tell(&self.sandbox, "Stop");
        while self.ok("messages", &["app-1"]).await[0].as_array().unwrap().iter().any(|sent| sent["state"] == "queued")
        {
            assert!(since.elapsed() < BOUND, "it is handed them: {}", self.sandbox.log());
        }
        self.ok("output", &["app-1"]).await;
        self.ok("output", &["app-1", "--setup"]).await;
        self.ok("kill", &["app-1"]).await;
        // They go back, and say why.
        self.ok("messages", &["app-1"]).await;
        let id = self.ok("spawn", &["--agent", "asks", "--runtime", "pty"]).await[0]["id"].as_str().unwrap().to_owned();
        self.ok("send", &[&id, "--wait", "taken"]).await;
        self.ok("messages", &[&id]).await;
    }

    async fn about_ends(&mut self) {
        let clean = self.spawn("ready", "exec sleep 600").await;
        self.ok("kill", &[&clean]).await;
        self.ok("show", &[&clean]).await;
        self.ok("restore", &[&clean]).await;
        let dirty = self.spawn("ready", "echo work > work; exec sleep 600").await;
        self.sandbox.until("it worked", || self.sandbox.worktree(&dirty).join("work").exists()).await;
        self.ok("kill", &[&dirty]).await;
        self.ok("kill", &["--force", &dirty]).await;
        let ended = [self.spawn_and_end("echo out; exit 3").await, self.spawn_and_end("kill -9 $$").await];
        for ended in &ended {
            self.ok("show", &[ended]).await;
        }
        let begun = self.spawn("none", "exec sleep 600").await;
        // How far it is at a time is not known; then it is.
        self.sandbox.wait_for(&begun, "status", "working").await;
        self.sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "false"]).await.fails(1, &[]);
        self.ok("ls", &["--all"]).await;
        std::fs::write(self.sandbox.worktree(&ended[0]).join("work"), "").unwrap();
        self.ok("cleanup", &["--dry-run"]).await;
        self.ok("cleanup", &[]).await;
        self.ok("cleanup", &["--force"]).await;
    }
}

#[tokio::test]
async fn every_json_is_as_its_snapshot_has_it() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", OBEDIENT);
    let config = sandbox.path("home/.config/ao/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(config, ASKS).unwrap();
    let mut sampler = Sampler { sandbox, shapes: BTreeMap::new() };
    sampler.about_the_machine().await;
    sampler.about_projects().await;
    sampler.about_agents_that_are_told_things().await;
    sampler.about_ends().await;
    // Every kind that came of all this.
    let mut kinds: BTreeMap<String, Shape> = BTreeMap::new();
    for change in sampler.ok("events", &[]).await {
        kinds.entry(change["kind"].as_str().unwrap().to_owned()).or_default().take_in(&change["data"]);
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, data)| format!("{kind}: {}", data.show(""))).collect();
    snapshots::compare("changes", &[("data".to_owned(), kinds.join("\n"))]);
    let has_json =
        |command: &clap::Command| command.get_arguments().any(|argument| argument.get_long() == Some("json"));
    let with_json = snapshots::commands().into_iter().filter(|(_, command)| has_json(command));
    let with_json: BTreeSet<String> = with_json.map(|(path, _)| path.join(" ")).collect();
    let run_here: BTreeSet<String> = sampler.shapes.keys().cloned().collect();
    assert_eq!(run_here, with_json, "each command with --json is run here");
    let texts: Vec<(String, String)> =
        sampler.shapes.iter().map(|(command, shape)| (command.replace(' ', "-"), shape.show(""))).collect();
    snapshots::compare("json", &texts);
}

#[test]
fn a_shape_has_every_type_that_was_seen_and_marks_what_may_be_missing() {
    let mut shape = Shape::default();
    for text in [r#"{"a": 1, "b": []}"#, r#"{"a": null, "b": [{"c": "x"}, {}], "d": true}"#] {
        shape.take_in(&serde_json::from_str(text).unwrap());
    }
    assert_eq!(shape.show(""), "{\n  a: null | number\n  b: [{\n    c?: string\n  }]\n  d?: boolean\n}");
}
