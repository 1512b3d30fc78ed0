use std::sync::Arc;

use super::*;
use crate::adapters::clock::SystemClock;
use crate::adapters::messenger::InboxMessenger;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Message;
use crate::platform::process;
use crate::ports::messenger::AgentMessenger;

/// How long a test waits for what must come.
const BOUND: Duration = Duration::from_secs(30);

struct Lab {
    root: tempfile::TempDir,
    messenger: InboxMessenger,
}

impl Lab {
    async fn new() -> Self {
        let lab = Self { root: tempfile::tempdir().unwrap(), messenger: InboxMessenger::new(Arc::new(SystemClock)) };
        lab.messenger.open(lab.root.path()).await.unwrap();
        lab
    }

    async fn post(&self) {
        let message = Message {
            id: MessageId::hash_of("a"),
            session: "app-1".parse().unwrap(),
            from: None,
            body: "text".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        self.messenger.post(self.root.path(), &message).await.unwrap();
    }

    /// Begins to rest for an agent, as a process of its own would.
    async fn rest(&self, agent: ProcessIdentity) -> tokio::task::JoinHandle<Result<Rested, MessengerError>> {
        let workspace = self.root.path().to_owned();
        let resting = tokio::task::spawn_blocking(move || rest(&workspace, agent, None));
        let boxes = Boxes::open(self.root.path()).unwrap();
        let is_held = || boxes.as_ref().is_none_or(|boxes| boxes.ao.lock(WAITER, Duration::ZERO).is_err());
        let begun = async {
            while !is_held() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(BOUND, begun).await.expect("it rests");
        resting
    }
}

fn ourselves() -> ProcessIdentity {
    process::identity(std::process::id()).unwrap().unwrap()
}

async fn outcome(resting: tokio::task::JoinHandle<Result<Rested, MessengerError>>) -> Result<Rested, MessengerError> {
    tokio::time::timeout(BOUND, resting).await.expect("it was told").unwrap()
}

#[tokio::test]
async fn one_rests_at_a_time_and_is_told_of_what_comes_and_of_nothing_else() {
    let lab = Lab::new().await;
    let resting = lab.rest(ourselves()).await;
    let another = rest(lab.root.path(), ourselves(), Some(Duration::ZERO));
    assert_eq!(another.unwrap(), Rested::IsDoneElsewhere);
    // As hooks do at each tool call.
    for _ in 0..20 {
        std::fs::write(lab.root.path().join(".ao/turn"), "").unwrap();
        std::fs::remove_file(lab.root.path().join(".ao/turn")).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!resting.is_finished(), "told of nothing");
    lab.post().await;
    assert_eq!(outcome(resting).await.unwrap(), Rested::Look);
}

#[tokio::test]
async fn what_came_before_the_rest_is_told_and_what_waited_is_looked_at_again() {
    let lab = Lab::new().await;
    lab.post().await;
    let rest = |at_most| rest(lab.root.path(), ourselves(), at_most).unwrap();
    assert_eq!(rest(None), Rested::Look);
    assert_eq!(rest(Some(Duration::from_millis(1))), Rested::Look);
    // A look may have been long ago, whatever was asked.
    let begun = tokio::time::Instant::now();
    assert_eq!(rest(Some(Duration::from_secs(3600))), Rested::Look);
    assert!(begun.elapsed() < BOUND);
}

#[tokio::test]
async fn who_rests_notices_that_an_agent_took_everything_away() {
    let lab = Lab::new().await;
    let resting = lab.rest(ourselves()).await;
    // As `git clean -fdx` does.
    std::fs::remove_dir_all(lab.root.path().join(".ao")).unwrap();
    let told = outcome(resting).await;
    assert!(matches!(told, Err(MessengerError::File { .. })), "{told:?}");
    let resting = lab.rest(ourselves()).await;
    lab.post().await;
    assert_eq!(outcome(resting).await.unwrap(), Rested::Look);
}

#[tokio::test]
async fn who_rests_leaves_with_its_agent() {
    let lab = Lab::new().await;
    let gone = ProcessIdentity { pid: std::process::id(), start_ticks: 1 };
    assert_eq!(rest(lab.root.path(), gone, None).unwrap(), Rested::AgentEnded);

    #[expect(clippy::disallowed_methods, reason = "an agent that ends when the test says so")]
    let mut agent = tokio::process::Command::new("/bin/cat")
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let resting = lab.rest(process::identity(agent.id().unwrap()).unwrap().unwrap()).await;
    drop(agent.stdin.take());
    assert_eq!(outcome(resting).await.unwrap(), Rested::AgentEnded);
    agent.wait().await.unwrap();
}
