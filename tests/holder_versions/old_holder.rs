//! A holder as an earlier ao made it: a process that writes the frozen records, and speaks exactly the frozen bytes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ao::adapters::runtime::launch;
use ao::domain::session::ProcessIdentity;
use ao::platform::process;
use ao::ports::runtime::TerminalKey;
use ao::testing::runtime::Bench;

use crate::frozen::{frames, record};

/// The id in the frozen launch. It marks processes, so each holder that runs has another one in its place.
const FROZEN_ID: &str = "0190f5a2-7b1e-4c3d-9e8f-a1b2c3d4e5f6";

/// A running old holder. Its terminal is stopped by the bench like any other.
pub(crate) struct OldHolder {
    child: Child,
    socket: PathBuf,
    agent: ProcessIdentity,
}

impl OldHolder {
    /// Starts it in a session's directory, and waits until its agent is on record.
    pub(crate) async fn start(bench: &Bench, key: &TerminalKey, version: u32) -> Self {
        let socket = bench.path("old.sock");
        let me = identity(std::process::id());
        // The launcher: what an old daemon did before it started the holder.
        let id = uuid::Uuid::new_v4().to_string();
        write(&key.session_dir, "launch.json", &record("launch.json", me, me, me).replace(FROZEN_ID, &id));
        write(&key.session_dir, "socket", socket.to_str().unwrap());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "old_holder_process", "--ignored", "--test-threads=1"])
            .env("OLD_HOLDER_DIR", &key.session_dir)
            .env("OLD_HOLDER_SOCKET", &socket)
            .env("OLD_HOLDER_LAUNCH", id)
            .env("OLD_HOLDER_VERSION", version.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let started = async || launch::started(&key.session_dir).unwrap();
        let started = bench.until("the old holder has started its agent", started).await;
        assert_eq!(started.supervisor.pid, child.id());
        Self { child, socket, agent: started.agent }
    }

    pub(crate) fn agent(&self) -> ProcessIdentity {
        self.agent
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for OldHolder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let agent = rustix::process::Pid::from_raw(i32::try_from(self.agent.pid).unwrap()).unwrap();
        if process::is_running(self.agent).unwrap() {
            let _ = rustix::process::kill_process(agent, rustix::process::Signal::KILL);
        }
    }
}

/// Writes a file of a terminal as a whole.
pub(crate) fn write(session_dir: &Path, name: &str, content: &str) {
    let directory = session_dir.join("terminal");
    std::fs::create_dir_all(&directory).unwrap();
    let unfinished = directory.join(format!(".{name}.tmp"));
    std::fs::write(&unfinished, content).unwrap();
    std::fs::rename(unfinished, directory.join(name)).unwrap();
}

fn identity(pid: u32) -> ProcessIdentity {
    process::identity(pid).unwrap().unwrap()
}

/// The whole process: until the agent has ended and its end is on record.
pub(crate) fn run(session_dir: &Path, socket: &Path, launch: &str, version: &str) {
    let me = identity(std::process::id());
    let listener = UnixListener::bind(socket).unwrap();
    write(session_dir, "claim.json", &record("claim.json", me, me, me));
    let mut agent = Command::new("/bin/sh")
        .args(["-c", "trap 'exit 3' TERM; echo > ready.part; mv ready.part ready; while :; do sleep 0.05; done"])
        .current_dir(session_dir)
        .env("AO_LAUNCH_ID", launch)
        .spawn()
        .unwrap();
    while !session_dir.join("ready").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    write(session_dir, "started.json", &record("started.json", me, me, identity(agent.id())));
    let (frames, typed, version) = (frames(), session_dir.with_file_name("typed"), version.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap(), &frames, &typed, &version);
        }
    });
    assert_eq!(agent.wait().unwrap().code(), Some(3), "ended in order");
    write(session_dir, "exit.json", &record("exit-code.json", me, me, me));
    std::fs::remove_file(socket).unwrap();
}

fn serve(mut stream: UnixStream, frames: &BTreeMap<String, Vec<u8>>, typed: &Path, version: &str) {
    let name_of =
        |bytes: &[u8]| frames.iter().find(|(_, frame)| frame.as_slice() == bytes).map(|(name, _)| name.as_str());
    let mut is_greeted = false;
    while let Some(request) = next(&mut stream) {
        let replies: &[&str] = match name_of(&request) {
            Some("hello.reply" | "hello.request") if version == "1" => &["hello.reply"],
            Some("hello.reply" | "hello.request") => {
                // As version 1 would say it, of itself.
                let refusal = String::from_utf8(frames["error-version.reply"].clone()).unwrap();
                stream.write_all(refusal.replace("version 1, not 2", "version 2, not 1").as_bytes()).unwrap();
                return;
            }
            Some("screen.request" | "output.request") if is_greeted => &["text.reply"],
            Some("resize.request") if is_greeted => &["done.reply"],
            Some("input.request") if is_greeted => {
                std::fs::write(typed, "frozen keys\r").unwrap();
                &["done.reply"]
            }
            Some("follow.request") if is_greeted => &["data.reply", "lagged.reply", "ended-code.reply"],
            // It cannot be understood, as a holder of that time would say.
            _ => &["error-bad-request.reply"],
        };
        is_greeted = true;
        for reply in replies {
            stream.write_all(&frames[*reply]).unwrap();
        }
    }
}

/// The next frame's bytes; `None` when the client hung up.
fn next(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut lengths = [0; 8];
    stream.read_exact(&mut lengths).ok()?;
    let length = |from: usize| u32::from_be_bytes(lengths[from..from + 4].try_into().unwrap()) as usize;
    let mut rest = vec![0; length(0) + length(4)];
    stream.read_exact(&mut rest).ok()?;
    Some([&lengths[..], &rest].concat())
}
