use serde_json::json;

use super::approval::{Decider, Decision, PendingRequest, RequestState, Subject, SubjectKind, Verdict};
use super::change::{ChangeKind, NewChange};
use super::id::RequestId;
use super::observation::Signal;
use super::requests::Requests;
use super::rule::{Rule, RuleVerdict};
use super::session::tests::{at, session};
use super::session::{Activity, Session, ToolUse};
use super::setup::ProjectSetup;

fn bash(command: &str, subagent: Option<&str>) -> ToolUse {
    let subagent = subagent.map(str::to_owned);
    ToolUse { tool: "Bash".into(), input: json!({ "command": command }), subagent, is_cut: false }
}

fn own(command: &str) -> ToolUse {
    bash(command, None)
}

fn asks(tool_use: &ToolUse) -> Signal {
    let subject = Subject { kind: SubjectKind::Shell, field: Some("command".into()), says_not_all: false };
    Signal::Blocked { tool_use: tool_use.clone(), subject }
}

fn works(tool_use: &ToolUse) -> Signal {
    Signal::Called(tool_use.clone())
}

fn settled(subagent: Option<&str>) -> Signal {
    Signal::Settled { subagent: subagent.map(str::to_owned) }
}

fn allow() -> Decision {
    Decision { verdict: Verdict::Allow, reason: None, by: Decider::Person }
}

/// Takes a signal in when it is reported.
fn see(session: &mut Session, signal: &Signal, second: i64) -> Vec<NewChange> {
    session.observe(signal, at(second), at(second))
}

/// Has the rules decide about what was asked then.
fn rule_on(session: &mut Session, tool_use: &ToolUse, second: i64) -> Vec<NewChange> {
    let id = RequestId::of(&session.id, tool_use, at(second));
    let decision = session.ruled(&id);
    decision.map_or_else(Vec::new, |decision| session.decide(&id, decision, at(second)))
}

fn open(session: &Session) -> Vec<&str> {
    let open = session.facts.requests.open.iter();
    open.map(|request| request.tool_use.input["command"].as_str().unwrap()).collect()
}

fn state(session: &Session, tool_use: &ToolUse, second: i64) -> RequestState {
    session.facts.requests.state(&RequestId::of(&session.id, tool_use, at(second)), at(second))
}

fn kinds(changes: &[NewChange]) -> Vec<ChangeKind> {
    changes.iter().map(|change| change.kind).collect()
}

#[test]
fn a_decided_request_is_open_no_more_and_its_agent_is_at_work_again() {
    let mut session = session();
    let make = own("make");
    let asked = see(&mut session, &asks(&make), 1);
    assert_eq!(kinds(&asked), [ChangeKind::SessionAsked, ChangeKind::SessionActivity]);
    assert_eq!((session.facts.activity, state(&session, &make, 1)), (Activity::Blocked, RequestState::Open));

    let id = session.facts.requests.open[0].id.clone();
    let decided = session.decide(&id, allow(), at(2));
    assert_eq!(kinds(&decided), [ChangeKind::SessionDecided, ChangeKind::SessionActivity]);
    assert_eq!(decided[0].data["decision"]["by"], json!({ "kind": "person" }));
    assert_eq!(decided[0].data["about"], "make");
    assert_eq!(state(&session, &make, 1), RequestState::Decided { decision: allow() });
    assert_eq!((session.facts.activity, open(&session)), (Activity::Active, vec![]));
    assert!(session.decide(&id, allow(), at(3)).is_empty(), "it is decided once");
    // Its own report comes again, from the spool, and then the next ones.
    see(&mut session, &asks(&make), 1);
    see(&mut session, &works(&make), 4);
    see(&mut session, &settled(None), 5);
    assert_eq!((session.facts.activity, open(&session)), (Activity::Active, vec![]));
    assert_eq!(state(&session, &make, 1), RequestState::Decided { decision: allow() });
}

#[test]
fn a_request_that_is_answered_elsewhere_is_settled_by_what_comes_next() {
    let make = own("make");
    for next in [works(&make), settled(None), Signal::Idle, Signal::Prompted] {
        let mut session = session();
        see(&mut session, &asks(&make), 1);
        let id = session.facts.requests.open[0].id.clone();
        let changes = see(&mut session, &next, 2);
        assert!(kinds(&changes).contains(&ChangeKind::SessionSettled), "{next:?}");
        assert_eq!((state(&session, &make, 1), open(&session)), (RequestState::Settled, vec![]), "{next:?}");
        assert!(session.decide(&id, allow(), at(3)).is_empty(), "{next:?}");
        assert_ne!(session.facts.activity, Activity::Blocked);
    }
}

