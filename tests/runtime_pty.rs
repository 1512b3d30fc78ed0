//! What the `pty` runtime does beyond its port's contract: its holder, its socket, and what happens when one of them is killed.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test is its own edge, and panics to fail"
)]

mod pty_fixture;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ao::adapters::runtime::launch::{self, Claim};
use ao::adapters::runtime::pty::PtyRuntime;
use ao::adapters::runtime::pty::protocol::{self, ErrorCode, Reply, Request};
use ao::adapters::runtime::pty::scrollback::SCROLLBACK_BYTES;
use ao::domain::exit::Exit;
use ao::domain::session::ProcessIdentity;
use ao::platform::{process, tree};
use ao::ports::runtime::{Liveness, Runtime, RuntimeError, TerminalKey};
use ao::testing::runtime::{Bench, RuntimeFixture, check};
use rustix::process::Signal;
use tokio::net::UnixStream;

use self::pty_fixture::Pty;

fn socket(key: &TerminalKey) -> PathBuf {
    std::fs::read_to_string(launch::directory(&key.session_dir).join("socket")).unwrap().into()
}

fn holder(key: &TerminalKey) -> ProcessIdentity {
    launch::started(&key.session_dir).unwrap().unwrap().supervisor
}

async fn connect(key: &TerminalKey) -> UnixStream {
    let mut stream = UnixStream::connect(socket(key)).await.unwrap();
    let (reply, _) = ask(&mut stream, &Request::Hello { version: protocol::PROTOCOL_VERSION }, b"").await;
    assert_eq!(reply, Reply::Hello { version: protocol::PROTOCOL_VERSION });
    stream
}

async fn ask(stream: &mut UnixStream, request: &Request, body: &[u8]) -> (Reply, Vec<u8>) {
    protocol::send(stream, request, body).await.unwrap();
    hear(stream).await
}

async fn hear(stream: &mut UnixStream) -> (Reply, Vec<u8>) {
    let heard = tokio::time::timeout(Duration::from_secs(20), protocol::receive(stream)).await;
    heard.expect("the holder answers in time").unwrap().expect("the holder does not hang up")
}

async fn until_gone(bench: &Bench, process: ProcessIdentity) {
    bench.until("the process is gone", async || (!process::is_running(process).unwrap()).then_some(())).await;
}

#[tokio::test]
async fn everything_on_disk_is_private() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("echo secret; seq 1 100; read line").await;
        bench.until_shown(&key, "100").await;
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let directory = launch::directory(&key.session_dir);
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&socket(&key)), 0o600);
        assert_eq!(mode(socket(&key).parent().unwrap()), 0o700);
        let lines = directory.join("lines");
        for (directory, least) in [(directory, 5), (lines, 1)] {
            let names: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(names.len() >= least, "{names:?}");
            for path in names {
                let expected = if path.is_dir() { 0o700 } else { 0o600 };
                assert_eq!(mode(&path), expected, "{}", path.display());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_socket_directory_that_others_can_write_to_is_refused() {
    check(Pty::new(), async |bench: Bench| {
        std::fs::create_dir(bench.path("sockets")).unwrap();
        std::fs::set_permissions(bench.path("sockets"), std::fs::Permissions::from_mode(0o777)).unwrap();
        let key = bench.key();
        let result = bench.runtime().create(&bench.script(&key, "read line")).await;
        assert!(
            matches!(&result, Err(RuntimeError::CannotCreate { cause, .. }) if cause.contains("open to other users")),
            "{result:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_holder_is_gone_after_the_agent_and_leaves_no_socket() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("read line").await;
        let holder = holder(&key);
        assert!(process::is_running(holder).unwrap());
        bench.runtime().input(&key, b"\r").await.unwrap();
        bench.until_dead(&key).await;
        until_gone(&bench, holder).await;
        assert!(!socket(&key).exists());
    })
    .await;
}

#[tokio::test]
async fn i03_a_killed_holder_takes_its_agent_along_and_the_probe_says_so() {
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("echo said before; read line").await;
        bench.until_shown(&key, "said before").await;
        tree::send(holder(&key), Signal::KILL).unwrap();
        until_gone(&bench, agent).await;
        assert_eq!(bench.until_dead(&key).await, Exit::Unknown);
        assert!(bench.runtime().screen(&key).await.unwrap().contains("said before"), "from the raw output on disk");
        assert!(matches!(bench.runtime().input(&key, b"x").await, Err(RuntimeError::NoTerminal { .. })));
        assert_eq!(bench.runtime().stop(&key, Duration::ZERO).await.unwrap(), None);
        assert!(!socket(&key).exists(), "the socket it could not remove");
        let again = bench.create(&bench.script(&key, "read line")).await;
        assert_eq!(bench.probe(&key).await, Liveness::Alive(again));
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_survives_its_holder_is_still_seen_and_stopped() {
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("trap '' HUP; echo > ready; while :; do sleep 0.05; done").await;
        bench.until_written("ready").await;
        tree::send(holder(&key), Signal::KILL).unwrap();
        until_gone(&bench, holder(&key)).await;
        assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
        let typed = bench.runtime().input(&key, b"x").await;
        assert!(matches!(typed, Err(RuntimeError::Failed { .. })), "{typed:?}");
        assert_eq!(bench.runtime().stop(&key, Duration::from_secs(5)).await.unwrap(), Some(Exit::Unknown));
        assert!(!process::is_running(agent).unwrap());
    })
    .await;
}

#[tokio::test]
async fn the_end_of_an_agent_whose_holder_hangs_is_not_waited_for_without_end() {
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("read line").await;
        let holder = holder(&key);
        tree::send(holder, Signal::STOP).unwrap();
        tree::send(agent, Signal::KILL).unwrap();
        until_gone(&bench, agent).await;
        assert!(matches!(bench.probe(&key).await, Liveness::Unknown(_)), "its end is worth waiting for");
        assert_eq!(bench.until_dead(&key).await, Exit::Unknown);
        bench.runtime().stop(&key, Duration::ZERO).await.unwrap();
        assert!(!process::is_running(holder).unwrap(), "the holder hangs on");
    })
    .await;
}

