//! What a hook does with messages as time goes by: what was handed over and is not seen, and an agent whose turns come and go.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics when it fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ao::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings};
use ao::adapters::clock::SystemClock;
use ao::adapters::messenger::{FileMailbox, InboxMessenger};
use ao::app::deliver::{HookCall, Waited, deliver, look_for_idle};
use ao::domain::Timestamp;
use ao::domain::id::MessageId;
use ao::domain::message::{Message, Progress, Route};
use ao::domain::sender::Sender;
use ao::ports::agent::Agent;
use ao::ports::clock::Clock;
use ao::ports::mailbox::{Mailbox, Turn as FileTurn};
use ao::ports::messenger::AgentMessenger;
use serde_json::{Value, json};

/// A clock that a test sets.
struct Set(Mutex<Timestamp>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Claude Code in a workspace, and its hooks.
struct Lab {
    root: tempfile::TempDir,
    clock: Arc<Set>,
    messenger: InboxMessenger,
    agent: ClaudeCode,
    /// When its waiter began.
    begun: Timestamp,
}

impl Lab {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(Set(Mutex::new(SystemClock.now())));
        let messenger = InboxMessenger::new(clock.clone());
        let agent = ClaudeCode::new(ClaudeCodeSettings {
            program: None,
            path_var: String::new(),
            home: root.path().to_owned(),
            config_dir: None,
            env: BTreeMap::new(),
            is_root: false,
        });
        let lab = Self { root, messenger, agent, begun: clock.now(), clock };
        std::fs::create_dir(lab.workspace()).unwrap();
        lab.messenger.open(&lab.workspace()).await.unwrap();
        lab
    }

    fn workspace(&self) -> PathBuf {
        self.root.path().join("workspace")
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
    }

    /// A conversation's record, which has begun.
    fn conversation(&self, name: &str) -> Value {
        let path = self.root.path().join(name);
        std::fs::write(&path, "{\"type\":\"user\"}\n").unwrap();
        json!({ "transcript_path": path })
    }

    async fn send(&self, name: &str) -> MessageId {
        let message = Message {
            id: MessageId::hash_of(name),
            session: "app-1".parse().unwrap(),
            from: Sender::Person,
            body: name.to_owned(),
            created_at: self.clock.now(),
        };
        self.messenger.post(&self.workspace(), &message).await.unwrap();
        message.id
    }

    /// A hook of the agent; gives what it answers.
    fn hook(&self, event: &str, payload: &Value) -> Option<String> {
        let mailbox = FileMailbox::new(self.workspace());
        let delivery = deliver(&mailbox, &self.agent, HookCall { event, payload }, &*self.clock).unwrap()?;
        let answer = delivery.answer().stdout.clone();
        delivery.handed_over().unwrap();
        Some(answer)
    }

    /// What the waiter that this hook began sees; what it wakes the agent with, or how long it rests.
    fn waiter(&self, event: &str, payload: &Value) -> Result<String, Option<Duration>> {
        let mailbox = FileMailbox::new(self.workspace());
        let hooks = self.agent.text_hooks().unwrap();
        let call = HookCall { event, payload };
        match look_for_idle(&mailbox, (&self.agent, hooks), call, self.begun, &*self.clock).unwrap() {
            Waited::Rest(at_most) => Err(at_most),
            Waited::Delivery(delivery) => {
                let answer = delivery.answer().stderr.clone();
                delivery.handed_over().unwrap();
                Ok(answer)
            }
        }
    }

    fn note_turn(&self, is_in_turn: bool) {
        FileMailbox::new(self.workspace()).note_turn(is_in_turn).unwrap();
    }

    /// As if its last turn had ended so long ago.
    fn age_turn(&self, by: Duration) {
        self.age("turn-over", by);
    }

    /// As if a mark of its turns had been made so long ago.
    fn age(&self, mark: &str, by: Duration) {
        let mark = std::fs::File::options().append(true).open(self.workspace().join(".ao").join(mark)).unwrap();
        mark.set_modified(SystemTime::from(SystemClock.now()) - by).unwrap();
    }

    async fn progress(&self) -> Vec<Progress> {
        self.messenger.progress(&self.workspace()).await.unwrap().into_iter().map(|(_, progress)| progress).collect()
    }
}

