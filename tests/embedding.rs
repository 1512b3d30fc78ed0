//! ao inside another program: orchestrators side by side in one process, each with real terminals and repositories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is its own edge")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ao::app::RuntimeChoice;
use ao::app::spawn::SpawnRequest;
use ao::app::wait::{WaitFor, WaitOutcome};
use ao::domain::approval::Verdict;
use ao::domain::change::{Change, ChangeKind};
use ao::domain::id::{AgentKind, RuntimeKind, SessionId};
use ao::domain::status::Status;
use ao::orchestrator::surroundings::Surroundings;
use ao::ports::store::SessionFilter;
use ao::ports::workspace::OnWork;
use ao::{BuildError, Builder, Driver, EventStream, Orchestrator};
use futures_util::StreamExt;
use tokio_util::task::AbortOnDropHandle;

#[path = "support/executable.rs"]
mod executable;

/// The longest anything here may take. Only what is broken takes so long.
const BOUND: Duration = Duration::from_secs(60);

/// A place with a data directory and a repository.
struct Place {
    scratch: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { scratch: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.repository()).unwrap();
        place.git(&["init", "--quiet", "--initial-branch", "main"]);
        place.git(&[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "x",
        ]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn repository(&self) -> PathBuf {
        self.path("app")
    }

    fn git(&self, args: &[&str]) {
        let status = Command::new("git").args(args).current_dir(self.repository()).envs(self.env()).status();
        assert!(status.unwrap().success(), "git {args:?}");
    }

    fn env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::from([("HOME".to_owned(), self.scratch.path().display().to_string())]);
        for name in ["PATH", "AO_TEST_RUN"] {
            env.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        env
    }

    fn builder(&self) -> Builder {
        Orchestrator::builder(self.path("data"), env!("CARGO_BIN_EXE_ao")).env(self.env()).settings(|settings| {
            settings.default_agent = AgentKind::new("command").unwrap();
            settings.default_runtime = RuntimeChoice::Named(RuntimeKind::new("pty").unwrap());
            settings.stop_grace = Duration::ZERO;
        })
    }

    /// An orchestrator that is driven.
    async fn open(&self) -> Running {
        Running::of(self.builder().build().await.unwrap())
    }
}

/// An orchestrator with its driver at work.
struct Running {
    orchestrator: Orchestrator,
    /// Ends with the test, also one that fails.
    driver: AbortOnDropHandle<()>,
}

impl Running {
    fn of((orchestrator, driver): (Orchestrator, Driver)) -> Self {
        Self { orchestrator, driver: AbortOnDropHandle::new(tokio::spawn(driver.into_future())) }
    }

    /// Ends what goes on, and gives the data directory up. Agents go on.
    async fn close(self) {
        tokio::time::timeout(BOUND, self.orchestrator.shut_down()).await.expect("it shuts down");
        tokio::time::timeout(BOUND, self.driver).await.expect("the driver ends").unwrap();
    }

    async fn spawn(&self, place: &Place, script: &str) -> SessionId {
        let project = self.orchestrator.add_project(&place.repository()).await.unwrap().project;
        let mut request = SpawnRequest::new(project.id);
        request.agent_args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let session = self.orchestrator.spawn(request).await.unwrap().id;
        let (outcome, view) = self.orchestrator.wait(&session, WaitFor::Ready, BOUND).await.unwrap();
        assert_eq!(outcome, WaitOutcome::Reached, "{view:?}");
        session
    }

    async fn live(&self) -> Vec<SessionId> {
        let filter = SessionFilter::default();
        self.orchestrator.list(&filter).await.unwrap().into_iter().map(|session| session.id).collect()
    }