/// A named pipe as standard input: whoever opens it to start the agent waits until somebody writes.
fn pipe(bench: &Bench) -> PathBuf {
    let pipe = bench.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

async fn until_taken(bench: &Bench, key: &TerminalKey) -> ProcessIdentity {
    let claim = launch::directory(&key.session_dir).join("claim.json");
    let look = async || match serde_json::from_slice(&std::fs::read(&claim).ok()?).unwrap() {
        Claim::Supervisor(holder) => Some(holder),
        Claim::CalledOff => None,
    };
    bench.until("the holder has taken the launch", look).await
}

#[tokio::test]
async fn i01_a_holder_killed_before_it_started_the_agent_leaves_nothing() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        let mut spec = bench.script(&key, "read line");
        spec.command.stdin = Some(pipe(&bench));
        let kill = async { tree::send(until_taken(&bench, &key).await, Signal::KILL).unwrap() };
        let (created, ()) = tokio::join!(bench.runtime().create(&spec), kill);
        let Err(RuntimeError::CannotCreate { cause, .. }) = created else { panic!("{created:?}") };
        assert!(cause.contains("did not start the agent") && cause.contains("signal: 9"), "{cause}");
        bench.assert_nothing_left(&key).await;
        assert!(!launch::directory(&key.session_dir).exists());
    })
    .await;
}

#[tokio::test]
#[ignore = "takes as long as a start may take, and then as long as its end: 40 s"]
async fn i01_a_start_that_takes_too_long_leaves_nothing() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        let mut spec = bench.script(&key, "read line");
        spec.command.stdin = Some(pipe(&bench));
        let created = bench.runtime().create(&spec).await;
        let Err(RuntimeError::CannotCreate { cause, .. }) = created else { panic!("{created:?}") };
        assert!(cause.contains("not seen running"), "{cause}");
        bench.assert_nothing_left(&key).await;
        assert!(!launch::directory(&key.session_dir).exists());
    })
    .await;
}

#[tokio::test]
async fn sigterm_to_the_holder_ends_the_agent_in_order() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("trap 'exit 5' TERM; echo > ready; while :; do sleep 0.05; done").await;
        bench.until_written("ready").await;
        for survived in [Signal::HUP, Signal::INT, Signal::QUIT] {
            tree::send(holder(&key), survived).unwrap();
        }
        assert!(bench.runtime().screen(&key).await.is_ok());
        tree::send(holder(&key), Signal::TERM).unwrap();
        assert_eq!(bench.until_dead(&key).await, Exit::Code(5));
    })
    .await;
}

