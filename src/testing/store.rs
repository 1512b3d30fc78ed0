//! The contract of the stores: [`ProjectStore`], [`SessionStore`], [`MessageStore`], [`AnswerStore`] and [`ChangeLog`], which one adapter implements together.
//!
//! Implement [`StoreFixture`] for your adapter, then let [`store_contract!`](crate::store_contract) make one test of each
//! function here.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use crate::domain::Timestamp;
use crate::domain::change::{Change, ChangeKind, NewChange};
use crate::domain::exit::Exit;
use crate::domain::id::{AgentKind, AgentSessionId, MessageId, ProjectId, RuntimeKind, SessionId};
use crate::domain::news::{Announced, Announcement};
use crate::domain::permission::PermissionMode;
use crate::domain::phase::{EndReason, Phase, Step};
use crate::domain::preserved::PreservedWork;
use crate::domain::project::Project;
use crate::domain::session::{Activity, Facts, ProcessIdentity, Restoring, Session, SessionKind, SessionSpec};
use crate::domain::setup::ProjectSetup;
use crate::ports::answer_store::AnswerStore;
use crate::ports::message_store::MessageStore;
use crate::ports::store::{ChangeFilter, ChangeLog, ProjectStore, SessionFilter, SessionStore, StoreError};

mod answers;
mod messages;
mod requests;
mod retention;
pub use answers::*;
pub use messages::*;
pub use retention::*;

/// What the suite needs of an adapter. One fixture is made for each test; it holds what the store is kept in.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// The adapter.
    type Store: ProjectStore + SessionStore + MessageStore + ChangeLog + AnswerStore + 'static;

    /// Opens the store: an empty one the first time, and afterwards the same one again.
    async fn open(&self) -> Arc<Self::Store>;

    /// Closes what [`open`](Self::open) gave; the suite opens it again only after this.
    async fn close(&self, store: Arc<Self::Store>);
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! store_contract {
    ($fixture:expr) => {
        $crate::store_contract!(@tests $fixture;
            projects_are_registered_listed_and_removed
            a_project_is_registered_once_by_id_and_by_path
            what_is_missing_is_said_to_be_missing
            a_project_in_use_is_not_removed
            numbers_are_never_given_out_twice
            numbers_go_on_after_a_reopen
            numbers_go_on_after_the_project_was_removed
            a_removed_project_keeps_its_ended_sessions
            what_was_accepted_is_accepted_for_that_project_until_it_is_removed
            a_session_keeps_every_field
            every_phase_and_word_survives
            a_large_prompt_survives
            a_session_is_recorded_once
            a_stale_writer_is_refused
            sessions_are_filtered_and_in_order
            i16_changes_have_no_gaps_also_after_failed_writes_and_a_reopen
            changes_tell_when_what_and_of_whom
            changes_are_filtered
            concurrent_writers_lose_nothing
            a_waiter_is_woken_by_a_change
            a_change_before_the_wait_is_not_missed
            an_abandoned_write_is_whole_or_not_at_all
            i16_trimming_takes_the_oldest_changes_and_leaves_no_gap
            i16_who_asks_for_trimmed_changes_is_told_so
            numbers_of_changes_go_on_when_all_were_trimmed
            trimming_and_writing_at_once_lose_nothing
            sessions_that_are_over_are_listed_by_their_last_change
            the_record_of_a_session_that_is_over_can_be_removed
            a_record_that_is_needed_is_not_removed
            a_message_keeps_every_field_and_its_place
            what_was_sent_last_is_found
            what_two_sent_each_other_is_counted
            whether_one_of_aos_own_is_unsettled_is_found
            a_message_is_recorded_once_and_for_a_session_there_is
            what_becomes_of_a_message_is_recorded_and_logged
            the_messages_of_a_session_go_with_its_record
            an_answer_keeps_every_field_under_its_key
            keys_of_others_and_for_other_things_are_others
            answers_are_bounded_by_age_and_by_number_of_each_who_asks
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::testing::store::$name(&$fixture).await;
            }
        )+
    };
}