#[test]
fn the_same_tool_use_asked_again_is_another_request() {
    let mut session = session();
    let make = own("make");
    see(&mut session, &asks(&make), 1);
    let old = session.facts.requests.open[0].id.clone();
    see(&mut session, &works(&make), 2);
    see(&mut session, &asks(&make), 3);
    assert!(session.decide(&old, allow(), at(4)).is_empty());
    assert_eq!((state(&session, &make, 1), state(&session, &make, 3)), (RequestState::Settled, RequestState::Open));
}

#[test]
fn subagents_ask_side_by_side_and_each_is_answered_for_itself() {
    let mut session = session();
    let (a, b) = (bash("make", Some("a")), bash("make", Some("b")));
    see(&mut session, &Signal::Prompted, 1);
    see(&mut session, &asks(&a), 2);
    see(&mut session, &asks(&b), 3);
    assert_eq!(open(&session), ["make", "make"]);
    let first = session.facts.requests.first().unwrap().id.clone();
    session.decide(&first, allow(), at(4));
    assert_eq!(session.facts.activity, Activity::Blocked, "the other one still waits");
    // What the first one does answers nothing for the second one, nor does what the agent does.
    for signal in [works(&a), settled(Some("a")), settled(None)] {
        see(&mut session, &signal, 5);
        assert_eq!(
            (session.facts.activity, state(&session, &b, 3)),
            (Activity::Blocked, RequestState::Open),
            "{signal:?}"
        );
    }
    see(&mut session, &settled(Some("b")), 6);
    assert_eq!((session.facts.activity, state(&session, &b, 3)), (Activity::Active, RequestState::Settled));
}

#[test]
fn a_subagent_that_asks_beside_an_idle_agent_leaves_it_idle_when_it_is_answered() {
    let mut session = session();
    let sub = bash("make", Some("a"));
    see(&mut session, &Signal::Idle, 1);
    see(&mut session, &asks(&sub), 2);
    assert_eq!(session.facts.activity, Activity::Blocked);
    let id = session.facts.requests.open[0].id.clone();
    session.decide(&id, allow(), at(3));
    assert_eq!(session.facts.activity, Activity::Idle);
    see(&mut session, &asks(&sub), 4);
    see(&mut session, &settled(Some("a")), 5);
    assert_eq!(session.facts.activity, Activity::Idle);
}

#[test]
fn reports_that_overtake_each_other_lose_no_request_and_open_none_again() {
    let mut session = session();
    let (a, b) = (bash("a", Some("a")), bash("b", Some("b")));
    see(&mut session, &Signal::Prompted, 1);
    session.observe(&works(&b), at(3), at(3));
    session.observe(&asks(&a), at(2), at(3));
    assert_eq!((open(&session), session.facts.activity), (vec!["a"], Activity::Blocked));
    session.observe(&works(&a), at(3), at(5));
    assert_eq!((open(&session), session.facts.activity), (vec![], Activity::Active));

    let late = own("late");
    see(&mut session, &settled(None), 8);
    session.observe(&asks(&late), at(7), at(9));
    assert_eq!((open(&session), state(&session, &late, 7)), (vec![], RequestState::Settled));
    see(&mut session, &Signal::Prompted, 20);
    assert_eq!(state(&session, &bash("unknown", Some("a")), 19), RequestState::Settled);
    assert_eq!(state(&session, &own("not reported yet"), 21), RequestState::Open);
}

#[test]
fn after_a_clock_stepped_back_a_request_is_settled_all_the_same() {
    let mut session = session();
    let make = own("make");
    see(&mut session, &asks(&make), 3600);
    see(&mut session, &works(&make), 5);
    assert_eq!((open(&session), session.facts.activity), (vec![], Activity::Active));
    see(&mut session, &asks(&make), 6);
    assert_eq!((open(&session), session.facts.activity), (vec!["make"], Activity::Blocked));
}