/// A process that makes a terminal as a daemon would, says so and hangs.
#[tokio::test]
#[ignore = "run as a process of its own by i03_agents_outlive_a_killed_daemon"]
async fn daemon() {
    let root = PathBuf::from(std::env::var("TEST_ROOT").unwrap());
    check(Pty::new(), async move |bench: Bench| {
        let ao = PathBuf::from(env!("CARGO_BIN_EXE_ao"));
        let runtime = PtyRuntime::new(ao, root.join("sockets"));
        let mut spec = bench.script(&bench.key(), "echo from the daemon; while :; do sleep 0.05; done");
        spec.key = key_in(&root);
        spec.cwd.clone_from(&root);
        runtime.create(&spec).await.unwrap();
        std::fs::write(root.join("created"), "").unwrap();
        std::future::pending::<()>().await;
    })
    .await;
}

fn key_in(root: &Path) -> TerminalKey {
    TerminalKey { session: "outlives-1".parse().unwrap(), session_dir: root.join("outlives-1"), agent: None }
}

#[tokio::test]
async fn i03_agents_outlive_a_killed_daemon() {
    for signal in [Signal::KILL, Signal::INT, Signal::HUP] {
        check(Pty::new(), async move |bench: Bench| {
            let root = bench.path("");
            let key = key_in(&root);
            std::fs::create_dir(&key.session_dir).unwrap();
            let mut daemon = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "daemon", "--ignored", "--test-threads=1"])
                .env("TEST_ROOT", &root)
                .process_group(0)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let created = async || root.join("created").exists().then_some(());
            bench.until("the daemon has made its terminal", created).await;
            let Liveness::Alive(agent) = bench.probe(&key).await else { panic!("the agent does not run") };
            // The whole process group, as a terminal does at Ctrl-C.
            let group = rustix::process::Pid::from_child(&daemon);
            rustix::process::kill_process_group(group, signal).unwrap();
            // Whoever runs the tests may have had it ignored, as nohup does.
            rustix::process::kill_process_group(group, Signal::KILL).unwrap();
            daemon.wait().unwrap();
            bench.until_shown(&key, "from the daemon").await;
            assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
            let exit = bench.runtime().stop(&key, Duration::from_secs(5)).await.unwrap();
            assert_eq!(exit, Some(Exit::Signal(15)), "a new daemon finds it and learns how it ended");
        })
        .await;
    }
}

#[tokio::test]
async fn another_protocol_version_is_refused_by_name() {
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("read line").await;
        let mut stream = UnixStream::connect(socket(&key)).await.unwrap();
        let (reply, _) = ask(&mut stream, &Request::Hello { version: 999 }, b"").await;
        let Reply::Error { code: ErrorCode::Version, message } = reply else { panic!("{reply:?}") };
        assert!(message.contains("version 1, not 999"), "{message}");
        for first in [Request::Screen, Request::Input] {
            let mut stream = UnixStream::connect(socket(&key)).await.unwrap();
            let (reply, _) = ask(&mut stream, &first, b"exit\r").await;
            assert!(matches!(reply, Reply::Error { code: ErrorCode::BadRequest, .. }), "{reply:?}");
        }
        assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
    })
    .await;
}

#[tokio::test]
async fn rubbish_on_the_socket_harms_nobody() {
    use tokio::io::AsyncWriteExt;
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("read line").await;
        for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], b"\0\0\0\x04\0\0\0\0null", b""] {
            let mut stream = UnixStream::connect(socket(&key)).await.unwrap();
            let _ = stream.write_all(rubbish).await;
        }
        assert!(bench.runtime().screen(&key).await.is_ok());
        assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
    })
    .await;
}

#[tokio::test]
async fn a_program_learns_the_new_size() {
    check(Pty::new(), async |bench: Bench| {
        let script =
            "trap 'stty size > resized.part; mv resized.part resized' WINCH; stty size; while :; do sleep 0.05; done";
        let (key, _) = bench.run(script).await;
        bench.until_shown(&key, "40 120").await;
        let mut stream = connect(&key).await;
        assert_eq!(ask(&mut stream, &Request::Resize { rows: 50, cols: 97 }, b"").await.0, Reply::Done);
        assert_eq!(bench.until_written("resized").await, b"50 97\n");
    })
    .await;
}