/// A bound for what should happen at once.
const SOON: Duration = Duration::from_secs(20);

fn at(second: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_123 + second * 1000).expect("in range")
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid id")
}

fn project(name: &str) -> Project {
    Project { id: id(name), path: format!("/src/größe {name}").into(), created_at: at(0) }
}

fn session(session: &str) -> Session {
    let spec = SessionSpec {
        kind: SessionKind::Worker,
        agent: id::<AgentKind>("claude-code"),
        agent_reports: true,
        runtime: id::<RuntimeKind>("pty"),
        permission_mode: PermissionMode::Default,
        name: None,
        issue: None,
        prompt: None,
        agent_args: Vec::new(),
        branch: format!("ao/{session}"),
        base: None,
        workspace: format!("/data/worktrees/{session}").into(),
        setup: None,
    };
    Session::record(id(session), spec, at(1))
}

fn note(text: &str) -> NewChange {
    NewChange::new(ChangeKind::SessionNote, json!({ "note": text }))
}

fn over(mut session: Session) -> Session {
    session.phase = Phase::Terminated { reason: EndReason::Killed };
    session
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("within the bound")
}

async fn all_changes(log: &impl ChangeLog) -> Vec<Change> {
    log.changes(&ChangeFilter { limit: 100_000, ..ChangeFilter::default() }).await.expect("the log")
}

async fn assert_gapless(log: &impl ChangeLog, count: u64) {
    let seqs: Vec<u64> = all_changes(log).await.iter().map(|change| change.seq).collect();
    assert_eq!(seqs, (1..=count).collect::<Vec<_>>());
    assert_eq!(log.last_seq().await.expect("the last number"), count);
}

/// A store with the project `app`, whose registration is change 1.
async fn with_app<F: StoreFixture>(fixture: &F) -> Arc<F::Store> {
    let store = fixture.open().await;
    store.add_project(&project("app")).await.expect("registered");
    store
}

async fn reopen<F: StoreFixture>(fixture: &F, store: Arc<F::Store>) -> Arc<F::Store> {
    fixture.close(store).await;
    fixture.open().await
}

/// What is registered is found by id and listed by id; what was removed is neither, and its path is free again.
pub async fn projects_are_registered_listed_and_removed(fixture: &impl StoreFixture) {
    let store = fixture.open().await;
    let (web, app) = (project("web"), project("app"));
    store.add_project(&web).await.expect("registered");
    store.add_project(&app).await.expect("registered");
    let store = reopen(fixture, store).await;
    assert_eq!(store.project(&web.id).await.expect("read"), Some(web.clone()));
    assert_eq!(store.projects().await.expect("listed"), [app.clone(), web.clone()]);
    store.remove_project(&app.id, at(5)).await.expect("removed");
    assert_eq!(store.project(&app.id).await.expect("read"), None);
    assert_eq!(store.projects().await.expect("listed"), [web]);
    let successor = Project { id: id("other"), created_at: at(9), ..app };
    store.add_project(&successor).await.expect("the path is free again");
    assert_eq!(store.project(&successor.id).await.expect("read"), Some(successor));
}