#[test]
fn rules_decide_in_their_order_and_are_named() {
    let rule = |input: &str, decide| Rule { tool: "Bash".into(), input: Some(input.into()), decide, reason: None };
    let rules = vec![
        rule("git push*", RuleVerdict::Ask),
        rule("git *", RuleVerdict::Allow),
        rule("*", RuleVerdict::Deny),
        rule("make", RuleVerdict::Allow),
    ];
    for (command, decided) in [
        ("git push x", None),
        ("git log", Some((Verdict::Allow, 2))),
        ("git log; x", Some((Verdict::Deny, 3))),
        ("make", Some((Verdict::Deny, 3))),
    ] {
        let mut session = session();
        session.spec.setup = Some(ProjectSetup { rules: rules.clone(), ..ProjectSetup::default() });
        see(&mut session, &asks(&own(command)), 1);
        let changes = rule_on(&mut session, &own(command), 1);
        let state = state(&session, &own(command), 1);
        match decided {
            None => {
                assert_eq!((changes, state, session.facts.activity), (vec![], RequestState::Open, Activity::Blocked));
            }
            Some((verdict, number)) => {
                let by = Decider::Rule { number, rule: rules[number - 1].clone() };
                assert_eq!(changes[0].data["decision"]["by"], json!(by), "{command}");
                let decision = Decision { verdict, reason: None, by };
                assert_eq!((state, session.facts.activity), (RequestState::Decided { decision }, Activity::Active));
            }
        }
    }
}

#[test]
fn a_rule_that_asks_holds_up_no_other_request() {
    let rule = |input: &str, decide| Rule { tool: "Bash".into(), input: Some(input.into()), decide, reason: None };
    let mut session = session();
    let rules = vec![rule("a", RuleVerdict::Ask), rule("*", RuleVerdict::Allow)];
    session.spec.setup = Some(ProjectSetup { rules, ..ProjectSetup::default() });
    see(&mut session, &asks(&bash("a", Some("a"))), 1);
    see(&mut session, &asks(&bash("b", Some("b"))), 2);
    rule_on(&mut session, &bash("a", Some("a")), 1);
    rule_on(&mut session, &bash("b", Some("b")), 2);
    assert_eq!(open(&session), ["a"]);
}

#[test]
fn only_the_newest_answers_are_kept() {
    let mut session = session();
    for n in 0..30 {
        let tool_use = own(&n.to_string());
        see(&mut session, &asks(&tool_use), n * 2);
        see(&mut session, &works(&tool_use), n * 2 + 1);
    }
    let answered = &session.facts.requests.answered;
    assert_eq!((answered.len(), answered[19].about.as_deref()), (20, Some("29")));
}

#[test]
fn i17_what_an_older_ao_recorded_is_an_open_request_that_no_hook_waits_for() {
    let old = json!({ "tool": "Bash", "input": { "command": "x" }, "since": at(1) });
    let requests: Requests = serde_json::from_value(old).unwrap();
    let expected = PendingRequest {
        id: RequestId::unknown(),
        tool_use: own("x"),
        subject: Subject::default(),
        since: at(1),
        unheard_since: None,
    };
    assert_eq!(requests.open, [expected]);
    assert_eq!(serde_json::from_value::<Requests>(json!(null)).unwrap(), Requests::default());
    let now = serde_json::to_value(&requests).unwrap();
    assert_eq!(serde_json::from_value::<Requests>(now).unwrap(), requests);
    // Its agent goes on, and is at work.
    let mut session = session();
    session.facts.requests = requests;
    session.facts.activity = Activity::Blocked;
    see(&mut session, &works(&own("x")), 2);
    assert_eq!(session.facts.activity, Activity::Active);
}

#[test]
fn a_decision_says_nothing_of_what_the_agent_reported_since_it_asked() {
    let mut session = session();
    let make = own("make");
    see(&mut session, &Signal::Prompted, 0);
    see(&mut session, &asks(&make), 1);
    let id = session.facts.requests.open[0].id.clone();
    // Reported while no daemon ran, and decided when one was back.
    session.decide(&id, allow(), at(100));
    session.observe(&Signal::Idle, at(30), at(101));
    assert_eq!(session.facts.activity, Activity::Idle);
}

#[test]
fn what_nobody_heard_of_is_asked_still_and_what_was_told_is_not() {
    let mut session = session();
    let (a, b) = (bash("make", Some("a")), bash("make", Some("b")));
    see(&mut session, &Signal::Prompted, 0);
    for sub in [&a, &b] {
        see(&mut session, &asks(sub), 1);
        let id = session.facts.requests.open[0].id.clone();
        session.decide(&id, allow(), at(2));
    }
    let id = |sub: &ToolUse| RequestId::of(&session.id, sub, at(1));
    let (first, second) = (id(&a), id(&b));
    session.was_told(&first);
    assert_eq!(session.facts.activity, Activity::Active);
    assert_eq!(kinds(&session.ask_again(&second)), [ChangeKind::SessionAsked, ChangeKind::SessionActivity]);
    assert_eq!((session.facts.activity, state(&session, &b, 1)), (Activity::Blocked, RequestState::Open));
    assert!(session.ask_again(&first).is_empty() && session.ask_again(&second).is_empty());
    assert_eq!(state(&session, &a, 1), RequestState::Decided { decision: allow() });
}