#[tokio::test]
async fn an_agent_that_starts_is_left_to_begin_until_its_turn_is_over() {
    let lab = Lab::new().await;
    let conversation = lab.conversation("a");
    lab.pass(Duration::from_secs(1));
    lab.send("hello").await;
    let Err(Some(rest)) = lab.waiter("UserPromptSubmit", &conversation) else { panic!("it was woken at once") };
    assert_eq!(rest, Duration::from_secs(2), "the prompt's own turn may begin");
    lab.note_turn(true);
    assert!(matches!(lab.waiter("UserPromptSubmit", &conversation), Err(Some(rest)) if rest > Duration::from_secs(50)));
    lab.note_turn(false);
    assert!(lab.waiter("UserPromptSubmit", &conversation).is_ok_and(|text| text.contains("hello")));
}

#[tokio::test]
async fn the_end_of_an_earlier_turn_is_not_the_end_of_the_one_that_begins() {
    let lab = Lab::new().await;
    lab.note_turn(true);
    lab.note_turn(false);
    lab.age_turn(Duration::from_secs(5));
    lab.pass(Duration::from_secs(1));
    lab.send("hello").await;
    assert_eq!(lab.waiter("UserPromptSubmit", &lab.conversation("a")), Err(Some(Duration::from_secs(2))));
}

#[tokio::test]
async fn what_woke_an_agent_in_a_conversation_that_is_over_is_handed_over_in_the_next_one() {
    let lab = Lab::new().await;
    let (old, new) = (lab.conversation("old"), lab.conversation("new"));
    lab.note_turn(false);
    let id = lab.send("lost").await;
    assert!(lab.waiter("Stop", &old).is_ok_and(|text| text.contains(id.as_str())));
    // As by `/clear`.
    assert_eq!(lab.hook("SessionStart", &new), None);
    lab.send("newer").await;
    assert_eq!(lab.hook("UserPromptSubmit", &new), None, "it may come yet, and before the newer one");
    lab.pass(Duration::from_secs(10));
    assert_eq!(lab.hook("Stop", &new), None, "it may stand in line until the turn is over");
    assert!(lab.waiter("Stop", &new).is_err());
    lab.age_turn(Duration::from_secs(10));
    let told = lab.waiter("Stop", &new).unwrap();
    assert!(told.find("lost").unwrap() < told.find("newer").unwrap(), "{told}");
}

#[tokio::test]
async fn what_woke_an_agent_is_not_handed_over_again_once_its_prompt_showed_it() {
    let lab = Lab::new().await;
    let (old, new) = (lab.conversation("old"), lab.conversation("new"));
    lab.note_turn(false);
    let id = lab.send("hello").await;
    lab.waiter("Stop", &old).unwrap();
    let mut prompted = new.clone();
    prompted["prompt"] = format!("<task-notification>\n{id}").into();
    assert_eq!(lab.hook("UserPromptSubmit", &prompted), None);
    lab.pass(Duration::from_secs(100));
    assert_eq!(lab.hook("Stop", &new), None);
    assert!(matches!(lab.progress().await[..], [Progress::Acknowledged { via: Route::Wake, .. }]));
}

#[tokio::test]
async fn what_was_taken_out_of_the_agents_line_is_handed_over_again_once_it_is_idle_for_long() {
    let lab = Lab::new().await;
    let conversation = lab.conversation("a");
    lab.note_turn(false);
    let id = lab.send("held").await;
    lab.waiter("Stop", &conversation).unwrap();
    // It comes into line, and a person takes it out.
    let line = format!("{}\n", json!({ "type": "queue-operation", "content": format!("{id}") }));
    let path = conversation["transcript_path"].as_str().unwrap();
    std::fs::write(path, format!("{{\"type\":\"user\"}}\n{line}")).unwrap();
    lab.pass(Duration::from_secs(10));
    assert_eq!(lab.hook("Stop", &conversation), None, "what stands in line comes after the turn");
    assert!(lab.waiter("Stop", &conversation).is_err());
    lab.age_turn(Duration::from_secs(10));
    assert!(lab.waiter("Stop", &conversation).is_ok_and(|text| text.contains(id.as_str())));
}

