//! Many messages from many senders to several agents, while hooks, waiters, their shells and the daemon are ended at random: each is taken, in the
//! order of its sender, and at the end every agent hears or is said not to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::claude::claude_sandbox;
use crate::model_server::{ModelServer, Request};
use crate::sandbox::{Sandbox, signal};
use crate::tools::claude;

const SESSIONS: usize = 5;
const SENDERS: usize = 8;
/// How long the whole of it may take.
const BOUND: Duration = Duration::from_secs(400);

/// A small generator of pseudo-random numbers: the run is told by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Sends a sender's share. A daemon that is killed meanwhile is the command's to get over.
async fn send_all(sandbox: &Sandbox, sender: usize, count: usize) {
    for number in 0..count {
        let session = format!("app-{}", (sender + number) % SESSIONS + 1);
        let text = format!("<<{sender}:{number}>>");
        sandbox.ao(&["send", &session, &text]).await.ok();
    }
}

/// What was ended: of each session's hooks, waiters and their shells how many, how many shells among them, and how many daemons.
#[derive(Default)]
struct Killed {
    hooks: BTreeMap<String, usize>,
    shells: usize,
    daemons: usize,
}

/// Ends hooks, waiters, their shells and the daemon, half of them by a signal that can be caught, until it is told to stop.
async fn kill_at_random(sandbox: &Sandbox, seed: u64, stop: &AtomicBool) -> Killed {
    let mut random = Random(seed);
    let mut killed = Killed::default();
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(50 + random.below(250))).await;
        let is_daemon = random.below(12) == 0;
        // Rarely: after that nobody wakes the agent before something else begins a turn.
        let is_shell = !is_daemon && random.below(10) == 0;
        let part = if is_daemon { " daemon " } else { " hook claude-code " };
        let mut found = sandbox.processes();
        found.retain(|(_, command)| {
            command.contains(part) && command.contains("/ao ") && command.starts_with("/bin/sh") == is_shell
        });
        if found.is_empty() {
            continue;
        }
        let (pid, _) = found[usize::try_from(random.below(found.len() as u64)).unwrap()];
        let session = ao::platform::tree::entry_of(pid, "AO_SESSION_ID");
        signal(pid, if random.below(2) == 0 { Signal::KILL } else { Signal::TERM });
        killed.shells += usize::from(is_shell);
        if is_daemon {
            killed.daemons += 1;
        } else if let Some((_, session)) = session.as_deref().and_then(|entry| entry.split_once('=')) {
            *killed.hooks.entry(session.to_owned()).or_default() += 1;
        }
    }
    killed
}