#[tokio::test]
async fn a_holder_stays_small_whatever_it_is_told() {
    check(Pty::new(), async |bench: Bench| {
        let script = "printf '\\033]0;'; head -c 100000000 /dev/zero | tr '\\0' x; printf '\\007'; echo; echo > finished; \
                      stty size; while :; do sleep 0.05; done";
        let (key, _) = bench.run(script).await;
        bench.until_written("finished").await;
        let mut stream = connect(&key).await;
        assert_eq!(ask(&mut stream, &Request::Resize { rows: u16::MAX, cols: u16::MAX }, b"").await.0, Reply::Done);
        bench.until_shown(&key, "40 120").await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", holder(&key).pid)).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak_kib < 96 * 1024, "the holder took {peak_kib} KiB");
    })
    .await;
}

#[tokio::test]
async fn the_terminal_answers_with_nobody_attached() {
    check(Pty::new(), async |bench: Bench| {
        let script = "stty raw -echo; printf 'abc\\033[6n'; dd bs=1 count=6 of=answer.part 2> errors; mv answer.part answer; sleep 60";
        let (_key, _) = bench.run(script).await;
        assert_eq!(bench.until_written("answer").await, b"\x1b[1;4R");
    })
    .await;
}

#[tokio::test]
async fn a_follower_gets_what_was_and_what_comes_and_the_end() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("echo before; read line; echo after; exit 4").await;
        bench.until_shown(&key, "before").await;
        let mut stream = connect(&key).await;
        let (reply, mut seen) = ask(&mut stream, &Request::Follow, b"").await;
        assert_eq!(reply, Reply::Data);
        assert!(seen.starts_with(b"before\r\n"), "raw output, not text");
        bench.runtime().input(&key, b"\r").await.unwrap();
        let exit = loop {
            match hear(&mut stream).await {
                (Reply::Data, data) => seen.extend(data),
                (Reply::Ended { exit }, _) => break exit,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(exit, Exit::Code(4));
        assert!(seen.ends_with(b"after\r\n"), "{}", String::from_utf8_lossy(&seen));
    })
    .await;
}

#[tokio::test]
async fn a_follower_that_does_not_read_holds_nobody_up() {
    check(Pty::new(), async |bench: Bench| {
        let script = "read line; i=0; while test $i -lt 30; do head -c 1000000 /dev/zero | tr '\\0' x; i=$((i+1)); done; \
                      echo; echo > finished; read line";
        let (key, _) = bench.run(script).await;
        let mut stuck = connect(&key).await;
        protocol::send(&mut stuck, &Request::Follow, b"").await.unwrap();
        bench.runtime().input(&key, b"\r").await.unwrap();
        bench.until_written("finished").await;
        let lagged = async {
            loop {
                if let (Reply::Lagged { frames }, _) = hear(&mut stuck).await {
                    return frames;
                }
            }
        };
        assert!(lagged.await > 0, "it is told that it missed something");
        let kept: u64 = ["scrollback.log", "scrollback.old.log"]
            .iter()
            .map(|name| launch::directory(&key.session_dir).join(name).metadata().unwrap().len())
            .sum();
        assert!(kept <= SCROLLBACK_BYTES, "{kept} bytes of 30 MB are kept");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_does_not_read_holds_nobody_up() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("stty raw -echo; echo > ready; while :; do echo tick; sleep 0.05; done").await;
        bench.until_written("ready").await;
        let typed = bench.runtime().input(&key, &vec![b'x'; 1_000_000]).await;
        assert!(matches!(typed, Err(RuntimeError::Failed { .. })), "{typed:?}");
        bench.until_shown(&key, "tick").await;
        assert!(bench.runtime().stop(&key, Duration::from_secs(5)).await.unwrap().is_some());
    })
    .await;
}

/// What a terminal that nobody reads takes before it makes its writer wait, in bytes, and then some.
const KERNEL_BUFFER_BYTES: usize = 100_000;

