//! Who sends a message: found out, and never believed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Takes text through hooks, and never calls one that does.
pub(crate) const IDLES: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }
printf '{"session_id":"x"}' | "$AO_PROGRAM" hook claude-code SessionStart
exec sleep 600
"#;

/// Runs a command that has left its family: it is nobody's child any more when it begins.
const APART: &str = r#"#!/bin/sh
if [ "$1" != apart ]; then
  via=$$ setsid "$0" apart "$@" > "said-$1.part" 2>&1 &
  exit
fi
until [ "$(cut -d' ' -f4 /proc/$$/stat)" != "$via" ]; do sleep 0.05; done
name=$2
shift 2
"$@"
mv "said-$name.part" "said-$name"
"#;

async fn messages(sandbox: &Sandbox, session: &str) -> Vec<Value> {
    let run = sandbox.ao(&["messages", session, "--json"]).await;
    run.ok();
    run.json().as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_it_is_a_session_and_is_not_is_refused() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", IDLES);
    for _ in 0..3 {
        sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    }
    sandbox.ao(&["kill", "app-3"]).await.ok();
    let forged = uuid::Uuid::new_v4().to_string();
    let unmarked = "nor bears the mark of its launch";
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("AO_SESSION_ID", "app-2")], unmarked),
        (&[("AO_SESSION_ID", "app-2"), ("AO_LAUNCH_ID", &forged)], unmarked),
        (&[("AO_SESSION_ID", "app-3")], "which is over"),
        (&[("AO_SESSION_ID", "app-9")], "which is on no record"),
        (&[("AO_SESSION_ID", "no session's")], "which is on no record"),
        (&[("AO_LAUNCH_ID", &forged)], "launch (AO_LAUNCH_ID) that is on no record"),
    ];
    for (claims, why) in cases {
        for (args, refusal) in [
            (["send", "app-1", "spoofed"], "app-1 is sent nothing by"),
            (["approve", "app-1", "--json"], "is not for a process"),
        ] {
            let mut command = sandbox.command(&args);
            command.envs(claims.iter().copied());
            sandbox.run(command).await.fails(5, &[why, refusal]);
        }
    }
    // What is of another ao's is a person here, whichever way it asks.
    let data = sandbox.path("data");
    let ours = data.join("bin/ao");
    let elsewhere = |data_dir: &str, program: &str| {
        BTreeMap::from([
            ("AO_SESSION_ID", "app-2"),
            ("AO_LAUNCH_ID", &forged),
            ("AO_DATA_DIR", data_dir),
            ("AO_PROGRAM", program),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect::<BTreeMap<_, _>>()
    };
    let mut command = sandbox.command(&["--data-dir", data.to_str().unwrap(), "send", "app-1", "hello"]);
    command.envs(elsewhere("/elsewhere", "/elsewhere/bin/ao"));
    sandbox.run(command).await.ok();
    let mut command = sandbox.command(&["send", "app-1", "hello too"]);
    command.envs(elsewhere(data.to_str().unwrap(), "/elsewhere/bin/ao"));
    sandbox.run(command).await.ok();
    let mut command = sandbox.command(&["send", "app-1", "spoofed"]);
    command.envs(elsewhere(data.to_str().unwrap(), ours.to_str().unwrap()));
    sandbox.run(command).await.fails(5, &[unmarked]);
    let taken = messages(&sandbox, "app-1").await;
    let said: Vec<_> = taken.iter().map(|one| (&one["from"], one["body"].as_str().unwrap())).collect();
    assert_eq!(said, [(&Value::Null, "hello"), (&Value::Null, "hello too")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_leaves_behind_is_known_by_the_mark_of_its_launch_alone() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", IDLES);
    sandbox.install("apart", APART);
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    let script = r#"env -u AO_LAUNCH_ID AO_SESSION_ID=app-1 "$AO_PROGRAM" send app-1 child
        apart own "$AO_PROGRAM" send app-1 own
        apart anothers env AO_SESSION_ID=app-1 "$AO_PROGRAM" send app-1 anothers
        apart nameless env -u AO_SESSION_ID -u AO_DATA_DIR "$AO_PROGRAM" --data-dir "$AO_DATA_DIR" send app-1 nameless
        apart cleared env -u AO_LAUNCH_ID "$AO_PROGRAM" send app-1 cleared
        env -u AO_LAUNCH_ID apart unmarked "$AO_PROGRAM" send app-1 unmarked
        for name in own anothers nameless cleared unmarked; do until [ -e "said-$name" ]; do sleep 0.1; done; done
        cat said-unmarked; echo over; sleep 600"#;
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", script]).await.ok();
    sandbox.until_output("app-2", "over").await;
    let said = sandbox.ao(&["output", "app-2"]).await.ok().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("nor bears the mark of its launch"), "{said}");
    let taken = messages(&sandbox, "app-1").await;
    let mut from: Vec<_> =
        taken.iter().map(|one| (one["body"].as_str().unwrap(), one["from"].as_str().unwrap_or("-"))).collect();
    from.sort_unstable();
    assert_eq!(from, ["anothers", "child", "cleared", "nameless", "own"].map(|body| (body, "app-2")));
}

/// Asks on the TCP port, with the token that every program of this user can read: sends a message, sits down at a terminal, and decides.
const BY_TCP: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
sub content { open my $file, '<', "$ENV{AO_DATA_DIR}/$_[0]" or die "$_[0]: $!"; local $/; <$file> }
my ($token) = content('token') =~ /(\S+)/;
my ($address) = content('run.json') =~ /"http": "([^"]+)"/;
sub ask {
    my ($name, $line, $headers, $body) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $address) or die "no connection: $!";
    syswrite $socket, "$line HTTP/1.1\r\nHost: $address\r\nAuthorization: Bearer $token\r\n$headers\r\n$body";
    my $said = '';
    while ($said !~ m{^HTTP/1.1 101} && sysread $socket, my $more, 65536) { $said .= $more }
    my ($status) = $said =~ m{^HTTP/1.1 (\d+)};
    my ($code) = $said =~ /"code":"(\w+)"/;
    print "$name $status ", $code // '-', "\n";
}
sub post { my ($name, $path, $body) = @_; my $length = length $body;
    ask($name, "POST /api/v1/sessions/app-1/$path", "Connection: close\r\nContent-Type: application/json\r\nContent-Length: $length\r\n", $body) }