#[test]
fn what_a_hook_fetched_is_told_only_when_it_says_so() {
    let mut session = session();
    let make = own("make");
    see(&mut session, &Signal::Prompted, 0);
    see(&mut session, &asks(&make), 1);
    let id = session.facts.requests.open[0].id.clone();
    session.decide(&id, allow(), at(2));
    session.was_fetched(&id, at(9));
    assert_eq!(session.facts.requests.decided[0].last_step_at(), at(9));
    // The hook died before it had told: its agent asks still.
    let told_nobody = session.clone();
    session.ask_again(&id);
    assert_eq!((session.facts.activity, open(&session)), (Activity::Blocked, vec!["make"]));
    // It was only slow, and told in the end: nothing is asked any more.
    let changes = kinds(&session.hook_told(&id, at(20)));
    assert_eq!(changes, [ChangeKind::SessionSettled, ChangeKind::SessionActivity]);
    assert_eq!((session.facts.activity, open(&session)), (Activity::Active, vec![]));

    let mut session = told_nobody;
    assert!(session.hook_told(&id, at(9)).is_empty());
    assert!(session.ask_again(&id).is_empty());
    assert_eq!(session.facts.requests.answers()[0].decision, Some(allow()));
    assert!(session.hook_told(&id, at(9)).is_empty(), "a report may come twice");
}

#[test]
fn a_signal_that_says_that_all_is_answered_answers_what_the_agent_itself_asked() {
    let (make, sub) = (own("make"), Some("a"));
    for signal in [
        Signal::Prompted,
        Signal::Woken,
        Signal::Idle,
        Signal::Failed { cause: "x".into() },
        Signal::WaitingInput,
        settled(None),
        settled(sub),
        works(&own("ls")),
        Signal::Calling(own("ls")),
        asks(&bash("make", sub)),
        Signal::Ready { agent_session_id: None },
        Signal::Ending,
    ] {
        let mut session = session();
        see(&mut session, &asks(&make), 1);
        see(&mut session, &signal, 2);
        let is_open = state(&session, &make, 1) == RequestState::Open;
        assert_eq!(signal.settles_own(), !is_open, "{signal:?}");
    }
}

#[test]
fn what_nobody_waits_for_is_open_and_leaves_its_place_to_what_can_be_answered() {
    let mut session = session();
    let (a, b) = (bash("a", Some("a")), bash("b", Some("b")));
    see(&mut session, &asks(&a), 1);
    see(&mut session, &asks(&b), 2);
    let [first, second] = [0, 1].map(|at| session.facts.requests.open[at].id.clone());
    assert_eq!(session.hook_left(&first, at(9)).map(|change| change.kind), Some(ChangeKind::SessionUnheard));
    assert_eq!(session.facts.requests.first().map(|request| &request.id), Some(&second));
    assert_eq!(session.facts.requests.others().map(|request| &request.id).collect::<Vec<_>>(), [&first]);
    assert_eq!((session.facts.activity, state(&session, &a, 1)), (Activity::Blocked, RequestState::Open));
    session.hook_left(&second, at(9));
    assert_eq!(session.facts.requests.first().map(|request| &request.id), Some(&first));
    // It was only slow.
    assert_eq!(session.hook_is_back(&second).map(|change| change.kind), Some(ChangeKind::SessionAsked));
    assert!(session.hook_is_back(&second).is_none());
    session.decide(&first, allow(), at(10));
    session.ask_again(&first);
    assert_eq!(session.facts.requests.first().map(|request| &request.id), Some(&first));
}

#[test]
fn the_oldest_is_first_also_when_its_report_came_late_or_it_is_asked_again() {
    let mut session = session();
    let subs = ["a", "b", "c"].map(|name| bash(name, Some(name)));
    session.observe(&asks(&subs[1]), at(2), at(3));
    session.observe(&asks(&subs[0]), at(1), at(3));
    session.observe(&asks(&subs[2]), at(3), at(3));
    assert_eq!(open(&session), ["a", "b", "c"]);
    let second = session.facts.requests.open[1].id.clone();
    session.decide(&second, allow(), at(4));
    session.ask_again(&second);
    assert_eq!(open(&session), ["a", "b", "c"]);
}

