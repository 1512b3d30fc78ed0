use std::os::fd::AsRawFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};

use super::*;
use crate::adapters::clock::SystemClock;
use crate::adapters::messenger::InboxMessenger;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Message;
use crate::domain::sender::Sender;
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
            from: Sender::Person,
            body: "text".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        self.messenger.post(self.root.path(), &message).await.unwrap();
    }

    fn watch(&self) -> Watch {
        Watch::begin(self.root.path()).unwrap()
    }
}

/// Waits as a process of its own would.
async fn outcome(rest: &Rest) -> Rested {
    let wakes = rest.wakes().try_clone().unwrap();
    tokio::task::spawn_blocking(move || wait(wakes, Some(BOUND)).unwrap()).await.unwrap()
}

/// Whether something wakes by now.
fn is_woken(rest: &Rest) -> bool {
    let mut handles = [PollFd::new(rest.wakes(), PollFlags::IN)];
    poll(&mut handles, Some(&Timespec::default())).unwrap() > 0
}

fn ourselves() -> ProcessIdentity {
    process::identity(std::process::id()).unwrap().unwrap()
}

#[tokio::test]
async fn what_arrives_wakes_and_what_hooks_do_while_nothing_waits_does_not() {
    let lab = Lab::new().await;
    let rest = lab.watch().rest(ourselves(), Told::Arrivals).unwrap().unwrap();
    // As hooks do at a turn's end, and the daemon with what was taken.
    for name in ["turn", "taken/01700000000000000000_0123456789abcdef.done"] {
        std::fs::write(lab.root.path().join(".ao").join(name), "").unwrap();
        std::fs::remove_file(lab.root.path().join(".ao").join(name)).unwrap();
    }
    assert!(!is_woken(&rest));
    lab.post().await;
    assert!(is_woken(&rest), "by the time that the message is there");
    assert_eq!(outcome(&rest).await, Rested::Look);
}

#[tokio::test]
async fn nothing_is_missed_that_comes_between_the_beginning_of_the_watch_and_the_rest() {
    let lab = Lab::new().await;
    for told in [Told::Arrivals, Told::Changes] {
        let watch = lab.watch();
        lab.post().await;
        assert!(is_woken(&watch.rest(ourselves(), told).unwrap().unwrap()), "{told:?}");
        std::fs::remove_dir_all(lab.root.path().join(".ao")).unwrap();
        lab.messenger.open(lab.root.path()).await.unwrap();
    }
}

#[tokio::test]
async fn while_something_waits_the_end_of_a_turn_wakes() {
    let lab = Lab::new().await;
    std::fs::write(lab.root.path().join(".ao/turn"), "").unwrap();
    let rest = lab.watch().rest(ourselves(), Told::Changes).unwrap().unwrap();
    assert!(!is_woken(&rest));
    std::fs::remove_file(lab.root.path().join(".ao/turn")).unwrap();
    assert!(is_woken(&rest));
}

#[tokio::test]
async fn after_a_look_that_failed_only_time_and_the_agents_end_wake() {
    let lab = Lab::new().await;
    let rest = lab.watch().rest(ourselves(), Told::Nothing).unwrap().unwrap();
    lab.post().await;
    assert!(!is_woken(&rest));
    assert_eq!(wait(rest.wakes(), Some(Duration::from_millis(1))).unwrap(), Rested::Look);
}

#[tokio::test]
async fn one_rests_at_a_time_for_as_long_as_a_handle_is_open() {
    let lab = Lab::new().await;
    let rest = lab.watch().rest(ourselves(), Told::Arrivals).unwrap().unwrap();
    let again = || lab.watch().rest(ourselves(), Told::Arrivals).unwrap();
    assert!(again().is_none());
    // As one that becomes another program does: nothing is given up, the handles only go over.
    let handles: Vec<OwnedFd> = rest.handles().map(|handle| handle.try_clone().unwrap()).collect();
    std::mem::forget(rest);
    assert!(again().is_none());
    assert_eq!(handles.len(), 3);
}

#[tokio::test]
async fn who_cannot_watch_rests_alone_too() {
    let lab = Lab::new().await;
    let unwatched = || Rest::unwatched(lab.root.path(), ourselves()).unwrap();
    let rest = unwatched().unwrap();
    assert!(unwatched().is_none() && lab.watch().rest(ourselves(), Told::Arrivals).unwrap().is_none());
    lab.post().await;
    assert!(!is_woken(&rest));
    drop(rest);
    // Somebody planted what stands there: no lock is to be had.
    std::fs::remove_dir_all(lab.root.path().join(".ao")).unwrap();
    std::fs::write(lab.root.path().join(".ao"), "").unwrap();
    assert!(unwatched().is_some());
}