/// The places at which each of these ids came to the model in this session's requests: of each request those that were new in it, in
/// order.
fn arrivals(requests: &[Request], script: &str, ids: &[String]) -> BTreeMap<String, Vec<(usize, usize)>> {
    let mut arrivals: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    let mine = requests.iter().filter(|request| request.is_turn() && request.mentions(script));
    let mut known: BTreeMap<&String, usize> = BTreeMap::new();
    for (at, request) in mine.enumerate() {
        let told = request.told().join("\n");
        for id in ids {
            let header = format!("Message {id},");
            let places: Vec<usize> = told.match_indices(&header).map(|(place, _)| place).collect();
            let before = known.entry(id).or_default();
            for place in places.iter().skip(*before) {
                arrivals.entry(id.clone()).or_default().push((at, *place));
            }
            *before = places.len().max(*before);
        }
    }
    arrivals
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_a_storm_of_messages_under_kills_loses_none_and_keeps_each_senders_order() {
    let Some(Storm { killed, restored, repeats }) = storm(1000, true).await else { return };
    assert!(killed.daemons > 0 && killed.shells > 0 && !killed.hooks.is_empty(), "nothing was killed");
    for (session, repeats) in repeats {
        // One that is killed when it had handed over, and not put that on record, has it handed over again: what came to the agent at once. A
        // daemon hands nothing over.
        let [hooks, agents] = [&killed.hooks, &restored].map(|of| of.get(&session).copied().unwrap_or_default());
        assert!(
            repeats.handovers <= hooks + agents,
            "{session}: {repeats:?}, and {hooks} of its hooks and {agents} of its agents were ended"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_without_kills_no_message_of_a_storm_is_repeated() {
    let Some(Storm { repeats, restored, .. }) = storm(400, false).await else { return };
    assert!(restored.is_empty(), "nobody waited beside {restored:?}");
    assert!(repeats.values().all(|repeats| repeats.messages == 0), "{repeats:?}");
}

/// What a storm came to.
struct Storm {
    killed: Killed,
    /// How often a session's agent was said to be waited beside by nobody, and brought back for that.
    restored: BTreeMap<String, usize>,
    /// Of each session.
    repeats: BTreeMap<String, Repeats>,
}

/// What came again.
#[derive(Debug, Clone, Copy)]
struct Repeats {
    messages: usize,
    /// In how many requests these had come before.
    handovers: usize,
}

/// Sends so many messages, and sees that each was taken in its sender's order.
async fn storm(count: usize, with_kills: bool) -> Option<Storm> {
    let program = claude()?;
    let seed = std::env::var("AO_FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) | 1
    });
    eprintln!("seed {seed} (AO_FAULT_SEED)");
    let server = ModelServer::start().await;
    let sandbox = Arc::new(claude_sandbox(&server, &program));
    for number in 1..=SESSIONS {
        let prompt = format!("Begin as session{number}.");
        let args = ["spawn", "--runtime", "pty", "--permission-mode", "bypass-permissions", "--wait", "idle", &prompt];
        sandbox.ao(&args).await.ok();
    }
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (sandbox, sent) = (sandbox.clone(), sent.clone());
            tokio::spawn(async move {
                send_all(&sandbox, sender, count / SENDERS).await;
                sent.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    let killing = tokio::spawn({
        let (sandbox, stop) = (sandbox.clone(), stop.clone());
        async move { if with_kills { kill_at_random(&sandbox, seed, &stop).await } else { Killed::default() } }
    });
    let started = Instant::now();
    for sender in senders {
        sender.await.unwrap();
    }
    let sent_in = started.elapsed();
    if with_kills {
        // The kills go on for a while after the last was sent.
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let killed = killing.await.unwrap();
    sandbox.ao(&["start"]).await.ok();

    let (mut repeats, mut restored) = (BTreeMap::new(), BTreeMap::new());
    let mut total = 0;
    for number in 1..=SESSIONS {
        let session = format!("app-{number}");
        let messages = all_taken(&sandbox, &session, &mut restored, started, seed).await;
        total += messages.len();
        repeats.insert(session, all_arrived(&server, number, &messages, seed).await);
    }
    assert_eq!(total, count / SENDERS * SENDERS, "a message that was sent once is one message");
    // None is left deaf, unless it says so.
    for number in 1..=SESSIONS {
        let session = format!("app-{number}");
        sandbox.wait_for(&session, "status", "idle").await;
        sandbox.ao(&["send", &session, "the last one"]).await.ok();
        all_taken(&sandbox, &session, &mut restored, started, seed).await;
    }
    eprintln!(
        "{total} messages in {sent_in:.1?} + {:.1?}; {:?} hooks, {} shells among them, and {} daemons ended, {restored:?} restored; {repeats:?}",
        started.elapsed().saturating_sub(sent_in),
        killed.hooks,
        killed.shells,
        killed.daemons
    );
    Some(Storm { killed, restored, repeats })
}

/// A session's messages, once each was taken. Where nobody waits beside its agent, and that is said, what is advised then is done.
async fn all_taken(
    sandbox: &Sandbox,
    session: &str,
    restored: &mut BTreeMap<String, usize>,
    started: Instant,
    seed: u64,
) -> Vec<Value> {
    loop {
        let run = sandbox.ao(&["messages", session, "--json"]).await;
        run.ok();
        let messages = run.json().as_array().unwrap().clone();
        let open: Vec<&Value> = messages.iter().filter(|message| message["state"] != "acknowledged").collect();
        if open.is_empty() {
            return messages;
        }
        if open.iter().any(|message| message["error"].as_str().is_some_and(|why| why.contains("nobody waits"))) {
            sandbox.ao(&["kill", session]).await.ok();
            sandbox.ao(&["restore", session]).await.ok();
            *restored.entry(session.to_owned()).or_default() += 1;
        }
        let listing = std::process::Command::new("ls").arg("-lR").arg(sandbox.worktree(session).join(".ao")).output();
        assert!(
            started.elapsed() < BOUND,
            "seed {seed}: {session} has not taken {}: {:#}\n{}\n{:#?}",
            open.len(),
            open[0],
            String::from_utf8_lossy(&listing.unwrap().stdout),
            sandbox.processes()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Sees that each of a session's messages came to the model, those of a sender in order; gives what came again.
async fn all_arrived(server: &ModelServer, number: usize, messages: &[Value], seed: u64) -> Repeats {
    let ids: Vec<String> = messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    let arrivals = loop {
        let arrivals = arrivals(&server.requests(), &format!("Begin as session{number}."), &ids);
        if arrivals.len() == ids.len() {
            break arrivals;
        }
        let missing: Vec<&String> = ids.iter().filter(|id| !arrivals.contains_key(*id)).collect();
        assert!(
            Instant::now() < deadline,
            "seed {seed}: app-{number} was said to have taken {missing:?}, which no request holds"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut last: BTreeMap<&str, (usize, (usize, usize))> = BTreeMap::new();
    for message in messages {
        let body = message["body"].as_str().unwrap();
        let (sender, count) = body.trim_matches(['<', '>']).split_once(':').unwrap();
        let (count, place) = (count.parse::<usize>().unwrap(), arrivals[message["id"].as_str().unwrap()][0]);
        if let Some((before, earlier)) = last.insert(sender, (count, place)) {
            assert!(
                before < count && earlier < place,
                "seed {seed}: app-{number} was told {body} before {sender}:{before}"
            );
        }
    }
    // All but the last arrival of each were followed by another.
    let again = arrivals.values().flat_map(|places| &places[..places.len() - 1]);
    let handovers: BTreeSet<usize> = again.clone().map(|(request, _)| *request).collect();
    Repeats { messages: again.count(), handovers: handovers.len() }
}