    async fn end_all(&self) {
        for session in self.live().await {
            self.orchestrator.kill(&session, OnWork::Keep).await.unwrap();
        }
    }
}

/// Runs a test with these places, and ends every agent there whatever became of it.
async fn with_places<const N: usize, F>(test: impl FnOnce([&'static Place; N]) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places: [&'static Place; N] = std::array::from_fn(|_| &*Box::leak(Box::new(Place::new())));
    let outcome = tokio::spawn(test(places)).await;
    for place in places {
        // What the test left open is gone with its task, but for work that is on its way out.
        let cleaned = tokio::time::timeout(BOUND, async {
            loop {
                match place.builder().build().await {
                    Ok(built) => {
                        let running = Running::of(built);
                        running.end_all().await;
                        return running.close().await;
                    }
                    Err(BuildError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        cleaned.await.expect("the data directory is given up");
        std::fs::remove_dir_all(place.scratch.path()).unwrap();
    }
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// The changes up to the first of a kind.
async fn until(events: &mut EventStream, kind: ChangeKind) -> Vec<Change> {
    let mut seen: Vec<Change> = Vec::new();
    let reading = async {
        while seen.last().is_none_or(|change| change.kind != kind) {
            let change = events.next().await.expect("the stream goes on").unwrap();
            seen.push((*change).clone());
        }
    };
    tokio::time::timeout(BOUND, reading).await.unwrap_or_else(|_| panic!("no {kind:?} comes"));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn two_in_one_process_know_nothing_of_each_other() {
    with_places(async |[one, other]: [&'static Place; 2]| {
        let (first, second) = (one.open().await, other.open().await);
        let mut told_second = second.orchestrator.events(None, None).await.unwrap();
        let a = first.spawn(one, "echo of the first; read line").await;
        let b = second.spawn(other, "echo of the second; read line").await;
        assert_eq!(a, b, "each counts its own sessions");
        for (running, text) in [(&first, "of the first"), (&second, "of the second")] {
            let shown = async {
                while !running.orchestrator.output(&a, 10).await.unwrap().contains(text) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(BOUND, shown).await.expect("it shows what its agent printed");
        }
        first.orchestrator.kill(&a, OnWork::Keep).await.unwrap();
        assert_eq!((first.live().await, second.live().await), (vec![], vec![b.clone()]));
        first.close().await;
        second.orchestrator.kill(&b, OnWork::Keep).await.unwrap();
        let told = until(&mut told_second, ChangeKind::SessionTerminated).await;
        assert!(told.iter().all(|change| change.seq > 0) && told.windows(2).all(|two| two[0].seq + 1 == two[1].seq));
        second.close().await;
        assert!(told_second.next().await.is_none(), "a stream outlives its orchestrator");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i11_a_data_directory_has_one_orchestrator_at_a_time() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        let refused = place.builder().build().await.expect_err("two share a data directory");
        assert!(matches!(refused, BuildError::InUse { .. }), "{refused}");
        let handle = running.orchestrator.clone();
        running.close().await;
        assert!(place.builder().build().await.is_err(), "a handle is left, and with it all that it can do");
        drop(handle);
        Running::of(place.builder().build().await.expect("nothing is left that holds it")).close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i03_an_agent_goes_on_without_its_orchestrator_and_the_next_adopts_it() {
    with_places(async |[place]: [&'static Place; 1]| {
        let first = place.open().await;
        let session = first.spawn(place, "read line; exit 4").await;
        let pid = first.orchestrator.show(&session).await.unwrap().pid.expect("a live session has a process");
        first.close().await;
        assert!(Path::new(&format!("/proc/{pid}")).exists(), "the agent ended with its orchestrator");
        let second = place.open().await;
        tokio::time::timeout(BOUND, second.orchestrator.settled().cancelled()).await.expect("it settles");
        let adopted = second.orchestrator.show(&session).await.unwrap();
        assert_eq!((adopted.pid, adopted.status), (Some(pid), Status::Working));
        second.orchestrator.kill(&session, OnWork::Keep).await.unwrap();
        second.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_noticed_before_the_driver_runs_and_everything_after() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        let session = running.spawn(place, "read line").await;
        running.close().await;
        let (orchestrator, driver) = place.builder().build().await.unwrap();
        let pid = orchestrator.show(&session).await.unwrap().pid.unwrap();
        let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
        assert!(killed.success());
        assert!(!orchestrator.settled().is_cancelled());
        let running = Running::of((orchestrator, driver));
        let (outcome, view) = running.orchestrator.wait(&session, WaitFor::Exit, BOUND).await.unwrap();
        assert_eq!(outcome, WaitOutcome::Reached);
        assert!(view.exit.is_some(), "{view:?}");
        running.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_by_its_code() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        let session = running.spawn(place, "read line").await;
        let refused = running.orchestrator.send(&session, "hello").await.unwrap_err();
        assert_eq!(refused.code, "no_text_hooks", "{refused}");
        let refused = running.orchestrator.restore(&session).await.unwrap_err();
        assert_eq!(refused.code, "not_over", "{refused}");
        let refused = running.orchestrator.events(Some(u64::MAX), None).await.unwrap_err();
        assert_eq!(refused.code, "changes_ahead", "{refused}");
        running.orchestrator.kill(&session, OnWork::Keep).await.unwrap();
        running.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_session_is_restored() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        let session = running.spawn(place, "touch work; read line").await;
        running.orchestrator.kill(&session, OnWork::Keep).await.unwrap();
        assert!(running.live().await.is_empty());
        running.orchestrator.restore(&session).await.unwrap();
        let (outcome, view) = running.orchestrator.wait(&session, WaitFor::Ready, BOUND).await.unwrap();
        assert_eq!(outcome, WaitOutcome::Reached, "{view:?}");
        running.orchestrator.kill(&session, OnWork::Preserve).await.unwrap();
        running.close().await;
    })
    .await;
}

/// Runs `ao` as a person beside that program does, who does not hold up the threads that answer it.
async fn ao(place: &Place, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ao"));
    command.arg("--data-dir").arg(place.path("data")).args(args).env_clear().envs(place.env());
    command.current_dir(place.repository());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The text of a file, once it has a line.
async fn line_of(file: &Path) -> String {
    let written = async {
        loop {
            match std::fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(BOUND, written).await.unwrap_or_else(|_| panic!("nothing in {}", file.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_ao_where_a_program_embeds_it_is_told_of_that_program_and_nothing_is_started() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        running.spawn(place, "read line").await;
        let begun = std::time::Instant::now();
        for args in [
            &["ls"][..],
            &["start"],
            &["stop"],
            &["send", "app-1", "hello"],
            &["spawn", "--agent", "command", "--", "true"],
            &["daemon"],
        ] {
            let (exit, said) = ao(place, args).await;
            let expected = format!("process {}", std::process::id());
            assert!(said.contains(&expected) && said.contains("embedding-") && said.contains("embeds ao"), "{said}");
            assert!(!said.contains("end it"), "{args:?}: nobody is to end a person's program: {said}");
            assert_eq!(exit, Some(if args == ["daemon"] { 5 } else { 3 }), "{args:?}: {said}");
        }
        assert!(begun.elapsed() < Duration::from_secs(25), "it was waited for what cannot come");
        let (_, said) = ao(place, &["doctor"]).await;
        let line = said.lines().find(|line| line.contains(" daemon ")).unwrap_or_default();
        assert!(line.starts_with("no ") && line.contains("embeds ao"), "{said}");
        assert!(!place.path("data/daemon.log").exists(), "a daemon was started");
        running.end_all().await;
        running.close().await;
        assert_eq!(ao(place, &["stop"]).await, (Some(0), "no daemon runs\n".to_owned()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_outlives_its_program_starts_no_daemon_in_its_place() {
    with_places(async |[place]: [&'static Place; 1]| {
        let first = place.open().await;
        let script = r#"ask() { "$AO_PROGRAM" send "$AO_SESSION_ID" hello > "$1.part" 2>&1; echo "exit $?" >> "$1.part"; mv "$1.part" "$1"; }
            ask ../during; until [ -e ../away ]; do sleep 0.05; done; ask ../after; read line"#;
        first.spawn(place, script).await;
        let worktrees = place.path("data/worktrees/app");
        let said = line_of(&worktrees.join("during")).await;
        assert!(said.contains("embeds ao") && said.ends_with("exit 3\n"), "{said}");
        first.close().await;
        std::fs::write(worktrees.join("away"), "").unwrap();
        let said = line_of(&worktrees.join("after")).await;
        assert!(said.contains("no daemon answers") && said.ends_with("exit 3\n"), "{said}");
        assert!(!place.path("data/daemon.log").exists(), "a daemon was started");
        let second = place.open().await;
        second.end_all().await;
        second.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ao_that_cannot_be_one_is_refused_by_its_name() {
    with_places(async |[place]: [&'static Place; 1]| {
        for (program, why) in
            [("/nowhere/ao", "No such file"), ("/bin/echo", "it must be ao "), ("/etc/passwd", "cannot run")]
        {
            let refused = Orchestrator::builder(place.path("data"), program).build().await.unwrap_err();
            assert!(matches!(refused, BuildError::Program { .. }), "{refused:?}");
            let said = refused.to_string();
            assert!(said.starts_with(&format!("cannot use {program} as ao: ")) && said.contains(why), "{said}");
        }
        let link = place.path("link");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ao"), &link).unwrap();
        let built = Orchestrator::builder(place.path("data"), &link).env(place.env()).build().await.unwrap();
        let real = Path::new(env!("CARGO_BIN_EXE_ao")).canonicalize().unwrap();
        assert_eq!(std::fs::read_link(place.path("data/bin/ao")).unwrap(), real);
        Running::of(built).close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_comes_back_where_it_was_also_when_its_session_was_quiet() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        let orchestrator = &running.orchestrator;
        let (quiet, other) = (running.spawn(place, "read line").await, running.spawn(place, "read line").await);
        let mut stream = orchestrator.events(None, Some(quiet.clone())).await.unwrap();
        let begun = stream.position();
        orchestrator.kill(&other, OnWork::Keep).await.unwrap();
        let went_on = async {
            while stream.position() < begun + 2 {
                let none = tokio::time::timeout(Duration::from_millis(10), stream.next()).await;
                assert!(none.is_err(), "nothing happens to it: {none:?}");
            }
        };
        tokio::time::timeout(BOUND, went_on).await.expect("its position stays behind");

        orchestrator.kill(&quiet, OnWork::Keep).await.unwrap();
        let first = stream.next().await.unwrap().unwrap();
        assert!(stream.position() >= first.seq);
        // One that was given and not yet taken is not passed over.
        let mut anew = orchestrator.events(Some(stream.position()), Some(quiet)).await.unwrap();
        let (here, there) = (stream.next().await.unwrap().unwrap(), anew.next().await.unwrap().unwrap());
        assert_eq!((here.seq, &here.kind), (there.seq, &there.kind));
        assert!(here.seq > first.seq);
        running.close().await;
    })
    .await;
}

/// An agent in the place of Claude Code: it sends a message, asks for a permission, and writes down what it is answered.
const ASKING: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }
hook() {
  printf '{"hook_event_name":"%s","tool_name":"Bash","tool_input":{"command":"make deploy"}}' "$1" |
    "$AO_PROGRAM" hook claude-code "$1"
}
hook SessionStart
hook UserPromptSubmit
"$AO_PROGRAM" send app-1 'from its terminal' > "$HOME/sent.part" 2>&1; mv "$HOME/sent.part" "$HOME/sent"
hook PermissionRequest > "$HOME/answer.part" 2>&1; echo >> "$HOME/answer.part"; mv "$HOME/answer.part" "$HOME/answer"
read line
"#;

#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread")]
async fn where_a_program_serves_its_agents_send_and_ask_and_ao_works() {
    with_places(async |[place]: [&'static Place; 1]| {
        let claude = place.path("claude");
        executable::write(&claude, ASKING);
        let data_dir =
            ao::domain::layout::DataDir::new(place.path("data").canonicalize().unwrap_or_else(|_| place.path("data")));
        let surroundings = Surroundings::new(data_dir, env!("CARGO_BIN_EXE_ao").into(), place.env());
        let kind = AgentKind::new("claude-code").unwrap();
        let agent = surroundings.claude_code(kind.clone(), Some(claude), Vec::new());
        let builder = Builder::within(surroundings).agent(std::sync::Arc::new(agent)).settings(|settings| {
            settings.default_runtime = RuntimeChoice::Named(RuntimeKind::new("pty").unwrap());
            settings.stop_grace = Duration::ZERO;
        });
        let running = Running::of(builder.build().await.unwrap());
        let orchestrator = &running.orchestrator;
        let server = AbortOnDropHandle::new(tokio::spawn(orchestrator.serve().unwrap().into_future()));

        let project = orchestrator.add_project(&place.repository()).await.unwrap().project;
        let session = orchestrator.spawn(SpawnRequest::new(project.id)).await.unwrap().id;
        let (outcome, view) = orchestrator.wait(&session, WaitFor::Blocked, BOUND).await.unwrap();
        assert_eq!(outcome, WaitOutcome::Reached, "{view:?}");
        let sent = line_of(&place.path("sent")).await;
        let id = sent.trim().parse().unwrap_or_else(|_| panic!("it was not sent: {sent}"));
        let message = orchestrator.wait_for_message(&id, Duration::ZERO).await.unwrap().message;
        assert_eq!(message.body, "from its terminal");

        // Its hook may be on its way to where it waits.
        let decided = async {
            loop {
                match orchestrator.decide(&session, None, Verdict::Allow, None).await {
                    Ok(decided) => return decided,
                    Err(error) if error.code == "nobody_waits" => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::time::timeout(BOUND, decided).await.expect("its hook asks");
        let answer = line_of(&place.path("answer")).await;
        assert!(answer.contains("\"behavior\":\"allow\""), "{answer}");

        let (exit, said) = ao(place, &["ls"]).await;
        assert!(exit == Some(0) && said.contains("app-1"), "{said}");
        let (exit, said) = ao(place, &["status"]).await;
        assert!(exit == Some(0) && said.contains("embedding-") && said.contains("serves"), "{said}");
        let (exit, said) = ao(place, &["stop"]).await;
        assert!(exit == Some(5) && said.contains("embedding-") && said.contains("embeds ao"), "{said}");
        assert_eq!(ao(place, &["kill", "app-1", "--force"]).await.0, Some(0));
        assert!(running.live().await.is_empty());

        let socket = place.path("data/run/daemon.sock");
        assert!(socket.exists() && place.path("data/run.json").exists());
        running.close().await;
        tokio::time::timeout(BOUND, server).await.expect("the server ends").unwrap().unwrap();
        assert!(!socket.exists() && !place.path("data/run.json").exists(), "something of it is left");
    })
    .await;
}

/// One who was answered and stays connected.
#[cfg(feature = "http")]
async fn connected(socket: &Path) -> tokio::net::UnixStream {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut client = tokio::net::UnixStream::connect(socket).await.unwrap();
    client.write_all(b"GET /api/v1/daemon HTTP/1.1\r\nhost: ao\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    tokio::time::timeout(BOUND, client.read_exact(&mut head)).await.expect("it is answered").unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    client
}

#[cfg(feature = "http")]
async fn is_hung_up_on(mut client: tokio::net::UnixStream, when: &str) {
    use tokio::io::AsyncReadExt;
    let rest = tokio::time::timeout(BOUND, client.read_to_end(&mut Vec::new())).await;
    rest.unwrap_or_else(|_| panic!("a connection goes on {when}")).unwrap();
}

#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_has_one_server_which_ends_when_it_is_dropped_and_before_what_it_answers_from() {
    with_places(async |[place]: [&'static Place; 1]| {
        let running = place.open().await;
        let orchestrator = running.orchestrator.clone();
        let begin = async || {
            let server = orchestrator.serve().unwrap();
            let socket = server.info().socket.clone();
            let mut serving = server.into_future();
            // Begun, and then left alone.
            assert!(tokio::time::timeout(Duration::ZERO, &mut serving).await.is_err(), "it ended at once");
            (serving, connected(&socket).await, socket)
        };
        let (serving, client, socket) = begin().await;
        assert!(matches!(orchestrator.serve(), Err(ao::ServeError::Served)), "two have one socket");
        assert!(socket.exists(), "the second one took it away");
        drop(serving);
        is_hung_up_on(client, "without its server").await;
        let gone = async {
            while socket.exists() || matches!(orchestrator.serve(), Err(ao::ServeError::Served)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, gone).await.expect("its socket goes, and another one may come");

        let (serving, client, socket) = begin().await;
        tokio::time::timeout(BOUND, orchestrator.shut_down()).await.expect("it shuts down");
        assert!(!socket.exists(), "it is answered still, from a store that closes now");
        is_hung_up_on(client, "after its orchestrator").await;
        assert!(tokio::time::timeout(BOUND, serving).await.expect("the server ends").is_ok());
        drop(orchestrator);
        running.close().await;
    })
    .await;
}
