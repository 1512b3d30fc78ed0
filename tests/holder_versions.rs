//! The holders of an older ao, and of a newer one: what they say and what they left on disk is frozen in `tests/data/holder-v1`,
//! and today's `pty` runtime must adopt them.
//!
//! The frozen files are never edited. A new version gets a directory of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::zombie_processes,
    reason = "a test is its own edge, and panics to fail"
)]

#[path = "holder_versions/frozen.rs"]
mod frozen;
#[path = "holder_versions/old_holder.rs"]
mod old_holder;
mod pty_fixture;

use std::path::Path;
use std::time::Duration;

use ao::adapters::runtime::launch::{self, LaunchSpec};
use ao::adapters::runtime::pty::protocol::{self, ErrorCode, Reply, Request};
use ao::domain::exit::Exit;
use ao::domain::session::ProcessIdentity;
use ao::ports::runtime::{Liveness, RuntimeError, TerminalKey};
use ao::testing::runtime::{Bench, check};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use self::frozen::{frame, record};
use self::old_holder::OldHolder;
use self::pty_fixture::Pty;

#[tokio::test]
async fn today_frames_are_those_of_version_1() {
    let requests = [
        ("hello", Request::Hello { version: 1 }, &b""[..]),
        ("input", Request::Input, b"frozen keys\r"),
        ("resize", Request::Resize { rows: 50, cols: 132 }, b""),
        ("screen", Request::Screen, b""),
        ("output", Request::Output { lines: 7 }, b""),
        ("follow", Request::Follow, b""),
        ("stop", Request::Stop { grace_ms: 5000 }, b""),
    ];
    for (name, request, body) in requests {
        assert_frozen(&format!("{name}.request"), &request, body).await;
    }
    let error = |code, message: &str| Reply::Error { code, message: message.to_owned() };
    let replies = [
        ("hello", Reply::Hello { version: 1 }, &b""[..]),
        ("done", Reply::Done, b""),
        ("text", Reply::Text, "frozen grün\nlast line".as_bytes()),
        ("data", Reply::Data, b"raw \x1b[31moutput\r\n"),
        ("lagged", Reply::Lagged { frames: 3 }, b""),
        ("ended-code", Reply::Ended { exit: Exit::Code(3) }, b""),
        ("ended-signal", Reply::Ended { exit: Exit::Signal(9) }, b""),
        ("ended-unknown", Reply::Ended { exit: Exit::Unknown }, b""),
        ("error-version", error(ErrorCode::Version, "this terminal speaks protocol version 1, not 2"), b""),
        ("error-bad-request", error(ErrorCode::BadRequest, "m"), b""),
        ("error-ended", error(ErrorCode::Ended, "the agent has ended"), b""),
        ("error-failed", error(ErrorCode::Failed, "m"), b""),
    ];
    for (name, reply, body) in replies {
        assert_frozen(&format!("{name}.reply"), &reply, body).await;
    }
}

/// A frame is written as it is frozen, and what is frozen is understood.
async fn assert_frozen<T>(name: &str, header: &T, body: &[u8])
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut sent = Vec::new();
    protocol::send(&mut sent, header, body).await.unwrap();
    assert_eq!(sent.escape_ascii().to_string(), frame(name).escape_ascii().to_string(), "{name}");
    let (heard, rest): (T, Vec<u8>) = protocol::receive(&mut frame(name).as_slice()).await.unwrap().unwrap();
    assert_eq!((&heard, rest.as_slice()), (header, body), "{name}");
}

/// A session directory with these frozen records, of processes that are not there.
fn session_dir(records: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let nobody = ProcessIdentity { pid: 1, start_ticks: 1 };
    for (name, frozen) in records {
        old_holder::write(directory.path(), name, &record(frozen, nobody, nobody, nobody));
    }
    directory
}

const LAUNCH: (&str, &str) = ("launch.json", "launch.json");
const ENVIRONMENT: (&str, &str) = ("environment.0190f5a27b1e4c3d9e8fa1b2c3d4e5f6.json", "environment.json");
const CLAIM: (&str, &str) = ("claim.json", "claim.json");
const STARTED: (&str, &str) = ("started.json", "started.json");

#[test]
fn records_of_version_1_are_read() {
    let all = [LAUNCH, CLAIM, STARTED, ("failed.json", "failed.json")];
    let directory = session_dir(&all);
    let spec = LaunchSpec::read(directory.path()).unwrap().unwrap();
    assert_eq!(spec.command.args, ["-c", "exit 3"]);
    assert_eq!((spec.size.rows, spec.size.cols, spec.cwd.as_path()), (40, 120, Path::new("/")));
    assert_eq!(spec.id.to_string(), "0190f5a2-7b1e-4c3d-9e8f-a1b2c3d4e5f6");
    let started = launch::started(directory.path()).unwrap().unwrap();
    assert_eq!((started.agent.pid, started.supervisor.start_ticks), (1, 1));
    assert!(launch::failure(directory.path()).unwrap().unwrap().cause.contains("/frozen"));
    assert!(!launch::is_claimed_by_this_process(directory.path()).unwrap());
    assert_written_as("launch.json", &spec);
}