#[test]
fn what_was_decided_is_kept_until_it_was_told_however_much_is_asked() {
    let mut session = session();
    for n in 0..30 {
        let sub = bash("make", Some(&n.to_string()));
        see(&mut session, &asks(&sub), 1);
        let id = session.facts.requests.open[0].id.clone();
        session.decide(&id, allow(), at(2));
    }
    for n in 0..30 {
        let sub = bash("make", Some(&n.to_string()));
        assert_eq!(state(&session, &sub, 1), RequestState::Decided { decision: allow() }, "{n}");
    }
}

#[test]
fn a_denial_that_came_too_late_is_told_as_such() {
    let deny = Decision { verdict: Verdict::Deny, ..allow() };
    let denied = |decision: &Decision| {
        let mut session = session();
        see(&mut session, &Signal::Calling(own("make")), 1);
        see(&mut session, &asks(&own("make")), 2);
        let id = session.facts.requests.open[0].id.clone();
        session.decide(&id, decision.clone(), at(3));
        session.was_told(&id);
        session
    };
    let is_overruled = |session: &Session| session.facts.requests.answers()[0].is_overruled;

    let mut ran = denied(&deny);
    assert_eq!(kinds(&see(&mut ran, &Signal::Called(own("make")), 4)), [ChangeKind::SessionSettled]);
    assert!(is_overruled(&ran));
    assert!(see(&mut ran, &Signal::Called(own("make")), 5).is_empty());

    // Its end was on the way when it was denied.
    let mut raced = denied(&deny);
    raced.observe(&Signal::Called(own("make")), at(2), at(4));
    assert!(is_overruled(&raced));

    let mut other = denied(&deny);
    see(&mut other, &Signal::Called(own("make test")), 4);
    // The model tries again, and is allowed to without being asked.
    see(&mut other, &Signal::Calling(own("make")), 5);
    see(&mut other, &Signal::Called(own("make")), 6);
    assert!(!is_overruled(&other));

    let mut allowed = denied(&allow());
    see(&mut allowed, &Signal::Called(own("make")), 4);
    assert!(!is_overruled(&allowed));
}

#[test]
fn what_goes_on_in_the_background_answers_no_subagent_and_a_person_answers_all() {
    let (sub, own) = (bash("make", Some("a")), own("make"));
    for (signal, left) in [(Signal::Woken, vec!["make"]), (Signal::Prompted, vec![])] {
        let mut session = session();
        see(&mut session, &asks(&sub), 1);
        see(&mut session, &asks(&own), 2);
        see(&mut session, &signal, 3);
        assert_eq!(open(&session), left, "{signal:?}");
        assert_eq!(session.facts.requests.open.first().is_some_and(|open| open.tool_use == sub), !left.is_empty());
    }
}

#[test]
fn answers_outlive_their_agent() {
    let mut session = session();
    see(&mut session, &asks(&own("make")), 1);
    let id = session.facts.requests.open[0].id.clone();
    session.decide(&id, allow(), at(2));
    assert!(session.facts.requests.end(at(3)).is_empty());
    assert_eq!(session.facts.requests.of_the_past().answers()[0].decision, Some(allow()));
}

#[test]
fn what_nobody_answered_before_its_agent_ended_is_settled_and_says_so() {
    let mut session = session();
    see(&mut session, &asks(&own("make")), 1);
    let (settled, gone) = session.facts.agent_gone(at(2));
    assert_eq!(kinds(&settled), [ChangeKind::SessionSettled]);
    assert_eq!((&settled[0].data["about"], &settled[0].data["agent_ended"]), (&json!("make"), &json!(true)));
    assert_eq!(gone.map(|change| change.kind), Some(ChangeKind::SessionActivity));
    assert_eq!((open(&session), state(&session, &own("make"), 1)), (vec![], RequestState::Settled));
    let answers = session.facts.requests.of_the_past().answers();
    assert_eq!((answers.len(), answers[0].agent_ended, answers[0].answered_at), (1, true, at(2)));
    // It is told once.
    assert!(session.facts.agent_gone(at(3)).0.is_empty());
}

#[test]
fn a_clock_that_stepped_back_behind_an_idle_agents_reports_loses_no_request() {
    let mut session = session();
    see(&mut session, &Signal::Idle, 1);
    // The same end, told again: it raises what was settled, and not since when it is idle.
    see(&mut session, &Signal::Idle, 61);
    see(&mut session, &asks(&own("make")), 31);
    assert_eq!((open(&session), session.facts.activity), (vec!["make"], Activity::Blocked));
}
