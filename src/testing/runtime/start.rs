//! Clauses about the start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;

use super::bench::{Bench, processes_with, runs};
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::platform::process;
use crate::ports::runtime::{LAUNCH_ID_VARIABLE, Liveness, Marks, RuntimeError};

/// Text that every careless layer breaks: quotes, expansions, white space, control characters, no ASCII.
const AWKWARD: &str =
    "it's \"quoted\" $(touch pwned) `touch pwned` $HOME ~ * \\ \n second line\t; & | > pwned # \u{1f980} \u{e4} {x} %s";

fn entries(pid: u32, file: &str) -> Vec<String> {
    let content = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    content.split_terminator('\0').map(str::to_owned).collect()
}

/// `create` gives the identity of the agent's process, and the probe sees the same one.
pub async fn a_created_agent_was_seen_running(bench: Bench) {
    let (key, agent) = bench.run("read line").await;
    assert!(process::is_running(agent).unwrap(), "the process does not run");
    assert_eq!(entries(agent.pid, "cmdline"), ["/bin/sh", "-c", "read line"], "that is another process");
    assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
}

/// The launch's id is in the agent's environment, other than in that of another one, and is the last launch's alone.
pub async fn an_agents_process_is_known_by_its_launch(bench: Bench) {
    let (key, agent) = bench.run("read line").await;
    let (other, _) = bench.run("read line").await;
    let marks = |agent: ProcessIdentity| {
        let prefix = format!("{LAUNCH_ID_VARIABLE}=");
        let entries = entries(agent.pid, "environ");
        let id = entries.iter().find_map(|entry| entry.strip_prefix(&prefix)).expect("it is marked");
        // An outer one's does not count.
        Marks { launches: vec![format!("x{id}"), id.to_owned()], group: None }
    };
    let first = marks(agent);
    assert!(bench.runtime().has_launched(&key, &first).await);
    assert!(!bench.runtime().has_launched(&other, &first).await, "it is another's");
    assert!(!bench.runtime().has_launched(&bench.key(), &first).await, "there is none");
    let anybodys = Marks { launches: vec![String::new(), "x".to_owned()], group: Some("/".into()) };
    assert!(!bench.runtime().has_launched(&key, &anybodys).await);
    bench.runtime().stop(&key, Duration::ZERO).await.unwrap();
    let again = bench.create(&bench.script(&key, "read line")).await;
    assert!(bench.runtime().has_launched(&key, &marks(again)).await);
    assert!(!bench.runtime().has_launched(&key, &first).await, "that launch is over");
}

/// No layer between `create` and the agent changes what it is started with.
pub async fn arguments_environment_and_directory_arrive_byte_for_byte(bench: Bench) {
    let key = bench.key();
    let cwd = bench.path("a dir with 'quotes' \u{e4}\u{1f980}");
    std::fs::create_dir(&cwd).unwrap();
    let args = ["-c", "read line", "-leading", "--", "", AWKWARD];
    let mut spec = bench.spec(&key, "/bin/sh", &args);
    spec.cwd.clone_from(&cwd);
    spec.base_env.insert("FROM_BASE".to_owned(), AWKWARD.to_owned());
    spec.base_env.insert("IN_BOTH".to_owned(), "base".to_owned());
    spec.command.env.insert("IN_BOTH".to_owned(), format!("-{AWKWARD}"));
    spec.command.env.insert("EMPTY".to_owned(), String::new());
    let agent = bench.create(&spec).await;
    assert_eq!(entries(agent.pid, "cmdline")[1..], args);
    assert_eq!(std::fs::read_link(format!("/proc/{}/cwd", agent.pid)).unwrap(), cwd.canonicalize().unwrap());
    let environment = entries(agent.pid, "environ");
    for (name, value) in [("FROM_BASE", AWKWARD), ("IN_BOTH", &format!("-{AWKWARD}")), ("EMPTY", "")] {
        assert!(environment.contains(&format!("{name}={value}")), "{name} is wrong in {environment:?}");
    }
    assert_eq!(environment.iter().filter(|entry| entry.starts_with("IN_BOTH=")).count(), 1);
    assert!(!cwd.join("pwned").exists() && !bench.path("pwned").exists(), "a shell expanded something");
}

/// A file becomes standard input as it is, and the program still has its terminal.
pub async fn a_file_as_standard_input_arrives_whole_and_the_terminal_stays(bench: Bench) {
    let content: Vec<u8> =
        AWKWARD.bytes().chain(0..=255).cycle().take(200 * 1024).chain(*b"\x04\x03 the end, no newline").collect();
    std::fs::write(bench.path("prompt"), &content).unwrap();
    let key = bench.key();
    let script = "cat > copy.part && mv copy.part copy; echo the terminal is there > /dev/tty; read line < /dev/tty; \
                  printf %s \"$line\" > typed.part; mv typed.part typed; test -t 1 && test -t 2 && exit 9";
    let mut spec = bench.script(&key, script);
    spec.command.stdin = Some(bench.path("prompt"));
    bench.create(&spec).await;
    bench.until_shown(&key, "the terminal is there").await;
    assert!(bench.until_written("copy").await == content, "standard input arrived changed");
    bench.runtime().input(&key, b"from the keyboard\r").await.unwrap();
    assert_eq!(bench.until_written("typed").await, b"from the keyboard");
    assert_eq!(bench.until_dead(&key).await, Exit::Code(9), "standard output or error is no terminal");
}