/// Neither an id nor a path is registered twice, and the refusal names the one that is there.
pub async fn a_project_is_registered_once_by_id_and_by_path(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let same_id = Project { path: "/elsewhere".into(), ..project("app") };
    let same_path = Project { id: id("other"), ..project("app") };
    for twin in [same_id, same_path] {
        match store.add_project(&twin).await {
            Err(StoreError::Exists { what: "project", id }) => assert_eq!(id, "app"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.projects().await.expect("listed"), [project("app")]);
    assert_gapless(&*store, 1).await;
}

/// Absence is `None` when asked for, and `Missing` when it is to be changed.
pub async fn what_is_missing_is_said_to_be_missing(fixture: &impl StoreFixture) {
    let store = fixture.open().await;
    let app: ProjectId = id("app");
    assert_eq!(store.project(&app).await.expect("read"), None);
    assert_eq!(store.session(&id("app-1")).await.expect("read"), None);
    assert_eq!(store.last_seq().await.expect("read"), 0);
    let mut one = session("app-1");
    let answers = [
        store.remove_project(&app, at(1)).await,
        store.reserve_session_number(&app).await.map(drop),
        store.insert_session(&mut one, &[note("x")]).await,
    ];
    for answer in answers {
        assert!(matches!(&answer, Err(StoreError::Missing { what: "project", id }) if id == "app"), "{answer:?}");
    }
    let answer = store.update_session(&mut one, &[note("x")]).await;
    assert!(matches!(&answer, Err(StoreError::Missing { what: "session", id }) if id == "app-1"), "{answer:?}");
    assert_eq!(one.version, 0);
    assert_gapless(&*store, 0).await;
}

/// A project whose sessions are not all over stays registered.
pub async fn a_project_in_use_is_not_removed(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut one = session("app-1");
    store.insert_session(&mut one, &[]).await.expect("recorded");
    for phase in [Phase::recorded(), Phase::Live] {
        one.phase = phase;
        store.update_session(&mut one, &[]).await.expect("updated");
        let answer = store.remove_project(&id("app"), at(3)).await;
        assert!(matches!(&answer, Err(StoreError::InUse(id)) if id.as_str() == "app"), "{answer:?}");
        assert!(store.project(&id("app")).await.expect("read").is_some());
    }
    store.update_session(&mut over(one), &[]).await.expect("updated");
    store.remove_project(&id("app"), at(3)).await.expect("removed");
}

/// Numbers count up from 1, each project's for itself, also when they are not used, and past those of recorded sessions.
pub async fn numbers_are_never_given_out_twice(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.add_project(&project("web")).await.expect("registered");
    let (app, web) = (id("app"), id("web"));
    for expected in 1..=3 {
        assert_eq!(store.reserve_session_number(&app).await.expect("reserved"), expected);
    }
    assert_eq!(store.reserve_session_number(&web).await.expect("reserved"), 1);
    store.insert_session(&mut session("app-7"), &[]).await.expect("recorded");
    assert_eq!(store.reserve_session_number(&app).await.expect("reserved"), 8);
}

/// A reopened store goes on counting.
pub async fn numbers_go_on_after_a_reopen(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    assert_eq!(store.reserve_session_number(&id("app")).await.expect("reserved"), 1);
    assert_eq!(store.reserve_session_number(&id("app")).await.expect("reserved"), 2);
    let store = reopen(fixture, store).await;
    assert_eq!(store.reserve_session_number(&id("app")).await.expect("reserved"), 3);
}

/// A project that is registered again goes on counting, also under another path and after a reopen.
pub async fn numbers_go_on_after_the_project_was_removed(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    assert_eq!(store.reserve_session_number(&id("app")).await.expect("reserved"), 1);
    store.remove_project(&id("app"), at(1)).await.expect("removed");
    let answer = store.reserve_session_number(&id("app")).await;
    assert!(matches!(answer, Err(StoreError::Missing { .. })), "{answer:?}");
    let store = reopen(fixture, store).await;
    let moved = Project { path: "/moved".into(), created_at: at(9), ..project("app") };
    store.add_project(&moved).await.expect("registered again");
    assert_eq!(store.project(&id("app")).await.expect("read"), Some(moved));
    assert_eq!(store.reserve_session_number(&id("app")).await.expect("reserved"), 2);
}

/// Removing a project leaves its sessions' records readable and writable, and takes no new ones.
pub async fn a_removed_project_keeps_its_ended_sessions(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut one = over(session("app-1"));
    store.insert_session(&mut one, &[note("x")]).await.expect("recorded");
    store.remove_project(&id("app"), at(2)).await.expect("removed");
    let store = reopen(fixture, store).await;
    assert_eq!(store.session(&one.id).await.expect("read"), Some(one.clone()));
    one.facts.notes.push("workspace removed".to_owned());
    store.update_session(&mut one, &[note("y")]).await.expect("updated");
    let filter = SessionFilter { project: Some(id("app")), include_terminated: true, ..SessionFilter::default() };
    assert_eq!(store.sessions(&filter).await.expect("listed"), [one.clone()]);
    let mut again = one.clone();
    again.phase = Phase::recorded();
    let answer = store.update_session(&mut again, &[note("z")]).await;
    assert!(matches!(answer, Err(StoreError::Missing { what: "project", .. })), "{answer:?}");
    assert_eq!(store.session(&one.id).await.expect("read"), Some(one));
    let answer = store.insert_session(&mut session("app-2"), &[]).await;
    assert!(matches!(answer, Err(StoreError::Missing { what: "project", .. })), "{answer:?}");
}

/// Accepted content is known by project and digest, across a reopen, and no longer once the project was removed.
pub async fn what_was_accepted_is_accepted_for_that_project_until_it_is_removed(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.add_project(&project("other")).await.expect("registered");
    let app: ProjectId = id("app");
    assert!(!store.is_trusted(&app, "abc").await.expect("read"));
    store.trust(&app, "abc", at(5)).await.expect("accepted");
    let logged = store.last_seq().await.expect("read");
    store.trust(&app, "abc", at(6)).await.expect("accepted again");
    assert_eq!(store.last_seq().await.expect("read"), logged, "accepting again changes nothing");
    let store = reopen(fixture, store).await;
    assert!(store.is_trusted(&app, "abc").await.expect("read"));
    assert!(!store.is_trusted(&app, "abcd").await.expect("read"));
    assert!(!store.is_trusted(&id("other"), "abc").await.expect("read"));
    let last = all_changes(&*store).await.pop().expect("a change");
    assert_eq!((last.kind, last.data), (ChangeKind::ProjectTrusted, json!({ "digest": "abc" })));
    store.remove_project(&app, at(7)).await.expect("removed");
    store.add_project(&Project { path: "/src/elsewhere".into(), ..project("app") }).await.expect("registered");
    assert!(!store.is_trusted(&app, "abc").await.expect("read"), "another repository of that id");
    let answer = store.trust(&id("nobody"), "abc", at(8)).await;
    assert!(matches!(answer, Err(StoreError::Missing { what: "project", .. })), "{answer:?}");
}

fn full_session() -> Session {
    let awkward = "Grüße, 世界 🦀 'q' \"d\" $(x) \\ \r\n\ttab\u{0}nul";
    let mut full = session("app-1");
    full.spec = SessionSpec {
        kind: SessionKind::Orchestrator,
        agent: id("my-agent"),
        agent_reports: false,
        runtime: id("zellij"),
        permission_mode: PermissionMode::BypassPermissions,
        name: Some("ein Name".to_owned()),
        issue: Some("ISSUE-7".to_owned()),
        prompt: Some(awkward.to_owned()),
        agent_args: vec!["--flag".to_owned(), String::new(), awkward.to_owned()],
        branch: "feature/größe".to_owned(),
        base: Some("origin/main".to_owned()),
        workspace: "/data/work trees/größe/app-1".into(),
        setup: Some(ProjectSetup {
            setup: vec![awkward.to_owned()],
            copy: vec!["größe/.env".into()],
            env: [("NAME".to_owned(), awkward.to_owned())].into(),
            timeout_s: 600,
            ..ProjectSetup::default()
        }),
    };
    let input = json!({ "command": awkward, "n": 1.5, "list": [null, true, { "z": 1, "a": 2 }] });
    full.facts = Facts {
        activity: Activity::Blocked,
        activity_at: at(2),
        launched_at: Some(at(3)),
        first_report_at: Some(at(4)),
        ready_at: Some(at(5)),
        process: Some(ProcessIdentity { pid: u32::MAX, start_ticks: 1 << 62 }),
        agent_session_id: Some(id::<AgentSessionId>("0193-abc")),
        requests: requests::requests(input),
        resolved_base: Some("origin/main".to_owned()),
        base_commit: Some("c0ffee".to_owned()),
        kill_requested_at: Some(at(7)),
        kill_preserves: true,
        queue_ticket: None,
        restoring: None,
        resumed: true,
        preserved: Some(PreservedWork { reference: "refs/ao/preserved/app-1".into(), commit: "c0ffee".into() }),
        spawn_failure: Some(awkward.to_owned()),
        exit: Some(Exit::Signal(9)),
        output_tail: Some(awkward.to_owned()),
        notes: vec![awkward.to_owned(), String::new()],
        announced: Some(Announced::To(
            [(
                SessionId::of(&ProjectId::from_name("app"), 9),
                Announcement { key: "idle 5".into(), message: MessageId::hash_of("news") },
            )]
            .into(),
        )),
        turn_failure: Some("rate_limit: later".into()),
    };
    let before = Restoring {
        reason: EndReason::Exited(Exit::Signal(9)),
        facts: full.facts.clone(),
        had_workspace: true,
        made_branch: Some("own".into()),
    };
    full.facts.restoring = Some(Box::new(before));
    full.facts.queue_ticket = Some(1 << 40);
    full.updated_at = at(7);
    full
}

/// What is read equals what was written, field by field, on recording and on changing, and after a reopen.
pub async fn a_session_keeps_every_field(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut full = full_session();
    store.insert_session(&mut full, &[note("x")]).await.expect("recorded");
    assert_eq!(full.version, 1);
    assert_eq!(store.session(&full.id).await.expect("read"), Some(full.clone()));
    let mut bare = session("app-2");
    store.insert_session(&mut bare, &[]).await.expect("recorded");
    bare.facts = Facts { restoring: None, queue_ticket: None, ..full.facts.clone() };
    bare.phase = Phase::Live;
    bare.updated_at = at(8);
    store.update_session(&mut bare, &[note("y")]).await.expect("updated");
    assert_eq!(bare.version, 2);
    full.facts = Facts::none_yet(at(9));
    store.update_session(&mut full, &[]).await.expect("updated");
    let store = reopen(fixture, store).await;
    assert_eq!(store.session(&full.id).await.expect("read"), Some(full));
    assert_eq!(store.session(&bare.id).await.expect("read"), Some(bare));
}

/// Every phase, end, activity, kind, permission mode and exit can be stored and comes back as itself.
pub async fn every_phase_and_word_survives(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let steps = [Step::Recorded, Step::Workspace, Step::Setup, Step::Prepared, Step::Launched];
    let exits = [Exit::Code(0), Exit::Code(-3), Exit::Signal(15), Exit::Unknown];
    let mut phases = vec![Phase::Live];
    phases.extend(steps.map(|step| Phase::Provisioning { step }));
    phases.extend(steps.map(|step| EndReason::SpawnFailed { step, cause: "kein Platz".into() }).map(ended));
    phases.extend(exits.map(EndReason::Exited).map(ended));
    phases.extend([EndReason::Killed, EndReason::Lost].map(ended));
    let mut one = session("app-1");
    store.insert_session(&mut one, &[]).await.expect("recorded");
    for phase in phases {
        one.phase = phase;
        store.update_session(&mut one, &[]).await.expect("updated");
        assert_eq!(store.session(&one.id).await.expect("read"), Some(one.clone()));
    }
    let activities = [
        Activity::Starting,
        Activity::Active,
        Activity::Idle,
        Activity::WaitingInput,
        Activity::Blocked,
        Activity::Exited,
    ];
    for (activity, exit) in activities.into_iter().zip(exits.into_iter().map(Some).chain([None, None])) {
        (one.facts.activity, one.facts.exit) = (activity, exit);
        store.update_session(&mut one, &[]).await.expect("updated");
        assert_eq!(store.session(&one.id).await.expect("read"), Some(one.clone()));
    }
    for (number, permission_mode) in (2..).zip(PermissionMode::ALL) {
        let mut other = session(&format!("app-{number}"));
        other.spec.permission_mode = permission_mode;
        store.insert_session(&mut other, &[]).await.expect("recorded");
        assert_eq!(store.session(&other.id).await.expect("read"), Some(other));
    }
}

fn ended(reason: EndReason) -> Phase {
    Phase::Terminated { reason }
}

/// A prompt of one MiB comes back byte for byte.
pub async fn a_large_prompt_survives(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut one = session("app-1");
    one.spec.prompt = Some("ä🦀\n\"'".repeat(1024 * 1024 / 9));
    store.insert_session(&mut one, &[note("x")]).await.expect("recorded");
    let store = reopen(fixture, store).await;
    assert!(store.session(&one.id).await.expect("read") == Some(one), "the prompt changed");
}

/// A session's id is recorded once; the refused attempt changes nothing.
pub async fn a_session_is_recorded_once(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut one = session("app-1");
    store.insert_session(&mut one, &[note("x")]).await.expect("recorded");
    let mut twin = session("app-1");
    twin.spec.branch.push_str("-other");
    let answer = store.insert_session(&mut twin, &[note("y")]).await;
    assert!(matches!(&answer, Err(StoreError::Exists { what: "session", id }) if id == "app-1"), "{answer:?}");
    assert_eq!(twin.version, 0);
    assert_eq!(store.session(&one.id).await.expect("read"), Some(one));
    assert_gapless(&*store, 2).await;
}

/// Who read an older version is refused, and may write after reading again.
pub async fn a_stale_writer_is_refused(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut first = session("app-1");
    store.insert_session(&mut first, &[]).await.expect("recorded");
    let mut stale = first.clone();
    first.phase = Phase::Live;
    store.update_session(&mut first, &[note("first")]).await.expect("updated");
    stale.phase = Phase::Terminated { reason: EndReason::Lost };
    let answer = store.update_session(&mut stale, &[note("stale")]).await;
    assert!(matches!(&answer, Err(StoreError::Conflict(id)) if id.as_str() == "app-1"), "{answer:?}");
    assert_eq!(stale.version, 1);
    assert_gapless(&*store, 2).await;
    let mut again = store.session(&first.id).await.expect("read").expect("there");
    assert_eq!(again, first);
    again.phase = stale.phase;
    store.update_session(&mut again, &[note("again")]).await.expect("updated");
    assert_eq!(store.session(&first.id).await.expect("read"), Some(again));
}

/// Sessions are listed by project and number (not by text), those that are over only on demand.
pub async fn sessions_are_filtered_and_in_order(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.add_project(&project("web")).await.expect("registered");
    for name in ["web-1", "app-10", "app-9"] {
        store.insert_session(&mut session(name), &[]).await.expect("recorded");
    }
    store.insert_session(&mut over(session("app-2")), &[]).await.expect("recorded");
    let cases = [
        (None, false, vec!["app-9", "app-10", "web-1"]),
        (None, true, vec!["app-2", "app-9", "app-10", "web-1"]),
        (Some("app"), false, vec!["app-9", "app-10"]),
        (Some("app"), true, vec!["app-2", "app-9", "app-10"]),
        (Some("none"), true, vec![]),
    ];
    for (project, include_terminated, expected) in cases {
        let filter = SessionFilter { project: project.map(id), include_terminated, ..SessionFilter::default() };
        let listed = store.sessions(&filter).await.expect("listed");
        assert_eq!(listed.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    // Page after page; what a page ended with need not be there any more.
    for (after, limit, include_terminated, expected) in [
        (None, 2, true, vec!["app-2", "app-9"]),
        (Some("app-2"), 2, true, vec!["app-9", "app-10"]),
        (Some("app-5"), 1, false, vec!["app-9"]),
        (Some("app-9"), 9, false, vec!["app-10", "web-1"]),
        (Some("web-1"), 9, true, vec![]),
    ] {
        let (after, limit) = (after.map(id), Some(limit));
        let filter = SessionFilter { project: None, include_terminated, after, limit };
        let listed = store.sessions(&filter).await.expect("listed");
        assert_eq!(listed.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

/// Failed writes take no number, and a reopened store goes on where it was: a subscriber that comes back with the last
/// number it saw misses nothing.
pub async fn i16_changes_have_no_gaps_also_after_failed_writes_and_a_reopen(fixture: &impl StoreFixture) {
    let mut store = with_app(fixture).await;
    let mut one = session("app-1");
    store.insert_session(&mut one, &[note("a"), note("b")]).await.expect("recorded");
    let mut count = 3;
    for _ in 0..5 {
        let mut stale = Session { version: one.version + 7, ..one.clone() };
        store.update_session(&mut stale, &[note("stale")]).await.expect_err("stale");
        store.insert_session(&mut session("app-1"), &[note("twin"), note("twin")]).await.expect_err("a twin");
        store.add_project(&project("app")).await.expect_err("a twin");
        let seen = store.last_seq().await.expect("the last number");
        store = reopen(fixture, store).await;
        store.update_session(&mut one, &[note("c"), note("d")]).await.expect("updated");
        count += 2;
        let filter = ChangeFilter { since: seen, limit: 10, ..ChangeFilter::default() };
        let new = store.changes(&filter).await.expect("the log");
        assert_eq!(new.iter().map(|change| change.seq).collect::<Vec<_>>(), [count - 1, count]);
    }
    assert_gapless(&*store, count).await;
}

/// An entry holds its time, kind, project, session and data, in the order given.
pub async fn changes_tell_when_what_and_of_whom(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut one = over(session("app-1"));
    let data = json!({ "größe": [1, null, "🦀"], "a": {} });
    let kinds = [ChangeKind::SessionRecorded, ChangeKind::SessionStep, ChangeKind::SessionLive];
    let changes = kinds.map(|kind| NewChange::new(kind, data.clone()));
    store.insert_session(&mut one, &changes).await.expect("recorded");
    one.updated_at = at(30);
    let kinds = [
        ChangeKind::SessionReady,
        ChangeKind::SessionActivity,
        ChangeKind::SessionNote,
        ChangeKind::SessionWorkspace,
        ChangeKind::SessionTerminated,
    ];
    store.update_session(&mut one, &kinds.map(|kind| NewChange::new(kind, data.clone()))).await.expect("updated");
    store.remove_project(&id("app"), at(40)).await.expect("removed");
    let log = all_changes(&*store).await;
    assert_eq!(log.len(), 10);
    assert_eq!((log[0].kind, log[0].at, &log[0].session), (ChangeKind::ProjectAdded, at(0), &None));
    assert_eq!((log[9].kind, log[9].at, &log[9].session), (ChangeKind::ProjectRemoved, at(40), &None));
    for change in &log[1..4] {
        assert_eq!((change.at, &change.session, &change.data), (at(1), &Some(one.id.clone()), &data));
    }
    let expected: Vec<_> = kinds.into_iter().map(|kind| (kind, at(30))).collect();
    assert_eq!(log[4..9].iter().map(|change| (change.kind, change.at)).collect::<Vec<_>>(), expected);
    assert!(log.iter().all(|change| change.project.as_str() == "app"));
}

/// The log can be read from a number on, of one session, and a page at a time.
pub async fn changes_are_filtered(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    for name in ["app-1", "app-2"] {
        let mut session = session(name);
        store.insert_session(&mut session, &[note("a")]).await.expect("recorded");
        store.update_session(&mut session, &[note("b"), note("c")]).await.expect("updated");
    }
    let cases = [
        (0, None, 3, vec![1, 2, 3]),
        (3, None, 100, vec![4, 5, 6, 7]),
        (7, None, 100, vec![]),
        (0, Some("app-2"), 100, vec![5, 6, 7]),
        (5, Some("app-2"), 1, vec![6]),
        (0, Some("app-3"), 100, vec![]),
    ];
    for (since, session, limit, expected) in cases {
        let filter = ChangeFilter { since, session: session.map(id), limit };
        let read = store.changes(&filter).await.expect("the log");
        assert_eq!(read.iter().map(|change| change.seq).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

/// Eight writers at once each get numbers of their own and lose no change; of two that write one version, one is refused.
pub async fn concurrent_writers_lose_nothing(fixture: &impl StoreFixture) {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 10;
    let store = with_app(fixture).await;
    let mut shared = session("app-1000");
    store.insert_session(&mut shared, &[]).await.expect("recorded");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (store, shared) = (Arc::clone(&store), shared.id.clone());
        tasks.spawn(async move {
            let number = store.reserve_session_number(&id("app")).await.expect("reserved");
            let mut own = session(SessionId::of(&id("app"), number).as_str());
            store.insert_session(&mut own, &[note("own")]).await.expect("recorded");
            for _ in 0..WRITES {
                add_a_note(&*store, &shared).await;
            }
            number
        });
    }
    let mut numbers = soon(tasks.join_all()).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1001..=1008).collect::<Vec<_>>());
    let shared = store.session(&shared.id).await.expect("read").expect("there");
    assert_eq!((shared.facts.notes.len() as u64, shared.version), (WRITERS * WRITES, WRITERS * WRITES + 1));
    assert_gapless(&*store, 1 + WRITERS + WRITERS * WRITES).await;
}

async fn add_a_note(store: &impl SessionStore, session: &SessionId) {
    loop {
        let mut session = store.session(session).await.expect("read").expect("there");
        session.facts.notes.push("n".to_owned());
        match store.update_session(&mut session, &[note("n")]).await {
            Ok(()) => return,
            Err(StoreError::Conflict(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Who waits for the next change is woken by it, each of several waiters, and finds it in the log.
pub async fn a_waiter_is_woken_by_a_change(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let store = Arc::clone(&store);
        waiters.spawn(async move {
            while store.last_seq().await.expect("the last number") < 2 {
                store.wait_beyond(1).await;
            }
        });
    }
    let early = tokio::time::timeout(Duration::from_millis(50), waiters.join_next()).await;
    assert!(early.is_err(), "woken without a change");
    store.insert_session(&mut session("app-1"), &[note("x")]).await.expect("recorded");
    soon(waiters.join_all()).await;
}

/// A change between the last read and the wait ends the wait at once, also one from before a reopen.
pub async fn a_change_before_the_wait_is_not_missed(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    store.insert_session(&mut session("app-1"), &[note("x")]).await.expect("recorded");
    soon(store.wait_beyond(1)).await;
    let store = reopen(fixture, store).await;
    soon(store.wait_beyond(1)).await;
    let beyond = tokio::time::timeout(Duration::from_millis(50), store.wait_beyond(2)).await;
    assert!(beyond.is_err(), "there is no change beyond 2");
}

/// A caller that goes away in the middle of a write leaves the record and the log telling the same, waiters
/// told of what was written, and later writers working.
pub async fn an_abandoned_write_is_whole_or_not_at_all(fixture: &impl StoreFixture) {
    let store = with_app(fixture).await;
    for number in 1..=40_u32 {
        let mut abandoned = session(&format!("app-{number}"));
        // Another bound each time, so that the caller leaves at another point each time.
        let bound = Duration::from_micros(25 * u64::from(number));
        let _ = tokio::time::timeout(bound, store.insert_session(&mut abandoned, &[note("x")])).await;
        store.reserve_session_number(&id("app")).await.expect("a later write works");
        let newest = store.last_seq().await.expect("the last number");
        soon(store.wait_beyond(newest - 1)).await;
    }
    let store = reopen(fixture, store).await;
    let filter = SessionFilter { project: None, include_terminated: true, ..SessionFilter::default() };
    let recorded: Vec<_> =
        store.sessions(&filter).await.expect("listed").into_iter().map(|session| Some(session.id)).collect();
    let mut logged: Vec<_> = all_changes(&*store).await.into_iter().skip(1).map(|change| change.session).collect();
    logged.sort_by_key(|session| session.as_ref().map(SessionId::number));
    assert_eq!(recorded, logged);
    assert_gapless(&*store, 1 + recorded.len() as u64).await;
}
