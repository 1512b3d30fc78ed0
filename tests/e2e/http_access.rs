//! The attacks on the daemon's doors: another user, a web page, a wrong token, clients that are slow, many, or send too much.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::http_client::{Port, read_to_end};
use crate::sandbox::{BOUND, Run, Sandbox};
use crate::tools::skip;

const IDLE: usize = 10_000;
const GIGABYTE: usize = 1 << 30;
/// Nobody: a user that owns nothing here.
const OTHER: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn i10_a_tcp_request_needs_the_token_this_machines_name_and_no_foreign_page() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let (host, bearer) = (format!("Host: {}", port.address), format!("Authorization: Bearer {}", port.token));
    let (unauthorized, rebound, foreign) =
        ((401, "unauthorized"), (403, "host_not_allowed"), (403, "origin_not_allowed"));
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
    for (headers, refused) in [
        (vec![host.as_str()], unauthorized),
        (vec![&host, "Authorization: Bearer 0123"], unauthorized),
        (vec![&host, "Cookie: token=x"], unauthorized),
        (vec![&host, upgrade], unauthorized),
        (vec![&host, "Accept: text/event-stream"], unauthorized),
        (vec![], rebound),
        (vec!["Host: evil.example", &bearer], rebound),
        (vec!["Host: 127.0.0.1.evil.example:80", &bearer], rebound),
        (vec!["Host: evil.example", upgrade, &bearer], rebound),
        (vec![&host, "Origin: https://evil.example", &bearer], foreign),
        (vec![&host, "Origin: http://localhost:1", &bearer], foreign),
        (vec![&host, "Origin: null", &bearer], foreign),
        (vec![&host, "Origin: https://evil.example", upgrade, &bearer], foreign),
        (vec![&host, "Sec-Fetch-Site: cross-site", &bearer], foreign),
    ] {
        for line in [
            "GET /api/v1/sessions",
            "GET /healthz",
            "GET /nowhere",
            "POST /api/v1/daemon/stop",
            "OPTIONS /api/v1/sessions",
        ] {
            let headers = headers.iter().flat_map(|header| [header, "\r\n"]).collect::<String>();
            let request = format!("{line} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n");
            let answer = port.say(&request).await;
            assert_eq!(answer.refusal(), (refused.0, refused.1.to_owned()), "{request}: {answer:#?}");
            assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "a page could read it: {answer:#?}");
        }
    }
    // A page's question whether it may ask gets no leave, also where the token is known.
    let asked = port.ask("OPTIONS", "/api/v1/sessions", "Access-Control-Request-Method: POST\r\n", None).await;
    assert!(asked.status == 405 && !asked.head.to_ascii_lowercase().contains("access-control"), "{asked:#?}");
    assert_eq!(port.get("/api/v1/sessions").await.status, 200, "and who may ask is answered");
    assert!(!sandbox.log().contains(&port.token), "the token stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_shuts_out_who_has_the_old_one_at_once_and_for_good() {
    let sandbox = Sandbox::new();
    let old = Port::of(&sandbox).await;
    let file = sandbox.path("data/token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // One that stays open, and waits for something.
    let mut open = old.connect().await;
    let waits = format!("GET /api/v1/events?since=0&wait_ms=30000 HTTP/1.1\r\n{}\r\n", old.headers());
    open.write_all(waits.as_bytes()).await.unwrap();
    assert_eq!(old.get("/api/v1/daemon").await.status, 200);
    let stolen = old.post("/api/v1/daemon/token", &json!({})).await;
    assert_eq!(stolen.refusal(), (403, "socket_only".to_owned()), "a thief could lock the owner out");

    let renewed = sandbox.ao(&["token", "--renew", "--json"]).await.json();
    assert_ne!(renewed["token"], json!(old.token));
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(20), open.read_to_end(&mut rest)).await;
    assert!(closed.is_ok() && rest.is_empty(), "what had the old token stays open");
    assert_eq!(old.get("/api/v1/daemon").await.refusal(), (401, "unauthorized".to_owned()));
    let new = Port { token: renewed["token"].as_str().unwrap().to_owned(), ..old.clone() };
    assert_eq!(new.get("/api/v1/daemon").await.status, 200);

    sandbox.ao(&["stop"]).await.ok();
    let without_daemon = sandbox.ao(&["token", "--renew"]).await.ok();
    let newest = Port::of(&sandbox).await;
    assert_eq!(newest.token, without_daemon);
    assert_eq!(newest.get("/api/v1/daemon").await.status, 200);
    let older = Port { token: new.token, ..newest };
    assert_eq!(older.get("/api/v1/daemon").await.refusal(), (401, "unauthorized".to_owned()));

    sandbox.ao(&["stop"]).await.ok();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.ao(&["start"]).await.fails(3, &["can be read by others", "ao token --renew"]);
    sandbox.ao(&["token", "--renew"]).await.ok();
    sandbox.ao(&["start"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_tokens_file_holds_counts_also_where_it_was_removed_under_the_daemon() {
    let sandbox = Sandbox::new();
    let old = Port::of(&sandbox).await;
    let daemon = sandbox.daemon_pid().await;
    std::fs::remove_file(sandbox.path("data/token")).unwrap();
    assert_eq!(old.get("/api/v1/daemon").await.refusal(), (401, "unauthorized".to_owned()), "it was taken away");
    let new = Port { token: sandbox.ao(&["token"]).await.ok(), ..old.clone() };
    assert_ne!(new.token, old.token);
    assert_eq!(new.get("/api/v1/daemon").await.json()["pid"], json!(daemon), "what ao token prints lets in");
    assert_eq!(old.get("/api/v1/daemon").await.refusal(), (401, "unauthorized".to_owned()));
    std::fs::set_permissions(sandbox.path("data/token"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(new.get("/api/v1/daemon").await.refusal(), (401, "unauthorized".to_owned()), "others can read it");
    assert!(sandbox.log().contains("can be read by others"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_again_and_again_fills_no_log() {
    const TIMES: u64 = 500;
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let begun = std::time::Instant::now();
    for _ in 0..TIMES {
        let refused = port.say("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert_eq!(refused.status, 401);
    }
    sandbox.ao(&["stop"]).await.ok();
    let log = sandbox.log();
    let lines: Vec<serde_json::Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_them: Vec<_> =
        lines.iter().map(|line| &line["fields"]).filter(|told| told["code"] == "unauthorized").collect();
    let periods = 1 + begun.elapsed().as_secs() / 60;
    assert!(u64::try_from(of_them.len()).unwrap() <= 2 * periods, "{of_them:#?}");
    let count: u64 = of_them.iter().map(|told| told["more"].as_u64().unwrap_or(1)).sum();
    assert_eq!(count, TIMES, "{of_them:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_is_a_choice_and_only_this_machine_can_reach_it() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.command(&["daemon", "--http", "0.0.0.0:0"]);
    daemon.env("AO_NO_START", "1");
    sandbox.run(daemon).await.fails(2, &["loopback"]);
    let mut start = sandbox.command(&["start"]);
    start.env("AO_HTTP", "off");
    sandbox.run(start).await.ok();
    assert_eq!(sandbox.ao(&["status", "--json"]).await.json()["http"], json!(null));
    sandbox.ao(&["ls"]).await.ok();
    assert!(!sandbox.path("data/token").exists(), "a secret was made that nothing asks for");
}

/// Connects to the daemon's Unix socket and asks it something.
const ASK: &str = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "no connection: $!\n";
print $s "GET /api/v1/sessions HTTP/1.1\r\nHost: ao\r\nConnection: close\r\n\r\n"; print while <$s>;"#;

async fn ask_as(sandbox: &Sandbox, user: Option<u32>, socket: &Path) -> Run {
    let mut command = std::process::Command::new("perl");
    command.args(["-e", ASK]).arg(socket).env_clear().envs(&sandbox.env).current_dir("/");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    sandbox.run(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_another_user_is_not_answered_on_the_socket_even_where_it_is_open_to_all() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can be another user");
    }
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let socket = sandbox.path("data/run/daemon.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let shut = ask_as(&sandbox, Some(OTHER), &socket).await;
    assert!(shut.code != 0 && shut.stderr.contains("no connection"), "{shut:#?}");
    // As if modes were wrong all the way: who it is still counts.
    for (path, mode) in [("", 0o755), ("data", 0o755), ("data/run", 0o755), ("data/run/daemon.sock", 0o666)] {
        std::fs::set_permissions(sandbox.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let own = ask_as(&sandbox, None, &socket).await;
    assert!(own.stdout.contains("200 OK"), "{own:#?}");
    let other = ask_as(&sandbox, Some(OTHER), &socket).await;
    assert!(!other.stdout.contains("HTTP/1.1") && !other.stderr.contains("no connection"), "{other:#?}");
    sandbox.until("the log names the user", || sandbox.log().contains("another user was refused")).await;

    let mut read = std::process::Command::new("cat");
    read.arg(sandbox.path("data/token")).uid(OTHER).gid(OTHER);
    let read = sandbox.run(read).await;
    assert!(read.code != 0 && !read.stdout.contains(&port.token), "another user reads the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_is_cut_off_and_keeps_nobody_waiting() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    // A head that never ends, one that was never begun, and a body that does not come.
    let mut head = port.connect().await;
    head.write_all(b"GET /api/v1/sessions HTTP/1.1\r\nHost: lo").await.unwrap();
    let mut silent = port.connect().await;
    let mut body = port.connect().await;
    let about = "Content-Type: application/json\r\nContent-Length: 1000\r\n";
    let begun = format!("POST /api/v1/cleanup HTTP/1.1\r\n{}{about}\r\n{{", port.headers());
    body.write_all(begun.as_bytes()).await.unwrap();
    assert_eq!(port.get("/api/v1/sessions").await.status, 200);
    sandbox.ao(&["ls"]).await.ok();
    for stream in [&mut head, &mut silent] {
        let mut said = Vec::new();
        let closed = tokio::time::timeout(BOUND, stream.read_to_end(&mut said)).await;
        assert!(closed.is_ok(), "it stays open");
        assert!(!String::from_utf8_lossy(&said).contains("200 OK"), "{said:?}");
    }
    let said = String::from_utf8(read_to_end(&mut body).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("request_too_slow"), "{said}");
}

#[tokio::test]
async fn half_a_request_on_the_socket_holds_no_stop_up() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let socket = sandbox.path("data/run/daemon.sock");
    let mut never_asked = UnixStream::connect(&socket).await.unwrap();
    never_asked.write_all(b"GET /api/v1/sess").await.unwrap();
    // One that was answered, and is about to ask again.
    let mut asks_again = UnixStream::connect(&socket).await.unwrap();
    asks_again.write_all(b"GET /healthz HTTP/1.1\r\nHost: ao\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    let read = asks_again.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    asks_again.write_all(b"GET /api/v1/sess").await.unwrap();
    let mut half_a_body = UnixStream::connect(&socket).await.unwrap();
    let about = "Content-Type: application/json\r\nContent-Length: 100";
    let head = format!("POST /api/v1/cleanup HTTP/1.1\r\nHost: ao\r\n{about}\r\n\r\n{{");
    half_a_body.write_all(head.as_bytes()).await.unwrap();
    sandbox.ao(&["stop"]).await.ok();
    // What a stop waits for in vain, it says.
    let log = sandbox.log();
    assert!(!log.contains("did not end in time"), "{log}");
}

#[tokio::test]
async fn an_answer_is_given_to_its_end_while_the_daemon_stops_and_who_comes_finds_nobody() {
    let sandbox = Sandbox::new();
    let script = "seq 1 200000; echo printed; exec sleep 600";
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", script]).await.ok();
    sandbox.until_output("app-1", "printed").await;
    let socket = sandbox.path("data/run/daemon.sock");
    let mut slow = UnixStream::connect(&socket).await.unwrap();
    let request = "GET /api/v1/sessions/app-1/output?lines=100000 HTTP/1.1\r\nHost: ao\r\n\r\n";
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16 * 1024];
    let read = slow.read(&mut answer).await.unwrap();
    answer.truncate(read);
    let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let (head, _) = head.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length = head.len() + 4 + length.parse::<usize>().unwrap();
    assert!(length > 600_000, "too short to be on its way for long: {length}");
    let stopping = sandbox.command(&["stop"]);
    let (stopped, ()) = tokio::join!(sandbox.run(stopping), async {
        let refuses = || std::os::unix::net::UnixStream::connect(&socket).is_err();
        sandbox.until("who comes finds nobody", refuses).await;
        // Steadily, for longer than silence is borne.
        let mut piece = vec![0; 16 * 1024];
        while answer.len() < length {
            let read = slow.read(&mut piece).await.unwrap();
            assert!(read > 0, "it was cut off at {} of {length} bytes", answer.len());
            answer.extend_from_slice(&piece[..read]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    stopped.ok();
}

#[tokio::test]
async fn idle_connections_to_the_socket_keep_nobody_out_of_a_daemon_that_may_open_few_files() {
    const FILES: usize = 1024;
    let sandbox = Sandbox::new();
    let mut start = std::process::Command::new("sh");
    start.args(["-c", &format!("ulimit -Sn {FILES}; exec \"$0\" start"), env!("CARGO_BIN_EXE_ao")]);
    start.current_dir(sandbox.repo()).env_clear().envs(&sandbox.env);
    sandbox.run(start).await.ok();
    let socket = sandbox.path("data/run/daemon.sock");
    if bearable() < FILES + 100 {
        skip("more connections than a daemon may have files: the system's limit on open files");
    }
    let mut idle = Vec::new();
    for _ in 0..FILES + 100 {
        idle.push(UnixStream::connect(&socket).await.unwrap());
    }
    sandbox.ao(&["ls"]).await.ok();
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    let open = std::fs::read_dir(format!("/proc/{}/fd", sandbox.daemon_pid().await)).unwrap().count();
    assert!(open < FILES / 2, "the daemon holds {open} descriptors");
    // And goes on to let go of who says nothing.
    let last = idle.last_mut().unwrap();
    let closed = tokio::time::timeout(BOUND, last.read(&mut [0])).await;
    assert!(closed.is_ok(), "it stays open");
}

/// How many connections this process may have; the limit is raised as far as it can be.
fn bearable() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    IDLE.min(usize::try_from(current).unwrap_or(usize::MAX).saturating_sub(500))
}

/// Asks on a connection that goes on.
async fn keep_asking(port: &Port, stream: &mut TcpStream) {
    let (host, token) = (&port.address, &port.token);
    let asked = format!("GET /api/v1/daemon HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = [0; 8192];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "one that has shown the token was cut off: {read} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_keep_nobody_out() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let pid = sandbox.daemon_pid().await;
    let many = bearable();
    if many < IDLE {
        skip(&format!("{IDLE} idle connections, of which the system's limit on open files allows {many}"));
    }
    // One that has shown the token, and asks now and then.
    let mut proven = port.connect().await;
    keep_asking(&port, &mut proven).await;

    let mut idle: Vec<TcpStream> = Vec::new();
    let opening = async {
        while idle.len() < many {
            idle.push(port.connect().await);
            if idle.len().is_multiple_of(2000) {
                assert_eq!(port.get("/api/v1/sessions").await.status, 200);
                keep_asking(&port, &mut proven).await;
            }
        }
    };
    tokio::time::timeout(BOUND, opening).await.expect("they were not all accepted");
    assert_eq!(port.get("/api/v1/sessions").await.status, 200);
    sandbox.ao(&["ls"]).await.ok();
    keep_asking(&port, &mut proven).await;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(open < 600, "the daemon holds {open} descriptors");
    drop(idle);
    assert_eq!(port.get("/api/v1/sessions").await.status, 200);
}

/// The most memory that the daemon ever had, in bytes.
fn most_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Sends up to a gigabyte until the other end has had enough; gives what it said.
async fn pour(mut stream: TcpStream, chunk: Vec<u8>) -> String {
    let (mut from, mut to) = stream.split();
    let mut said = Vec::new();
    let pouring = async {
        let mut poured = 0;
        while poured < GIGABYTE && to.write_all(&chunk).await.is_ok() {
            poured += chunk.len();
        }
    };
    let listening = tokio::time::timeout(BOUND, from.read_to_end(&mut said));
    tokio::select! {
        // What is said counts, also when the connection is reset after it.
        heard = listening => { let _ = heard.expect("it takes the whole"); }
        () = async { pouring.await; std::future::pending().await } => {}
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gigabyte_is_refused_and_never_held_in_memory() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let pid = sandbox.daemon_pid().await;
    let before = most_memory(pid);
    let told = "Content-Type: application/json\r\nContent-Length: 1073741824\r\n";
    let line = "POST /api/v1/sessions/app-1/messages HTTP/1.1\r\n";
    // Told beforehand: not a byte of it is waited for.
    let refused = port.say(&format!("{line}{}{told}\r\n", port.headers())).await;
    assert_eq!(refused.refusal(), (413, "body_too_large".to_owned()), "{refused:#?}");
    let stranger = port.say(&format!("{line}Host: localhost\r\nConnection: close\r\n{told}\r\n")).await;
    assert_eq!(stranger.refusal().0, 401, "who has no token learns no limit");

    // Not told: so much of it is read as may be.
    let mut stream = port.connect().await;
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    stream.write_all(format!("{line}{}{chunked}\r\n", port.headers()).as_bytes()).await.unwrap();
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(vec![b' '; 1 << 20]);
    chunk.extend(b"\r\n");
    let said = pour(stream, chunk).await;
    // The answer may be lost when the connection is reset under what is still sent.
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 413"), "{said}");
    assert_eq!(port.get("/api/v1/sessions").await.status, 200);
    let grown = most_memory(pid) - before;
    assert!(grown < 128 << 20, "the daemon grew by {grown} bytes");
}