#[tokio::test]
async fn whether_somebody_waits_is_seen_from_outside_and_seeing_it_keeps_nobody_from_waiting() {
    let lab = Lab::new().await;
    let mailbox = lab.messenger.mailbox(lab.root.path());
    assert!(!mailbox.is_waited_at().unwrap(), "there is no lock yet");
    let rest = lab.watch().rest(ourselves(), Told::Arrivals).unwrap().unwrap();
    assert!(mailbox.is_waited_at().unwrap());
    drop(rest);
    assert!(!mailbox.is_waited_at().unwrap());
    // Who looks at this moment.
    let boxes = Boxes::open(lab.root.path()).unwrap().unwrap();
    let looking = boxes.ao.lock(WAITER, Duration::ZERO).unwrap();
    let waiting = tokio::task::spawn_blocking({
        let watch = lab.watch();
        move || watch.rest(ourselves(), Told::Arrivals).unwrap().is_some()
    });
    tokio::time::sleep(PROBED / 4).await;
    drop(looking);
    assert!(waiting.await.unwrap(), "it took who looks for one who waits");
}

#[tokio::test]
async fn a_rest_ends_with_the_other_process_too() {
    let lab = Lab::new().await;
    #[expect(clippy::disallowed_methods, reason = "a process that ends when the test says so")]
    let mut shell = tokio::process::Command::new("/bin/cat")
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let identity = process::identity(shell.id().unwrap()).unwrap().unwrap();
    let mut rest = lab.watch().rest(ourselves(), Told::Arrivals).unwrap().unwrap();
    assert!(rest.end_with(identity).unwrap() && !is_woken(&rest));
    drop(shell.stdin.take());
    assert_eq!(outcome(&rest).await, Rested::Over);
    shell.wait().await.unwrap();
    assert!(!rest.end_with(identity).unwrap());
}

#[tokio::test]
async fn who_rests_notices_that_an_agent_took_everything_away() {
    let lab = Lab::new().await;
    for told in [Told::Arrivals, Told::Changes] {
        let rest = lab.watch().rest(ourselves(), told).unwrap().unwrap();
        // As `git clean -fdx` does.
        std::fs::remove_dir_all(lab.root.path().join(".ao")).unwrap();
        assert!(is_woken(&rest), "{told:?}");
    }
    let rest = lab.watch().rest(ourselves(), Told::Arrivals).unwrap().unwrap();
    lab.post().await;
    assert!(is_woken(&rest));
}

#[tokio::test]
async fn nothing_is_watched_any_more_once_that_is_given_up() {
    let lab = Lab::new().await;
    for told in [Told::Arrivals, Told::Changes] {
        let rest = lab.watch().rest(ourselves(), told).unwrap().unwrap();
        let changes = rest.changes().unwrap();
        let about = || std::fs::read_to_string(format!("/proc/self/fdinfo/{}", changes.as_raw_fd())).unwrap();
        assert!(about().contains("inotify wd"), "{told:?}");
        give_up(changes);
        assert!(!about().contains("inotify wd"), "{told:?}: {}", about());
    }
}

#[tokio::test]
async fn who_rests_leaves_with_its_agent() {
    let lab = Lab::new().await;
    let gone = ProcessIdentity { pid: std::process::id(), start_ticks: 1 };
    assert!(lab.watch().rest(gone, Told::Arrivals).unwrap().is_none());

    #[expect(clippy::disallowed_methods, reason = "an agent that ends when the test says so")]
    let mut agent = tokio::process::Command::new("/bin/cat")
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let identity = process::identity(agent.id().unwrap()).unwrap().unwrap();
    let beside_messages = lab.watch().rest(identity, Told::Arrivals).unwrap().unwrap();
    let beside_nothing = Rest::beside(identity).unwrap().unwrap();
    assert!(!is_woken(&beside_messages) && !is_woken(&beside_nothing));
    drop(agent.stdin.take());
    assert_eq!(outcome(&beside_nothing).await, Rested::Over);
    // The end is what counts, whatever came with it.
    lab.post().await;
    assert_eq!(outcome(&beside_messages).await, Rested::Over);
    agent.wait().await.unwrap();
}
