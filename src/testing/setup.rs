//! The contract of [`SetupRunner`].
//!
//! Implement [`SetupFixture`] for your adapter, then let [`setup_contract!`](crate::setup_contract) make one test of each
//! function here. What a test starts is ended also when it fails.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::platform::{process, tree};
use crate::ports::setup::{SetupCommand, SetupError, SetupRunner, Stage};

/// What a loaded machine stays within.
const BOUND: Duration = Duration::from_secs(60);

/// What the suite needs of an adapter. One fixture is made for each test.
pub trait SetupFixture: Send + Sync {
    /// A runner, as one more process would make it.
    fn runner(&self) -> Arc<dyn SetupRunner>;

    /// A directory that exists and holds nothing but what the suite makes.
    fn scratch(&self) -> &Path;

    /// The complete environment of commands; it has a `PATH` with the usual tools.
    fn env(&self) -> BTreeMap<String, String>;
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! setup_contract {
    ($fixture:expr) => {
        $crate::setup_contract!(@tests $fixture;
            a_command_runs_in_the_workspace_with_its_environment_and_nothing_else
            what_is_printed_is_kept_in_order_and_private
            the_output_is_bounded_and_its_end_is_kept
            a_failure_tells_how_it_ended
            a_command_that_cannot_be_run_is_an_error
            what_hangs_is_ended_with_all_it_started
            what_is_left_in_the_background_is_ended
            what_hides_in_the_background_is_ended
            what_was_cut_off_is_ended_by_another_runner_and_nothing_else_is
            a_stage_that_is_begun_starts_anew
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::testing::setup::$name(&$fixture).await;
            }
        )+
    };
}

/// A session's directory and workspace. Ends what was started there when dropped.
struct Session {
    directory: PathBuf,
    workspace: PathBuf,
    env: BTreeMap<String, String>,
}

impl Session {
    fn new(fixture: &impl SetupFixture, name: &str) -> Self {
        let path = |kind: &str| {
            let path = fixture.scratch().join(format!("{kind} größe {name}"));
            std::fs::create_dir_all(&path).expect("a directory");
            path
        };
        Self { directory: path("session"), workspace: path("workspace"), env: fixture.env() }
    }

    fn command(&self, command: &str) -> SetupCommand {
        SetupCommand {
            stage: Stage::Setup,
            command: command.to_owned(),
            session_dir: self.directory.clone(),
            workspace: self.workspace.clone(),
            env: self.env.clone(),
            timeout: BOUND,
        }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.workspace.join(name)).unwrap_or_default()
    }

    /// The processes that a command wrote down, one a line.
    fn pids(&self) -> Vec<u32> {
        self.file("pids").lines().filter_map(|line| line.trim().parse().ok()).collect()
    }

    fn running(&self) -> Vec<u32> {
        self.pids().into_iter().filter(|pid| process::identity(*pid).expect("/proc").is_some()).collect()
    }

    /// Waits until a command wrote down so many processes.
    async fn until_started(&self, count: usize) {
        let started = async {
            let mut pause = tree::Pause::default();
            while self.pids().len() < count {
                pause.wait().await;
            }
        };
        tokio::time::timeout(BOUND, started).await.expect("they start");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for pid in self.running() {
            if let Ok(Some(process)) = process::identity(pid) {
                let _ = tree::send(process, rustix::process::Signal::KILL);
            }
        }
    }
}

/// One process in the command's kernel session and one in its own, both of which outlive the command unless they are ended.
const TWO_LEFT: &str = "sleep 600 & echo $! >> pids; setsid sh -c 'echo $$ >> pids; exec sleep 600' &";