/// Without a file all three standard streams are one terminal with a size, described by `TERM`, and it is the controlling one.
pub async fn standard_streams_are_a_terminal_of_the_asked_kind(bench: Bench) {
    let script = "test -t 0 && test -t 1 && test -t 2 && test -n \"$TERM\" && test \"$TERM\" != dumb && : > /dev/tty && \
                  test \"$(stty size)\" != '0 0' && exit 4; exit 1";
    let (key, _) = bench.run(script).await;
    assert_eq!(bench.until_dead(&key).await, Exit::Code(4));
}

/// Environment values and standard input stay out of every command line, at every moment of the start.
pub async fn nothing_secret_shows_in_a_process_listing(bench: Bench) {
    let secret = format!("secret-{}", uuid::Uuid::new_v4());
    std::fs::write(bench.path("prompt"), format!("prompt-{secret}")).unwrap();
    let looked_for = secret.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let watcher = tokio::task::spawn_blocking(move || {
        let mut looks = 0_u32;
        // Until told, or the clause has failed.
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            assert_eq!(processes_with(&looked_for), Vec::<String>::new(), "a command line holds a secret");
            looks += 1;
        }
        looks
    });
    for _ in 0..3 {
        let key = bench.key();
        let mut spec = bench.script(&key, "read line < /dev/tty");
        spec.base_env.insert("BASE_TOKEN".to_owned(), secret.clone());
        spec.command.env.insert("TOKEN".to_owned(), secret.clone());
        spec.command.stdin = Some(bench.path("prompt"));
        let agent = bench.create(&spec).await;
        assert!(entries(agent.pid, "environ").contains(&format!("TOKEN={secret}")), "it did not even arrive");
        assert_eq!(processes_with(&secret), Vec::<String>::new());
    }
    stop.send(()).unwrap();
    assert!(watcher.await.unwrap() > 0, "nobody looked");
}

/// An environment holds tokens: they are nowhere on disk once the agent runs, nor after its end, nor after a failed start.
pub async fn no_environment_value_stays_on_disk(bench: Bench) {
    let secret = format!("secret-{}", uuid::Uuid::new_v4());
    let with_secrets = |script| {
        let mut spec = bench.script(&bench.key(), script);
        spec.base_env.insert("BASE_TOKEN".to_owned(), format!("base-{secret}"));
        spec.command.env.insert("TOKEN".to_owned(), secret.clone());
        spec
    };
    let found = || files_with(&bench.path(""), &secret);
    let spec = with_secrets("test -n \"$TOKEN\" && test -n \"$BASE_TOKEN\" && echo both are here; read line; exit 4");
    bench.create(&spec).await;
    assert_eq!(found(), Vec::<PathBuf>::new(), "while the agent runs");
    bench.until_shown(&spec.key, "both are here").await;
    bench.runtime().input(&spec.key, b"\r").await.unwrap();
    assert_eq!(bench.until_dead(&spec.key).await, Exit::Code(4));
    assert_eq!(found(), Vec::<PathBuf>::new(), "after the agent's end");
    let spec = with_secrets("read line");
    bench.create(&spec).await;
    bench.runtime().stop(&spec.key, Duration::ZERO).await.unwrap();
    assert_eq!(found(), Vec::<PathBuf>::new(), "after a stop");
    let mut spec = with_secrets("read line");
    spec.cwd = bench.path("no such directory");
    bench.runtime().create(&spec).await.unwrap_err();
    assert_eq!(found(), Vec::<PathBuf>::new(), "after a failed start");
}

/// The files below a directory whose content holds a text.
fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), text));
        } else if kind.is_file() {
            // Files of a multiplexer come and go.
            let content = std::fs::read(entry.path()).unwrap_or_default();
            found.extend(content.windows(text.len()).any(|part| part == text.as_bytes()).then(|| entry.path()));
        }
    }
    found
}

/// A program that is not there is a refusal that names it, not a terminal with an error message in it.
pub async fn a_missing_program_is_refused_and_leaves_nothing(bench: Bench) {
    let key = bench.key();
    let missing = bench.path("no such program");
    let result = bench.runtime().create(&bench.spec(&key, missing.to_str().unwrap(), &[])).await;
    let Err(RuntimeError::CannotCreate { cause, .. }) = &result else { panic!("{result:?}") };
    assert!(cause.contains(missing.to_str().unwrap()), "the cause does not name the program: {cause}");
    assert!(cause.contains("No such file"), "the cause does not say why: {cause}");
    bench.assert_nothing_left(&key).await;
}

