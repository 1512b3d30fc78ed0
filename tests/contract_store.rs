//! The SQLite store keeps the contract of the stores, and reads what older versions wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::store::SqliteStore;
use ao::ports::store::StoreError;
use ao::testing::store::StoreFixture;
use async_trait::async_trait;
use tempfile::TempDir;

struct SqliteFixture(TempDir);

impl SqliteFixture {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A name that would go wrong if the path were taken for a URI.
    fn path(&self) -> PathBuf {
        self.0.path().join("größe ?mode=memory #1%20.db")
    }
}

#[async_trait]
impl StoreFixture for SqliteFixture {
    type Store = SqliteStore;

    async fn open(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(&self.path()).await.unwrap())
    }

    async fn close(&self, store: Arc<SqliteStore>) {
        store.close().await;
    }
}

ao::store_contract!(SqliteFixture::new());

async fn refusal(path: &Path) -> String {
    match SqliteStore::open(path).await {
        Err(error @ StoreError::Failed { action: "open", .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn execute(path: &Path, statement: &str) {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_database_and_its_side_files_are_the_owners_only() {
    let fixture = SqliteFixture::new();
    std::fs::write(fixture.path(), "").unwrap();
    std::fs::set_permissions(fixture.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = fixture.open().await;
    let files: Vec<_> = std::fs::read_dir(fixture.0.path()).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() >= 2, "a write-ahead log is there: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    fixture.close(store).await;
    assert_eq!(std::fs::read_dir(fixture.0.path()).unwrap().count(), 1, "closing folds the log into the database");
}

#[tokio::test]
async fn a_newer_database_is_refused_and_untouched() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    fixture.close(store).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', TRUE, x'00', 0)";
    execute(&fixture.path(), newer).await;
    let said = refusal(&fixture.path()).await;
    assert!(said.contains("a newer ao wrote it") && said.contains("9999") && said.contains("another data directory"));
    assert!(said.contains(&fixture.path().display().to_string()), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_untouched() {
    let fixture = SqliteFixture::new();
    let garbage = b"not a database, but long enough to be taken for one ".repeat(100);
    std::fs::write(fixture.path(), &garbage).unwrap();
    let said = refusal(&fixture.path()).await;
    assert!(said.contains("not a database") && said.contains(&fixture.path().display().to_string()), "{said}");
    assert_eq!(std::fs::read(fixture.path()).unwrap(), garbage);
}

#[tokio::test]
async fn a_damaged_database_is_an_error() {
    let fixture = SqliteFixture::new();
    let store = fixture.open().await;
    fixture.close(store).await;
    let mut content = std::fs::read(fixture.path()).unwrap();
    content[100..].fill(0x5a);
    std::fs::write(fixture.path(), content).unwrap();
    let said = refusal(&fixture.path()).await;
    assert!(said.contains("malformed"), "{said}");
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let fixture = SqliteFixture::new();
    let said = refusal(&fixture.0.path().join("none/ao.db")).await;
    assert!(said.contains("none/ao.db: No such file or directory"), "{said}");
}

/// The database is one file again, which can be copied as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_leaves_one_complete_file_however_soon_it_comes() {
    use ao::ports::store::ProjectStore;
    for _ in 0..40 {
        let fixture = SqliteFixture::new();
        let store = SqliteStore::open(&fixture.path()).await.unwrap();
        store.close().await;
        let directory = fixture.path().parent().unwrap().to_owned();
        let left: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(store.projects().await.is_err(), "it answers after it was closed");
    }
}

/// A row this version cannot understand is told by name, and the others stay readable.
#[tokio::test]
async fn a_row_of_unknown_words_is_told_by_its_name() {
    use ao::ports::store::{ChangeFilter, ChangeLog, ProjectStore, SessionFilter, SessionStore};
    let fixture = SqliteFixture::new();
    std::fs::copy(database(1), fixture.path()).unwrap();
    let cases = [
        ("activity = 'dreaming'", "activity", "dreaming"),
        ("permission_mode = 'maybe'", "permission_mode", "maybe"),
        ("agent = 'Not An Id'", "agent", "Not An Id"),
        ("exit = 'boom'", "exit", "boom"),
        ("phase = 'terminated', step = NULL, end_reason = 'vanished'", "end_reason", "vanished"),
        ("phase = 'terminated', step = NULL, end_reason = 'exited', end_exit = NULL", "end_exit", "empty"),
        ("pid = 99999999999, pid_start_ticks = 1", "pid", "99999999999"),
        ("activity_at_ms = 9223372036854775807", "activity_at_ms", ""),
        ("notes_json = '[1]'", "notes_json", ""),
    ];
    for (change, column, word) in cases {
        std::fs::copy(database(1), fixture.path()).unwrap();
        execute(&fixture.path(), &format!("UPDATE sessions SET {change} WHERE id = 'app-2'")).await;
        let store = fixture.open().await;
        for error in [
            store.session(&"app-2".parse().unwrap()).await.unwrap_err(),
            store
                .sessions(&SessionFilter { project: None, include_terminated: true, ..SessionFilter::default() })
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(&error, StoreError::Corrupt { id, .. } if id == "session app-2"), "{error:?}");
            assert!(error.to_string().contains(column) && error.to_string().contains(word), "{change}: {error}");
        }
        assert!(store.session(&"app-1".parse().unwrap()).await.unwrap().is_some());
        fixture.close(store).await;
    }
    execute(&fixture.path(), "UPDATE changes SET kind = 'moon.landing' WHERE seq = 2").await;
    execute(&fixture.path(), "INSERT INTO projects (id, path, created_at_ms) VALUES ('BAD', '/b', 0)").await;
    let store = fixture.open().await;
    let error = store.changes(&ChangeFilter { limit: 9, ..ChangeFilter::default() }).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { id, cause } if id == "change 2" && cause.contains("moon.landing")));
    let error = store.projects().await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { id, .. } if id == "project BAD"), "{error:?}");
}

/// What the schema itself refuses, whoever writes.
#[tokio::test]
async fn the_schema_refuses_phases_that_make_no_sense() {
    use sqlx::Connection;
    let fixture = SqliteFixture::new();
    std::fs::copy(database(2), fixture.path()).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(fixture.path());
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for change in [
        "phase = 'dead'",
        "phase = 'live', step = 'recorded', end_reason = NULL",
        "phase = 'provisioning', step = NULL, end_reason = NULL",
        "phase = 'provisioning', step = 'nonsense', end_reason = NULL",
        "phase = 'terminated', step = NULL, end_reason = NULL",
        "phase = 'live', step = NULL, end_reason = 'killed'",
        "number = 77",
        "project_id = 'nobody'",
        "notes_json = 'x'",
        "phase = 'live', step = NULL, end_reason = NULL, queue_ticket = 1",
    ] {
        let answer = sqlx::raw_sql(&format!("UPDATE sessions SET {change}")).execute(&mut connection).await;
        let error = answer.expect_err(change).to_string();
        assert!(error.contains("constraint failed") || error.contains("malformed JSON"), "{change}: {error}");
    }
}

fn database(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/ao-v{version}.db"))
}

mod old_databases {
    //! Databases written by released schemas, kept in `tests/data`. A released one is never made anew.

    use ao::domain::approval::{Subject, SubjectKind};
    use ao::domain::change::ChangeKind;
    use ao::domain::exit::Exit;
    use ao::domain::id::{MessageId, RequestId};
    use ao::domain::message::{Message, MessageRecord, MessageState, Route};
    use ao::domain::news::Announced;
    use ao::domain::observation::Signal;
    use ao::domain::phase::{EndReason, Phase, Step};
    use ao::domain::preserved::PreservedWork;
    use ao::domain::rule::{Rule, RuleVerdict};
    use ao::domain::sender::Sender;
    use ao::domain::session::{Activity, Facts, ProcessIdentity, Restoring, Session, SessionSpec, ToolUse};
    use ao::domain::setup::ProjectSetup;
    use ao::ports::answer_store::{Answer, AnswerKey, AnswerRecord, AnswerStore};
    use ao::ports::message_store::MessageStore;
    use ao::ports::store::{ChangeFilter, ChangeLog, ProjectStore, SessionFilter, SessionStore};

    use super::*;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn project(id: &str) -> ao::domain::project::Project {
        ao::domain::project::Project { id: id.parse().unwrap(), path: format!("/src/{id}").into(), created_at: at(0) }
    }

    pub(super) fn sessions() -> Vec<Session> {
        let spec = |n: u32| SessionSpec {
            kind: ao::domain::session::SessionKind::Worker,
            agent: "claude-code".parse().unwrap(),
            agent_reports: true,
            runtime: "zellij".parse().unwrap(),
            permission_mode: ao::domain::permission::PermissionMode::AcceptEdits,
            name: Some("größe".into()),
            issue: None,
            prompt: Some("fix the build".into()),
            agent_args: vec!["--model".into(), "x".into()],
            branch: format!("ao/app-{n}"),
            base: Some("main".into()),
            workspace: format!("/data/worktrees/app/app-{n}").into(),
            setup: None,
        };
        let record = |n: u32| Session::record(format!("app-{n}").parse().unwrap(), spec(n), at(n.into()));
        let seen = Facts {
            activity: Activity::Active,
            launched_at: Some(at(3)),
            first_report_at: Some(at(4)),
            ready_at: Some(at(4)),
            process: Some(ProcessIdentity { pid: 4242, start_ticks: 987_654 }),
            agent_session_id: Some("0193aa".parse().unwrap()),
            base_commit: Some("c0ffee".into()),
            ..Facts::none_yet(at(5))
        };
        let mut ended = record(1);
        ended.phase = Phase::Terminated { reason: EndReason::Exited(Exit::Code(3)) };
        ended.facts = Facts { exit: Some(Exit::Code(3)), output_tail: Some("bye\n".into()), ..seen.clone() };
        let mut live = record(2);
        (live.phase, live.facts) = (Phase::Live, seen);
        let mut failed = record(3);
        failed.phase =
            Phase::Terminated { reason: EndReason::SpawnFailed { step: Step::Workspace, cause: "no space".into() } };
        [ended, live, failed, record(4)].map(|session| Session { version: 1, ..session }).into()
    }

    #[tokio::test]
    async fn i17_databases_of_every_version_still_load_and_go_on() {
        let all = [
            (1, sessions()),
            (2, sessions_v2()),
            (3, sessions_v3()),
            (4, sessions_v4()),
            (5, sessions_v4()),
            (6, sessions_v4()),
            (7, sessions_v7()),
            (8, sessions_v7()),
        ];
        let migrations = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap();
        assert_eq!(migrations.count(), all.len(), "a new migration needs a database of its version here");
        for (version, sessions) in all {
            let fixture = SqliteFixture::new();
            std::fs::copy(database(version), fixture.path()).unwrap();
            loads_and_goes_on(&fixture, &sessions).await;
            if version >= 3 {
                let store = fixture.open().await;
                let messages = if version < 5 { messages_v3() } else { messages_v5() };
                assert_eq!(store.messages(&"app-2".parse().unwrap(), false).await.unwrap(), messages);
                let answers = if version < 8 { answers_v6() } else { answers_v8() };
                for (key, record) in answers.into_iter().filter(|_| version >= 6) {
                    assert_eq!(store.answer(&key).await.unwrap(), Some(record), "{key:?}");
                }
                fixture.close(store).await;
            }
        }
    }

    /// What version 6 added: a request that was answered, and one that was cut off.
    fn answers_v6() -> Vec<(AnswerKey, AnswerRecord)> {
        let answer = Answer {
            status: 202,
            location: Some("/api/v1/sessions/app-1".into()),
            body: "{\"name\":\"größe\"}".into(),
        };
        let key = |key: &str| AnswerKey { asker: None, route: "POST /api/v1/sessions".into(), key: key.into() };
        let record = |answer| AnswerRecord { digest: "c0ffee".into(), since: 7, begun_at: at(9), answer };
        vec![(key("a"), record(Some(answer))), (key("b"), record(None))]
    }

    /// What version 8 added: whose key it is.
    fn answers_v8() -> Vec<(AnswerKey, AnswerRecord)> {
        let mut answers = answers_v6();
        let (key, record) = answers[1].clone();
        answers.push((AnswerKey { asker: Some("app-2".parse().unwrap()), ..key }, record));
        answers
    }

    /// What version 3 added, beside what version 2 had.
    fn sessions_v3() -> Vec<Session> {
        let mut sessions = sessions_v2();
        sessions[1].facts.announced = Some(Announced::ToSomebody("idle 1790000005000".into()));
        sessions
    }

    /// What version 4 added, beside what version 3 had.
    fn sessions_v4() -> Vec<Session> {
        let mut sessions = sessions_v3();
        let rule = Rule { tool: "Bash".into(), input: Some("make *".into()), decide: RuleVerdict::Allow, reason: None };
        let live = &mut sessions[1];
        live.spec.setup =
            Some(ProjectSetup { rules: vec![rule], timeout_s: 600, teardown_timeout_s: 60, ..ProjectSetup::default() });
        live.facts.activity = Activity::Active;
        let subject = Subject { kind: SubjectKind::Shell, field: Some("command".into()), says_not_all: false };
        for (second, command) in [(10, "make a"), (11, "make b"), (12, "größe")] {
            let input = serde_json::json!({ "command": command });
            let tool_use = ToolUse { tool: "Bash".into(), input, subagent: None, is_cut: false };
            let asks = Signal::Blocked { tool_use: tool_use.clone(), subject: subject.clone() };
            live.observe(&asks, at(second), at(second));
            let id = RequestId::of(&live.id, &tool_use, at(second));
            if let Some(decision) = live.ruled(&id) {
                live.decide(&id, decision, at(second));
            }
            if command == "make a" {
                live.was_told(&id);
            }
        }
        let facts = &live.facts.requests;
        assert_eq!((facts.open.len(), facts.decided.len(), facts.answered.len()), (1, 1, 1));
        sessions
    }

    /// What version 7 added, beside what version 4 had.
    fn sessions_v7() -> Vec<Session> {
        let mut sessions = sessions_v4();
        sessions[1].facts.turn_failure = Some("rate_limit: größe".into());
        sessions
    }

    fn messages_v3() -> Vec<MessageRecord> {
        let mut taken = message("taken", Sender::Session("app-1".parse().unwrap()));
        (taken.state, taken.via, taken.depth) = (MessageState::Acknowledged, Some(Route::BetweenTools), 3);
        (taken.injected_at, taken.acknowledged_at) = (Some(at(7)), Some(at(8)));
        vec![taken, message("waiting", Sender::Person)]
    }

    fn message(name: &str, from: Sender) -> MessageRecord {
        MessageRecord::queued(Message {
            id: MessageId::hash_of(name),
            session: "app-2".parse().unwrap(),
            from,
            body: format!("größe {name}"),
            created_at: at(6),
        })
    }

    /// What version 5 added, beside what version 3 had.
    fn messages_v5() -> Vec<MessageRecord> {
        let mut messages = messages_v3();
        messages.push(MessageRecord { depth: 2, ..message("news", Sender::Ao) });
        messages
    }

    /// Before version 5 they were to be seen by how they began.
    #[tokio::test]
    async fn news_of_older_versions_are_known_as_aos() {
        let fixture = SqliteFixture::new();
        std::fs::copy(database(4), fixture.path()).unwrap();
        let insert = |id: &str, session: &str, body: &str| {
            format!(
                "INSERT INTO messages (id, session_id, body, created_at_ms, state, depth)
                 VALUES ('{id:0>16}', '{session}', '{body}', 0, 'queued', 0);"
            )
        };
        let news = "[from ao] News of your workers:\n- app-1 is idle";
        let statements = [
            "UPDATE sessions SET kind = 'orchestrator' WHERE id = 'app-2';".to_owned(),
            insert("a", "app-2", news),
            insert("b", "app-2", "[from ao] a person says"),
            insert("c", "app-1", news),
        ];
        execute(&fixture.path(), &statements.concat()).await;
        let store = fixture.open().await;
        let told = async |id: &str| {
            let record = store.message(&format!("{id:0>16}").parse().unwrap()).await.unwrap().unwrap();
            (record.message.from, record.message.body)
        };
        assert_eq!(told("a").await, (Sender::Ao, "News of your workers:\n- app-1 is idle".to_owned()));
        assert_eq!(told("b").await, (Sender::Person, "[from ao] a person says".to_owned()));
        assert_eq!(told("c").await, (Sender::Person, news.to_owned()), "it coordinates nobody");
        fixture.close(store).await;
    }

    async fn loads_and_goes_on(fixture: &SqliteFixture, sessions: &[Session]) {
        let store = fixture.open().await;
        assert_eq!(store.projects().await.unwrap(), [project("app"), project("empty")]);
        let all = SessionFilter { project: None, include_terminated: true, ..SessionFilter::default() };
        assert_eq!(store.sessions(&all).await.unwrap(), sessions);
        let log = store.changes(&ChangeFilter { limit: 100, ..ChangeFilter::default() }).await.unwrap();
        let count = 2 + sessions.len() as u64;
        assert_eq!(log.iter().map(|change| change.seq).collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());
        let number = store.reserve_session_number(&"app".parse().unwrap()).await.unwrap();
        assert_eq!(number as usize, sessions.len() + 1);
        let mut live = sessions[1].clone();
        live.facts.activity = Activity::Idle;
        store.update_session(&mut live, &[]).await.unwrap();
        assert_eq!(store.session(&live.id).await.unwrap(), Some(live.clone()));
        let added = ao::domain::change::NewChange::new(ChangeKind::SessionNote, serde_json::json!({}));
        store.update_session(&mut live, &[added]).await.unwrap();
        assert_eq!(store.last_seq().await.unwrap(), count + 1);
        fixture.close(store).await;
    }

    /// What version 2 added, beside what version 1 had.
    fn sessions_v2() -> Vec<Session> {
        let mut sessions = sessions();
        let mut waiting = sessions[3].clone();
        waiting.id = "app-5".parse().unwrap();
        waiting.facts.queue_ticket = Some(17);
        waiting.spec.setup = Some(ProjectSetup {
            setup: vec!["make deps".into()],
            copy: vec![".env".into()],
            timeout_s: 600,
            teardown_timeout_s: 60,
            ..ProjectSetup::default()
        });
        let mut restoring = sessions[0].clone();
        restoring.id = "app-6".parse().unwrap();
        let (phase, reason) = restoring.phase.restore().unwrap();
        restoring.phase = phase;
        restoring.facts.preserved =
            Some(PreservedWork { reference: "refs/ao/preserved/app-6".into(), commit: "c0ffee".into() });
        (restoring.facts.resumed, restoring.facts.kill_preserves) = (true, true);
        let facts = restoring.facts.clone();
        restoring.facts.restoring = Some(Box::new(Restoring { reason, facts, had_workspace: true, made_branch: None }));
        sessions.extend([waiting, restoring]);
        sessions
    }

    #[tokio::test]
    #[ignore = "writes tests/data/ao-v8.db; only while schema 8 is not released"]
    async fn regenerate_the_database_of_version_8() {
        use ao::domain::change::NewChange;
        let path = database(8);
        let _ = std::fs::remove_file(&path);
        let store = SqliteStore::open(&path).await.unwrap();
        for id in ["app", "empty"] {
            store.add_project(&project(id)).await.unwrap();
        }
        for mut session in sessions_v7() {
            let recorded = NewChange::new(ChangeKind::SessionRecorded, serde_json::json!({}));
            store.insert_session(&mut session, &[recorded]).await.unwrap();
        }
        for message in messages_v5() {
            store.insert_message(&message, &[]).await.unwrap();
        }
        for (key, record) in answers_v8() {
            store.put_answer(&key, &record).await.unwrap();
        }
        store.close().await;
    }
}

mod size {
    //! What is bounded in rows is bounded on disk.

    use ao::domain::change::{ChangeKind, NewChange};
    use ao::domain::project::Project;
    use ao::domain::session::Session;
    use ao::ports::store::{ChangeLog, ProjectStore, SessionStore};

    use super::*;

    /// The database with its side files, in bytes.
    fn on_disk(fixture: &SqliteFixture) -> u64 {
        std::fs::read_dir(fixture.0.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    async fn with_session(store: &SqliteStore) -> Session {
        let app =
            Project { id: "app".parse().unwrap(), path: "/src/app".into(), created_at: jiff::Timestamp::UNIX_EPOCH };
        store.add_project(&app).await.unwrap();
        let mut one = super::old_databases::sessions().remove(1);
        store.insert_session(&mut one, &[]).await.unwrap();
        one
    }

    async fn add_changes(store: &SqliteStore, session: &mut Session, count: usize) {
        let data = serde_json::json!({ "note": "x".repeat(500) });
        let changes = vec![NewChange::new(ChangeKind::SessionNote, data); count];
        store.update_session(session, &changes).await.unwrap();
    }

    #[tokio::test]
    async fn a_log_that_is_trimmed_does_not_grow() {
        const KEPT: u64 = 3000;
        let fixture = SqliteFixture::new();
        let store = fixture.open().await;
        let mut one = with_session(&store).await;
        let mut sizes = Vec::new();
        for _ in 0..40 {
            add_changes(&store, &mut one, 1000).await;
            while store.trim_changes(KEPT, 250).await.unwrap() == 250 {}
            sizes.push(on_disk(&fixture));
        }
        let (early, late) = (sizes[9], sizes[39]);
        assert!(late <= early + early / 10, "{early} bytes after 10 000 changes, {late} after 40 000: {sizes:?}");
        fixture.close(store).await;
        let closed = on_disk(&fixture);
        assert!(closed < 2 * KEPT * 700, "{closed} bytes for {KEPT} changes");
    }

    #[tokio::test]
    async fn a_database_that_is_far_too_large_is_made_smaller_when_it_is_opened() {
        let fixture = SqliteFixture::new();
        let store = fixture.open().await;
        let mut one = with_session(&store).await;
        for _ in 0..40 {
            add_changes(&store, &mut one, 1000).await;
        }
        store.trim_changes(500, u32::MAX).await.unwrap();
        fixture.close(store).await;
        let large = on_disk(&fixture);
        assert!(large > 20_000_000, "{large}");
        let store = fixture.open().await;
        assert_eq!(store.session(&one.id).await.unwrap(), Some(one));
        assert_eq!(store.last_seq().await.unwrap(), 40_001);
        fixture.close(store).await;
        let small = on_disk(&fixture);
        assert!(small < 1_000_000, "{large} bytes became {small}");
    }
}