/// The workspace is the working directory; the environment is what was given; there is no input and no terminal.
pub async fn a_command_runs_in_the_workspace_with_its_environment_and_nothing_else(fixture: &impl SetupFixture) {
    let mut session = Session::new(fixture, "a");
    session.env.insert("GREETING".to_owned(), "grüß 'dich'".to_owned());
    let script = "pwd > seen; echo \"$GREETING\" >> seen; cat >> seen; tty -s && echo tty >> seen; \
                  set -- $(cat /proc/$$/stat); [ \"$6\" = $$ ] || echo 'a session with a terminal, perhaps' >> seen; \
                  env | grep -c ^CARGO_PKG_NAME= >> seen; true";
    fixture.runner().run(&session.command(script)).await.expect("it runs");
    assert_eq!(session.file("seen"), format!("{}\ngrüß 'dich'\n0\n", session.workspace.display()));
}

/// Standard output and standard error are one.
pub async fn what_is_printed_is_kept_in_order_and_private(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    let runner = fixture.runner();
    assert_eq!(runner.output(&session.directory, Stage::Setup, 10).await.expect("read"), None);
    for script in ["echo 1; echo 2 >&2; echo 3", "echo 4 >&2; echo 5; exit 3"] {
        let _ = runner.run(&session.command(script)).await;
    }
    let output = fixture.runner().output(&session.directory, Stage::Setup, 100).await.expect("read").expect("kept");
    let printed: Vec<&str> = output.lines().filter(|line| line.len() == 1).collect();
    assert_eq!(printed, ["1", "2", "3", "4", "5"], "{output}");
    let last = runner.output(&session.directory, Stage::Setup, 2).await.expect("read");
    assert_eq!(last.as_deref(), Some("4\n5"));
    assert_eq!(runner.output(&session.directory, Stage::Teardown, 2).await.expect("read"), None);
    for entry in std::fs::read_dir(&session.directory).expect("listed") {
        let mode = entry.expect("an entry").metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(format!("{mode:o}"), "600");
    }
}

/// 30 MB are printed.
pub async fn the_output_is_bounded_and_its_end_is_kept(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    let script = "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo the end";
    fixture.runner().run(&session.command(script)).await.expect("it runs");
    let files = std::fs::read_dir(&session.directory).expect("listed");
    let kept: u64 = files.map(|file| file.expect("an entry").metadata().expect("it is there").len()).sum();
    assert!(kept < 10_000_000, "{kept} bytes are kept");
    let last = fixture.runner().output(&session.directory, Stage::Setup, 1).await.expect("read");
    assert_eq!(last.as_deref(), Some("the end"));
}

/// By a code, or by a signal.
pub async fn a_failure_tells_how_it_ended(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    for (script, word) in [("exit 3", "code 3"), ("kill -TERM $$", "15"), ("no-such-program-here", "code 127")] {
        let outcome = fixture.runner().run(&session.command(script)).await;
        let Err(SetupError::Failed { command, ended, .. }) = &outcome else { panic!("{outcome:?}") };
        assert!(command == script && ended.contains(word), "{outcome:?}");
    }
}

/// There is no such directory.
pub async fn a_command_that_cannot_be_run_is_an_error(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    let command = SetupCommand { workspace: "/no/such/directory".into(), ..session.command("true") };
    let outcome = fixture.runner().run(&command).await;
    assert!(matches!(outcome, Err(SetupError::Broken { .. })), "{outcome:?}");
}

/// Also when it does not obey.
pub async fn what_hangs_is_ended_with_all_it_started(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    let script = format!("trap '' TERM; echo $$ >> pids; {TWO_LEFT} while :; do sleep 0.1; done");
    let command = SetupCommand { timeout: Duration::from_secs(2), ..session.command(&script) };
    let outcome = tokio::time::timeout(BOUND, fixture.runner().run(&command)).await.expect("it is bounded");
    assert!(matches!(outcome, Err(SetupError::TimedOut { .. })), "{outcome:?}");
    assert_eq!((session.pids().len(), session.running()), (3, Vec::<u32>::new()));
}

/// Success comes when nothing is left.
pub async fn what_is_left_in_the_background_is_ended(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    let script = format!("{TWO_LEFT} while [ \"$(wc -l < pids)\" -lt 2 ]; do sleep 0.05; done");
    fixture.runner().run(&session.command(&script)).await.expect("it runs");
    assert_eq!((session.pids().len(), session.running()), (2, Vec::<u32>::new()));
}

