//! What an agent's hooks tell: a line with the hook's name, two lines with the patterns of a rule, and the hook's input. What is reported
//! arrives as it was sent, means the same to both sides, and can be kept: a record that could not be read again would stop the daemon.
#![no_main]

use std::collections::BTreeMap;

use ao::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings, KIND};
use ao::domain::Timestamp;
use ao::domain::id::{AgentKind, RequestId, RuntimeKind};
use ao::domain::observation::Signal;
use ao::domain::permission::PermissionMode;
use ao::domain::phase::Phase;
use ao::domain::report::HookReport;
use ao::domain::requests::Requests;
use ao::domain::rule::{Rule, RuleVerdict};
use ao::domain::session::{Session, SessionKind, SessionSpec};
use ao::domain::setup::ProjectSetup;
use ao::ports::agent::Agent;
use ao_fuzz::{has_controls, in_bounded_memory, mutate};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Fields of a large input that are longer than this, in bytes, are not reported.
const LARGE_BYTES: usize = 16 * 1024;
/// The most characters of a request that are told.
const MAX_TOLD: usize = 500;

fn agent() -> ClaudeCode {
    let settings = ClaudeCodeSettings {
        program: None,
        path_var: String::new(),
        home: "/home/u".into(),
        config_dir: None,
        env: BTreeMap::new(),
        is_root: false,
    };
    ClaudeCode::new(settings)
}

fn session(rules: Vec<Rule>) -> Session {
    let spec = SessionSpec {
        kind: SessionKind::Worker,
        agent: AgentKind::new(KIND).expect("a name"),
        agent_reports: true,
        runtime: RuntimeKind::new("pty").expect("a name"),
        permission_mode: PermissionMode::Default,
        name: None,
        issue: None,
        prompt: None,
        agent_args: Vec::new(),
        branch: "ao/app-1".to_owned(),
        base: None,
        workspace: "/home/u/app".into(),
        setup: Some(ProjectSetup { rules, ..ProjectSetup::default() }),
    };
    let mut session = Session::record("app-1".parse().expect("an id"), spec, Timestamp::UNIX_EPOCH);
    session.phase = Phase::Live;
    session
}

/// What is read of what was written: the same.
fn read_again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let written = serde_json::to_string(value).expect("it can be written");
    serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error} in what was written: {written}"))
}

fn check_session(report: &HookReport, signals: &[Signal], patterns: [&str; 2]) {
    let rule = |decide| Rule {
        tool: patterns[0].to_owned(),
        input: (!patterns[1].is_empty()).then(|| patterns[1].to_owned()),
        decide,
        reason: None,
    };
    let (allow, deny) = (rule(RuleVerdict::Allow), rule(RuleVerdict::Deny));
    let mut session = session(vec![allow.clone()]);
    let mut changes = Vec::new();
    for signal in signals {
        if let Signal::Ready { agent_session_id: Some(id) } = signal {
            assert!(!has_controls(id.as_str()), "{id:?}");
        }
        changes.extend(session.observe(signal, report.at, report.at));
        let Signal::Blocked { tool_use, .. } = signal else { continue };
        let id = RequestId::of(&session.id, tool_use, report.at);
        let Some(request) = session.facts.requests.open.iter().find(|open| open.id == id).cloned() else { continue };
        let told = request.told_about().unwrap_or_default();
        assert!(told.chars().count() <= MAX_TOLD + 1, "{} characters are told", told.chars().count());
        if allow.matches(&request, &session.spec.workspace) {
            assert!(
                deny.matches(&request, &session.spec.workspace),
                "to deny is stricter than to allow: {allow} {request:?}"
            );
        }
        if let Some(decision) = session.ruled(&id) {
            changes.extend(session.decide(&id, decision, report.at));
        }
    }
    for change in &changes {
        assert_eq!(read_again(&change.data), change.data);
    }
    let requests: Requests = read_again(&session.facts.requests);
    assert_eq!(requests, session.facts.requests, "the record is another one when it is read");
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::json(data, size, max_size, seed, 3)
});

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(event), Some(tool), Some(about)) = (line(), line(), line()) else { return };
    let Some(input) = lines.next() else { return };
    let agent = agent();

    let payload = in_bounded_memory(input, 128, || ao::fuzzing::hook_payload(input));
    if input.len() > LARGE_BYTES
        && let Some(fields) = payload.as_object()
    {
        assert!(fields.values().all(|field| field.to_string().len() <= LARGE_BYTES), "a large field is reported");
    }
    let at = Timestamp::from_second(1_700_000_000).expect("a time");
    let (session, kind) = ("app-1".parse().expect("an id"), AgentKind::new(KIND).expect("a name"));
    let report = HookReport { session, agent: kind, event: event.to_owned(), at, payload };
    let signals = agent.interpret(&report.event, &report.payload);
    let arrived: HookReport = read_again(&report);
    assert_eq!(arrived, report, "it does not arrive as it was sent");
    assert_eq!(agent.interpret(&arrived.event, &arrived.payload), signals, "the daemon takes it for something else");
    check_session(&report, &signals, [tool, about]);

    // What lies in the spool, or is posted, need not be from a hook.
    if let Ok(report) = serde_json::from_slice::<HookReport>(input) {
        let signals = agent.interpret(&report.event, &report.payload);
        check_session(&report, &signals, [tool, about]);
    }
});