/// A launch is never written again as it was, so it is enough that it can be read; what is written is frozen as well.
fn assert_written_as(name: &str, spec: &LaunchSpec) {
    let frozen = record(name, spec.launcher, spec.launcher, spec.launcher);
    let written = serde_json::to_value(spec).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(&frozen).unwrap());
}

#[test]
fn a_launch_of_version_1_in_a_control_group_is_read() {
    let directory = session_dir(&[("launch.json", "launch-confined.json")]);
    let spec = LaunchSpec::read(directory.path()).unwrap().unwrap();
    let bounds = spec.bounds.as_ref().unwrap();
    assert_eq!(bounds.group, Path::new("/sys/fs/cgroup/ao-app-1-0190f5a2"));
    assert_eq!(bounds.memory_max_bytes, Some(4 << 30));
    assert_written_as("launch-confined.json", &spec);
}

#[test]
fn what_a_newer_ao_adds_to_a_launch_of_version_1_is_passed_over() {
    let directory = session_dir(&[("launch.json", "launch-confined.json")]);
    let path = launch::directory(directory.path()).join("launch.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let known = LaunchSpec::read(directory.path()).unwrap();
    let more = text.replacen('{', r#"{"more":true,"#, 1).replace(r#""bounds":{"#, r#""bounds":{"more":[1],"#);
    std::fs::write(&path, more).unwrap();
    assert_eq!(LaunchSpec::read(directory.path()).unwrap(), known);
}

#[test]
fn records_of_version_1_tell_how_an_agent_is() {
    let exit = |frozen| ("exit.json", frozen);
    let cases = [
        (vec![LAUNCH, CLAIM, STARTED, exit("exit-code.json")], Exit::Code(3)),
        (vec![LAUNCH, CLAIM, STARTED, exit("exit-signal.json")], Exit::Signal(9)),
        (vec![LAUNCH, CLAIM, STARTED, exit("exit-unknown.json")], Exit::Unknown),
        (vec![LAUNCH, CLAIM, STARTED], Exit::Unknown),
        (vec![LAUNCH, CLAIM, ("failed.json", "failed.json")], Exit::Unknown),
        (vec![LAUNCH, ENVIRONMENT, ("claim.json", "claim-called-off.json")], Exit::Unknown),
    ];
    for (records, exit) in cases {
        let directory = session_dir(&records);
        assert_eq!(launch::probe(directory.path()), Liveness::Dead(exit), "{records:?}");
        assert!(!launch::directory(directory.path()).join(ENVIRONMENT.0).exists(), "its secrets are found and go");
    }
}

#[test]
fn records_of_a_newer_version_are_unknown_and_never_death() {
    for newer in ["launch.json", "started.json", "exit.json"] {
        let directory = session_dir(&[LAUNCH, CLAIM, STARTED, ("exit.json", "exit-code.json")]);
        if newer != "exit.json" {
            std::fs::remove_file(launch::directory(directory.path()).join("exit.json")).unwrap();
        }
        let path = launch::directory(directory.path()).join(newer);
        let text = std::fs::read_to_string(&path).unwrap().replace(r#""version":1"#, r#""version":2,"more":true"#);
        std::fs::write(&path, text).unwrap();
        let seen = launch::probe(directory.path());
        assert!(matches!(&seen, Liveness::Unknown(why) if why.contains("format version 2")), "{newer}: {seen:?}");
    }
}

#[tokio::test]
async fn i03_a_holder_of_version_1_is_adopted() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        let holder = OldHolder::start(&bench, &key, 1).await;
        assert_eq!(bench.probe(&key).await, Liveness::Alive(holder.agent()));
        let runtime = bench.another_runtime();
        assert_eq!(runtime.screen(&key).await.unwrap(), "frozen grün\nlast line");
        assert_eq!(runtime.output(&key, 7).await.unwrap(), "frozen grün\nlast line");
        runtime.input(&key, b"frozen keys\r").await.unwrap();
        assert_eq!(bench.until_written("typed").await, b"frozen keys\r");
        let ended = runtime.ended(&key);
        tokio::pin!(ended);
        let early = tokio::time::timeout(Duration::from_millis(100), &mut ended).await;
        assert!(early.is_err(), "told before the end");
        assert_eq!(runtime.stop(&key, Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(3)));
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("told of the end");
        assert_eq!(bench.probe(&key).await, Liveness::Dead(Exit::Code(3)));
        assert!(matches!(runtime.input(&key, b"x").await, Err(RuntimeError::NoTerminal { .. })));
    })
    .await;
}