#[tokio::test]
async fn i08_what_was_reported_as_failed_is_not_typed_later() {
    check(Pty::new(), async |bench: Bench| {
        let script = "stty raw -echo; echo > ready; until test -e go; do sleep 0.05; done; exec cat > got";
        let (key, _) = bench.run(script).await;
        bench.until_written("ready").await;
        let typed = bench.runtime().input(&key, &vec![b'x'; 1_000_000]).await;
        assert!(matches!(typed, Err(RuntimeError::Failed { .. })), "{typed:?}");
        // Enough to fill every queue.
        let mut queued = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (bench, key) = (bench.clone(), key.clone());
            queued.spawn(async move { bench.runtime().input(&key, b"queued").await });
        }
        for typed in queued.join_all().await {
            assert!(matches!(typed, Err(RuntimeError::Failed { .. })), "{typed:?}");
        }
        std::fs::write(bench.path("go"), "").unwrap();
        bench.runtime().input(&key, b"the end").await.unwrap();
        let look = async || std::fs::read(bench.path("got")).ok().filter(|got| got.ends_with(b"the end"));
        let got = bench.until("what is typed arrives again", look).await;
        let taken = got.len() - "the end".len();
        assert!(taken < KERNEL_BUFFER_BYTES, "{taken} bytes of what had failed were typed");
        assert!(got[..taken].iter().all(|byte| *byte == b'x'), "what was queued was typed");
    })
    .await;
}

#[tokio::test]
async fn another_request_calls_a_waiting_input_off() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("stty raw -echo; echo > ready; while :; do sleep 0.05; done").await;
        bench.until_written("ready").await;
        let mut stream = connect(&key).await;
        protocol::send(&mut stream, &Request::Input, &vec![b'x'; 1_000_000]).await.unwrap();
        let (reply, _) = ask(&mut stream, &Request::Screen, b"").await;
        assert!(matches!(reply, Reply::Error { code: ErrorCode::Failed, .. }), "{reply:?}");
        assert_eq!(hear(&mut stream).await.0, Reply::Text);
    })
    .await;
}

#[tokio::test]
async fn stop_on_the_socket_answers_with_the_exit() {
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run("trap '' TERM; echo > ready; while :; do sleep 0.05; done").await;
        bench.until_written("ready").await;
        let mut stream = connect(&key).await;
        let (reply, _) = ask(&mut stream, &Request::Stop { grace_ms: 200 }, b"").await;
        assert_eq!(reply, Reply::Ended { exit: Exit::Signal(9) });
        assert_eq!(bench.probe(&key).await, Liveness::Dead(Exit::Signal(9)), "recorded before it is told");
    })
    .await;
}

#[tokio::test]
async fn a_service_that_stepped_out_on_purpose_outlives_the_agent() {
    check(Pty::new(), async |bench: Bench| {
        let script = "env -u AO_LAUNCH_ID setsid sh -c 'echo $$ > service; exec sleep 600' & \
                      while ! test -s service; do sleep 0.02; done; exit 0";
        let (key, _) = bench.run(script).await;
        bench.until_dead(&key).await;
        let pid: u32 = String::from_utf8(bench.until_written("service").await).unwrap().trim().parse().unwrap();
        let service = process::identity(pid).unwrap().expect("a daemon that an agent started would be dead now");
        tree::send(service, Signal::KILL).unwrap();
    })
    .await;
}

/// A disk that hangs is no sign of an end.
#[tokio::test]
async fn pipes_in_the_place_of_records_hold_no_look_up() {
    let pty = Pty::new();
    let key =
        |name: &str| TerminalKey { session: name.parse().unwrap(), session_dir: pty.root().join(name), agent: None };
    let (piped, other) = (key("app-1"), key("app-2"));
    for key in [&piped, &other] {
        std::fs::create_dir_all(launch::directory(&key.session_dir)).unwrap();
    }
    for name in ["launch.json", "claim.json", "started.json", "exit.json"] {
        let pipe = launch::directory(&piped.session_dir).join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }
    let look = async { pty.runtime().probe(&[piped.clone(), other.clone()]).await };
    let answers = tokio::time::timeout(Duration::from_secs(60), look).await.expect("nobody writes there");
    // What cannot be read is never taken for an end.
    let unknown = &answers[&piped.session];
    assert!(matches!(unknown, Liveness::Unknown(why) if why.contains(".json")), "{answers:?}");
    assert_eq!(answers[&other.session], Liveness::Dead(Exit::Unknown));
}