/// It cleared its environment and nothing that is known is its parent, but it did not take a kernel session of its own: also when the
/// command was cut off.
pub async fn what_hides_in_the_background_is_ended(fixture: &impl SetupFixture) {
    let hidden = "(env -i sh -c 'echo $$ >> pids; exec sleep 600' &); \
                  while [ \"$(wc -l < pids)\" -lt 1 ]; do sleep 0.05; done 2> /dev/null;";
    let session = Session::new(fixture, "a");
    std::fs::write(session.workspace.join("pids"), "").expect("written");
    fixture.runner().run(&session.command(hidden)).await.expect("it runs");
    assert_eq!((session.pids().len(), session.running()), (1, Vec::<u32>::new()));

    let session = Session::new(fixture, "b");
    std::fs::write(session.workspace.join("pids"), "").expect("written");
    let (runner, command) = (fixture.runner(), session.command(&format!("{hidden} exec sleep 600")));
    let task = tokio::spawn(async move { runner.run(&command).await });
    session.until_started(1).await;
    // As after the death of who ran it: nobody remembers anything.
    fixture.runner().end(&session.directory).await.expect("ended");
    assert_eq!(session.running(), Vec::<u32>::new());
    let _ = tokio::time::timeout(BOUND, task).await.expect("it was ended");
}

/// A dropped run leaves nothing that `end` does not end; another session's commands go on.
pub async fn what_was_cut_off_is_ended_by_another_runner_and_nothing_else_is(fixture: &impl SetupFixture) {
    let (one, other) = (Session::new(fixture, "a"), Session::new(fixture, "ab"));
    let script = format!("echo $$ >> pids; {TWO_LEFT} sleep 600");
    let mut tasks = Vec::new();
    for session in [&one, &other] {
        let (runner, command) = (fixture.runner(), session.command(&script));
        tasks.push(tokio::spawn(async move { runner.run(&command).await }));
        session.until_started(3).await;
    }
    let found = fixture.runner().running(&[]).await.expect("looked for");
    assert!(found.contains(&one.directory) && found.contains(&other.directory), "{found:?}");
    tasks[0].abort();
    fixture.runner().end(&one.directory).await.expect("ended");
    assert_eq!(one.running(), Vec::<u32>::new());
    assert_eq!(other.running().len(), 3, "another session's commands were ended");
    assert!(!fixture.runner().running(&[]).await.expect("looked for").contains(&one.directory));
    fixture.runner().end(&one.directory).await.expect("there is nothing left to end");
    fixture.runner().begin(&other.directory, Stage::Setup).await.expect("begun");
    assert_eq!(other.running(), Vec::<u32>::new(), "a stage that begins ends what an earlier run left");
}

/// Its log is empty, and nothing is finished any more.
pub async fn a_stage_that_is_begun_starts_anew(fixture: &impl SetupFixture) {
    let session = Session::new(fixture, "a");
    let runner = fixture.runner();
    assert_eq!(runner.finished(&session.directory).await.expect("read"), None);
    runner.begin(&session.directory, Stage::Setup).await.expect("begun");
    runner.run(&session.command("echo one")).await.expect("it runs");
    runner.finish(&session.directory, Stage::Setup).await.expect("finished");
    assert_eq!(fixture.runner().finished(&session.directory).await.expect("read"), Some(Stage::Setup));
    runner.begin(&session.directory, Stage::Teardown).await.expect("begun");
    assert_eq!(runner.finished(&session.directory).await.expect("read"), None);
    assert!(runner.output(&session.directory, Stage::Setup, 5).await.expect("read").is_some(), "the other stage's log");
    runner.finish(&session.directory, Stage::Teardown).await.expect("finished");
    assert_eq!(fixture.runner().finished(&session.directory).await.expect("read"), Some(Stage::Teardown));
    runner.begin(&session.directory, Stage::Setup).await.expect("begun");
    assert_eq!(runner.output(&session.directory, Stage::Setup, 5).await.expect("read"), None);
}