#[tokio::test]
async fn a_follower_understands_a_holder_of_version_1() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        let holder = OldHolder::start(&bench, &key, 1).await;
        let mut stream = UnixStream::connect(holder.socket()).await.unwrap();
        protocol::send(&mut stream, &Request::Hello { version: 1 }, b"").await.unwrap();
        protocol::send(&mut stream, &Request::Follow, b"").await.unwrap();
        let mut heard = Vec::new();
        for _ in 0..4 {
            heard.push(protocol::receive::<Reply>(&mut stream).await.unwrap().unwrap().0);
        }
        let ended = Reply::Ended { exit: Exit::Code(3) };
        assert_eq!(heard, [Reply::Hello { version: 1 }, Reply::Data, Reply::Lagged { frames: 3 }, ended]);
    })
    .await;
}

#[tokio::test]
async fn i03_a_holder_of_an_unknown_newer_version_keeps_its_agent() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        let holder = OldHolder::start(&bench, &key, 2).await;
        assert_eq!(bench.probe(&key).await, Liveness::Alive(holder.agent()));
        let runtime = bench.runtime();
        let failures = [
            runtime.screen(&key).await.map(drop),
            runtime.output(&key, 7).await.map(drop),
            runtime.input(&key, b"x").await,
        ];
        for failure in failures {
            let Err(RuntimeError::Failed { cause, .. }) = &failure else { panic!("{failure:?}") };
            let words =
                ["none of the protocol versions [1]", "speaks protocol version 2, not 1", "use the ao that started it"];
            assert!(words.iter().all(|words| cause.contains(words)), "{cause}");
        }
        assert_eq!(bench.probe(&key).await, Liveness::Alive(holder.agent()), "nothing of that harmed it");
        assert_eq!(runtime.stop(&key, Duration::from_secs(20)).await.unwrap(), Some(Exit::Code(3)));
    })
    .await;
}

/// Writes a frozen request and gives the bytes of the whole answer.
async fn ask(stream: &mut UnixStream, request: &str) -> Vec<u8> {
    stream.write_all(&frame(request)).await.unwrap();
    let answer = async {
        let (header, body) = (stream.read_u32().await.unwrap(), stream.read_u32().await.unwrap());
        let mut rest = vec![0; (header + body) as usize];
        stream.read_exact(&mut rest).await.unwrap();
        [&header.to_be_bytes()[..], &body.to_be_bytes(), &rest].concat()
    };
    tokio::time::timeout(Duration::from_secs(20), answer).await.expect("the holder answers in time")
}

async fn connect(key: &TerminalKey) -> UnixStream {
    let socket = std::fs::read_to_string(launch::directory(&key.session_dir).join("socket")).unwrap();
    let mut stream = UnixStream::connect(socket).await.unwrap();
    assert_eq!(ask(&mut stream, "hello.request").await, frame("hello.reply"));
    stream
}

/// After a step back to an older ao, its clients meet today's holders.
#[tokio::test]
async fn todays_holder_understands_a_client_of_version_1() {
    check(Pty::new(), async |bench: Bench| {
        let script = "printf 'frozen gr\\303\\274n\\nlast line'; read line; printf %s \"$line\" > typed.part; \
                      mv typed.part typed; while :; do sleep 0.05; done";
        let (key, _) = bench.run(script).await;
        bench.until_shown(&key, "last line").await;
        let mut stream = connect(&key).await;
        for request in ["screen.request", "output.request"] {
            assert_eq!(ask(&mut stream, request).await, frame("text.reply"), "{request}");
        }
        assert_eq!(ask(&mut stream, "resize.request").await, frame("done.reply"));
        assert_eq!(ask(&mut stream, "input.request").await, frame("done.reply"));
        assert_eq!(bench.until_written("typed").await, b"frozen keys");
        let mut following = connect(&key).await;
        let data = ask(&mut following, "follow.request").await;
        assert_eq!(data[8..23], frame("data.reply")[8..23], "{}", data.escape_ascii());
        let mut stopping = connect(&key).await;
        let ended = ask(&mut stopping, "stop.request").await;
        let signal = String::from_utf8(frame("ended-signal.reply")).unwrap().replace('9', "15").replace('$', "%");
        assert_eq!(ended.escape_ascii().to_string(), signal.as_bytes().escape_ascii().to_string());
    })
    .await;
}

/// The process that is the old holder; see [`OldHolder`].
#[test]
#[ignore = "run as a process of its own by OldHolder"]
fn old_holder_process() {
    let env = |name: &str| std::env::var(name).unwrap();
    let (directory, socket) = (env("OLD_HOLDER_DIR"), env("OLD_HOLDER_SOCKET"));
    let (launch, version) = (env("OLD_HOLDER_LAUNCH"), env("OLD_HOLDER_VERSION"));
    old_holder::run(Path::new(&directory), Path::new(&socket), &launch, &version);
}