/// The same for the working directory.
pub async fn a_missing_directory_is_refused_and_leaves_nothing(bench: Bench) {
    let key = bench.key();
    let mut spec = bench.script(&key, "read line");
    spec.cwd = bench.path("no such directory");
    let result = bench.runtime().create(&spec).await;
    let Err(RuntimeError::CannotCreate { cause, .. }) = &result else { panic!("{result:?}") };
    assert!(cause.contains("no such directory"), "the cause does not name the directory: {cause}");
    bench.assert_nothing_left(&key).await;
}

/// An agent that ran and ended before anybody looked was created; how it ended is the probe's to say.
pub async fn an_agent_that_ends_at_once_was_created(bench: Bench) {
    for code in [0, 3] {
        let (key, _) = bench.run(&format!("exit {code}")).await;
        assert_eq!(bench.until_dead(&key).await, Exit::Code(code));
    }
}

/// One session has one agent.
pub async fn a_running_session_is_not_created_again(bench: Bench) {
    let (key, agent) = bench.run("read line").await;
    let result = bench.runtime().create(&bench.script(&key, "echo intruder; read line")).await;
    assert!(matches!(result, Err(RuntimeError::CannotCreate { .. })), "{result:?}");
    assert_eq!(bench.probe(&key).await, Liveness::Alive(agent), "the refusal harmed the agent that runs");
}

/// A terminal whose agent has ended is replaced, and nothing of the old one is taken for the new one.
pub async fn an_ended_session_is_created_again(bench: Bench) {
    let (key, first) = bench.run("echo first life; exit 3").await;
    assert_eq!(bench.until_dead(&key).await, Exit::Code(3));
    let second = bench.create(&bench.script(&key, "echo second life; read line")).await;
    assert_ne!(first, second);
    assert_eq!(bench.probe(&key).await, Liveness::Alive(second));
    bench.until_shown(&key, "second life").await;
    assert!(!bench.runtime().output(&key, 100).await.unwrap().contains("first life"));
}

/// Nobody ends what an agent left running when the process that would is killed: the next terminal's start does, as the last
/// moment at which it can be found.
pub async fn what_a_killed_supervisor_left_ends_before_the_session_is_created_again(bench: Bench) {
    let left = "(setsid sh -c 'trap \"\" HUP; echo $$ > left.part; mv left.part left; while :; do sleep 0.05; done' &)";
    let (key, agent) = bench.run(&format!("{left}; while :; do sleep 0.05; done")).await;
    let left: u32 = String::from_utf8(bench.until_written("left").await).unwrap().trim().parse().unwrap();
    let parent = process::stat(agent.pid).unwrap().unwrap().parent;
    let parent = process::identity(parent).unwrap().expect("the agent has a parent");
    crate::platform::tree::send(parent, rustix::process::Signal::KILL).unwrap();
    bench.until_dead(&key).await;
    assert!(runs(left), "the test itself is wrong");
    let second = bench.create(&bench.script(&key, "read line")).await;
    assert!(!runs(left), "process {left} of the earlier terminal was left behind");
    assert_eq!(bench.probe(&key).await, Liveness::Alive(second));
}

/// Concurrent calls all succeed, each with an agent of its own.
pub async fn none_of_twenty_at_once_is_lost(bench: Bench) {
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let bench = bench.clone();
        starts.spawn(async move { bench.run("echo here; read line").await });
    }
    let created = starts.join_all().await;
    let keys: Vec<_> = created.iter().map(|(key, _)| key.clone()).collect();
    let seen = bench.runtime().probe(&keys).await;
    for (key, agent) in &created {
        assert_eq!(seen[&key.session], Liveness::Alive(*agent), "{} was lost", key.session);
        bench.until_shown(key, "here").await;
    }
    let mut pids: Vec<u32> = created.iter().map(|(_, agent)| agent.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 20, "two sessions share an agent");
}

/// Every key gets an answer, also one nobody ever heard of, in time.
pub async fn probe_answers_for_every_key(bench: Bench) {
    let (running, agent) = bench.run("read line").await;
    let (ended, _) = bench.run("exit 6").await;
    bench.until_dead(&ended).await;
    let unknown = bench.key();
    let mut without_directory = bench.key();
    without_directory.session_dir.push("missing");
    let keys = [running.clone(), ended.clone(), unknown.clone(), without_directory.clone()];
    let look = bench.runtime().probe(&keys);
    let seen = tokio::time::timeout(Duration::from_secs(3), look).await.expect("probe blocks for at most two seconds");
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[&running.session], Liveness::Alive(agent));
    assert_eq!(seen[&ended.session], Liveness::Dead(Exit::Code(6)));
    assert!(matches!(seen[&unknown.session], Liveness::Dead(_)));
    assert!(matches!(seen[&without_directory.session], Liveness::Dead(_)));
    assert!(bench.runtime().probe(&[]).await.is_empty());
}