post('send', 'messages', '{"body":"by tcp"}');
ask('terminal', 'GET /api/v1/sessions/app-1/terminal', "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", '');
post('decide', 'decision', '{"decision":"allow"}');
"#;

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_the_token_is_no_person_for_it() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", IDLES);
    sandbox.install("apart", APART);
    sandbox.install("by-tcp", BY_TCP);
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    let by_tcp = |claims: &[(&str, &str)]| {
        let mut command = std::process::Command::new(sandbox.path("bin/by-tcp"));
        command.env_clear().envs(&sandbox.env).envs(claims.iter().copied());
        command
    };
    let refused = "terminal 409 not_a_person\ndecide 409 not_yours_to_decide\n";
    let person = sandbox.run(by_tcp(&[])).await.ok();
    assert_eq!(person, "send 202 -\nterminal 101 -\ndecide 409 nothing_asked");
    let pretender = sandbox.run(by_tcp(&[("AO_SESSION_ID", "app-1")])).await;
    assert_eq!(pretender.stdout, format!("send 409 unknown_sender\n{refused}"));

    let script = "by-tcp > child.part 2>&1; mv child.part child; apart left by-tcp; sleep 600";
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", script]).await.ok();
    for name in ["child", "said-left"] {
        let said = sandbox.worktree("app-2").join(name);
        sandbox.until("the agent was answered", || said.exists()).await;
        assert_eq!(std::fs::read_to_string(said).unwrap(), format!("send 202 -\n{refused}"), "{name}");
    }
    let sent = messages(&sandbox, "app-1").await;
    let from: Vec<_> = sent.iter().map(|one| one["from"].as_str().unwrap_or("-")).collect();
    assert_eq!(from, ["-", "app-2", "app-2"]);
}