#[tokio::test]
async fn what_stands_in_line_at_a_start_without_a_turn_is_left_there_until_the_agent_had_time_for_it() {
    let lab = Lab::new().await;
    let conversation = lab.conversation("a");
    lab.note_turn(false);
    lab.age_turn(Duration::from_secs(600));
    let id = lab.send("held").await;
    lab.waiter("Stop", &conversation).unwrap();
    let line = format!("{}\n", json!({ "type": "queue-operation", "content": format!("{id}") }));
    let path = conversation["transcript_path"].as_str().unwrap();
    std::fs::write(path, format!("{{\"type\":\"user\"}}\n{line}")).unwrap();
    lab.pass(Duration::from_secs(60));
    // As at the end of a compaction, which no turn is noted of.
    let lab = Lab { begun: lab.clock.now(), ..lab };
    assert!(lab.waiter("SessionStart", &conversation).is_err(), "it would come twice");
    lab.pass(Duration::from_secs(9));
    assert!(lab.waiter("SessionStart", &conversation).is_err());
    lab.pass(Duration::from_secs(1));
    assert!(lab.waiter("SessionStart", &conversation).is_ok_and(|text| text.contains(id.as_str())));
}

#[tokio::test]
async fn an_agent_that_ends_in_the_middle_of_a_turn_is_handed_nothing_and_the_next_one_is_in_no_turn() {
    let lab = Lab::new().await;
    let conversation = lab.conversation("a");
    lab.note_turn(true);
    lab.send("hello").await;
    assert_eq!(lab.hook("SessionEnd", &conversation), None);
    assert!(lab.waiter("Stop", &conversation).is_err());
    lab.messenger.open(&lab.workspace()).await.unwrap();
    assert!(lab.waiter("Stop", &conversation).is_ok_and(|text| text.contains("hello")));
}

#[tokio::test]
async fn a_turn_that_is_held_up_goes_on_from_then() {
    let lab = Lab::new().await;
    let conversation = lab.conversation("a");
    lab.note_turn(true);
    lab.age("turn", Duration::from_secs(55));
    lab.send("hello").await;
    assert!(lab.hook("Stop", &conversation).is_some());
    // Others' hooks of that event may take longer than what was left of the silence.
    lab.pass(Duration::from_secs(15));
    assert!(matches!(lab.waiter("Stop", &conversation), Err(Some(_))));
    let FileTurn::Running { silent } = FileMailbox::new(lab.workspace()).turn().unwrap() else { panic!("it goes on") };
    assert!(silent < Duration::from_secs(50), "{silent:?}");
}

#[tokio::test]
async fn others_hooks_that_take_minutes_make_no_repeat() {
    let lab = Lab::new().await;
    let conversation = lab.conversation("a");
    lab.note_turn(true);
    lab.send("hello").await;
    assert!(lab.hook("PostToolUse", &conversation).is_some());
    // The agent waits for another hook of that event, and its record is silent for as long.
    for minutes in [2, 5, 10] {
        let silent = Duration::from_secs(60 * minutes);
        lab.pass(silent);
        lab.age("turn", silent);
        assert!(matches!(lab.waiter("Stop", &conversation), Err(Some(_))), "it came twice after {minutes} minutes");
    }
    // No hook takes that long: what was answered is lost, as when a person interrupts the turn just then.
    lab.age("turn", Duration::from_secs(60 * 11));
    assert!(lab.waiter("Stop", &conversation).is_ok_and(|text| text.contains("hello")));
}

#[tokio::test]
async fn what_answers_all_that_an_agent_asked_is_noted_and_what_may_not_is_not() {
    let lab = Lab::new().await;
    let mailbox = FileMailbox::new(lab.workspace());
    let tool = json!({ "tool_name": "Bash", "tool_input": { "command": "make" } });
    let with = |field: &str, value: &str| {
        let mut payload = tool.clone();
        payload[field] = json!(value);
        payload
    };
    let noted = |event: &str, payload: &Value| {
        let before = mailbox.settled_at().unwrap();
        // A file's time is as coarse as the kernel's tick.
        std::thread::sleep(Duration::from_millis(20));
        deliver(&mailbox, &lab.agent, HookCall { event, payload }, &*lab.clock).unwrap();
        mailbox.settled_at().unwrap() != before
    };
    for event in ["PreToolUse", "PermissionRequest", "PostToolUse", "PostToolUseFailure", "SessionStart"] {
        assert!(!noted(event, &tool), "another tool may be at work beside it: {event}");
    }
    for event in ["PostToolBatch", "SubagentStop", "StopFailure"] {
        assert!(!noted(event, &with("agent_id", "a1")), "the agent itself asks still: {event}");
    }
    for (event, payload) in [
        ("PostToolBatch", json!({})),
        ("Stop", json!({})),
        ("StopFailure", json!({})),
        ("UserPromptSubmit", json!({ "prompt": "Go on." })),
        ("Notification", json!({ "notification_type": "idle_prompt" })),
    ] {
        assert!(noted(event, &payload), "{event}");
    }
}
