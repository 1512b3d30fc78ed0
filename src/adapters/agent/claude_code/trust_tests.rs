use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// As Claude Code writes it, with keys in no order and numbers of every form.
const CONFIG: &str = r#"{
  "zeta": 1,
  "alpha": 0.30000000000000004,
  "cost": 12.345678901234567,
  "projects": {
    "/other": {
      "hasTrustDialogAccepted": false,
      "allowedTools": []
    }
  },
  "oauthAccount": {
    "emailAddress": "a@example.org"
  },
  "last": "ü 🦀 \" \\"
}"#;

struct Fixture {
    root: tempfile::TempDir,
}

impl Fixture {
    fn new(config: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["workspace", "repository"] {
            std::fs::create_dir(root.path().join(directory)).unwrap();
        }
        if let Some(config) = config {
            std::fs::write(root.path().join(".claude.json"), config).unwrap();
        }
        Self { root }
    }

    fn config(&self) -> PathBuf {
        self.root.path().join(".claude.json")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Makes a workspace beside others.
    fn sibling(&self, name: &str) -> PathBuf {
        let path = self.path("worktrees").join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    async fn ensure(&self) -> Result<bool, AgentError> {
        ensure(&self.config(), &self.path("workspace"), &self.path("repository")).await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap()
    }
}

#[tokio::test]
async fn only_the_workspace_is_marked_and_everything_else_stays_as_it_was() {
    let fixture = Fixture::new(Some(CONFIG));
    assert!(fixture.ensure().await.unwrap());
    let workspace = serde_json::to_string(fixture.path("workspace").to_str().unwrap()).unwrap();
    let added =
        format!(",\n    {workspace}: {{\n      \"hasTrustDialogAccepted\": true\n    }}\n  }},\n  \"oauthAccount\"");
    let expected = CONFIG.replace("\n  },\n  \"oauthAccount\"", &added);
    assert_eq!(fixture.text(), expected);
    assert!(!fixture.root.path().join(".claude.json.lock").exists());
}

#[tokio::test]
async fn nothing_is_written_when_it_is_trusted_already() {
    for trusted in ["workspace", "repository"] {
        let fixture = Fixture::new(None);
        let config =
            json!({ "projects": { fixture.path(trusted).to_str().unwrap(): { "hasTrustDialogAccepted": true } } });
        std::fs::write(fixture.config(), config.to_string()).unwrap();
        assert!(!fixture.ensure().await.unwrap(), "{trusted}");
        assert_eq!(fixture.text(), config.to_string());
    }
}

#[tokio::test]
async fn marks_do_not_add_up() {
    let fixture = Fixture::new(Some(CONFIG));
    let [elsewhere, used, kept] = ["gone", "worktrees/used", "worktrees/kept"].map(|name| fixture.path(name));
    std::fs::create_dir_all(&kept).unwrap();
    let (_, mut root) = read(&fixture.config()).unwrap();
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    for marked in [&elsewhere, &used, &kept] {
        mark(&mut root, &name(marked)).unwrap();
    }
    // Claude Code has put something of its own there.
    root["projects"][name(&used)]["allowedTools"] = json!([]);
    std::fs::write(fixture.config(), serde_json::to_string(&root).unwrap()).unwrap();

    for number in 0..10 {
        let workspace = fixture.sibling(&format!("w{number}"));
        assert!(ensure(&fixture.config(), &workspace, &fixture.path("repository")).await.unwrap());
        std::fs::remove_dir(&workspace).unwrap();
    }
    let (_, root) = read(&fixture.config()).unwrap();
    let last = fixture.path("worktrees/w9");
    let marked: Vec<_> = root["projects"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(marked, ["/other".to_owned(), name(&elsewhere), name(&used), name(&kept), name(&last)]);
}

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let fixture = Fixture::new(Some(CONFIG));
    fixture.ensure().await.unwrap();
    let first = fixture.text();
    assert!(!fixture.ensure().await.unwrap());
    assert_eq!(fixture.text(), first);
}

#[tokio::test]
async fn a_missing_file_is_made_private_and_without_answers_to_first_run_questions() {
    let fixture = Fixture::new(None);
    assert!(fixture.ensure().await.unwrap());
    let root: Map<String, Value> = serde_json::from_str(&fixture.text()).unwrap();
    assert_eq!(root.keys().collect::<Vec<_>>(), ["projects"]);
    assert_eq!(fixture.config().metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_is_not_understood_is_not_touched() {
    for broken in ["", "{\"a\": 1", "[]", "{\"projects\": []}"] {
        let fixture = Fixture::new(Some(broken));
        let error = fixture.ensure().await.unwrap_err();
        assert!(error.to_string().contains(".claude.json"), "{error}");
        assert_eq!(fixture.text(), broken);
    }
}

#[tokio::test]
async fn a_symbolic_link_is_written_through() {
    let fixture = Fixture::new(None);
    let target = fixture.root.path().join("dotfiles.json");
    std::fs::write(&target, "{}").unwrap();
    std::os::unix::fs::symlink("dotfiles.json", fixture.config()).unwrap();
    assert!(fixture.ensure().await.unwrap());
    assert!(fixture.config().symlink_metadata().unwrap().is_symlink());
    assert!(std::fs::read_to_string(&target).unwrap().contains("workspace"));
}

#[tokio::test]
async fn a_lock_whose_holder_died_is_taken_over() {
    let fixture = Fixture::new(Some("{}"));
    let lock = fixture.root.path().join(".claude.json.lock");
    std::fs::create_dir(&lock).unwrap();
    let old = std::fs::File::open(&lock).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    assert!(fixture.ensure().await.unwrap());
    assert!(!lock.exists());
}

#[tokio::test]
async fn a_lock_that_is_held_is_waited_for() {
    let fixture = Fixture::new(Some("{}"));
    let lock = fixture.root.path().join(".claude.json.lock");
    std::fs::create_dir(&lock).unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(300), fixture.ensure()).await;
    assert!(waiting.is_err(), "it did not wait: {waiting:?}");
    assert_eq!(fixture.text(), "{}");
    std::fs::remove_dir(&lock).unwrap();
    assert!(fixture.ensure().await.unwrap());
}

/// Adds keys as Claude Code does: read, change and rename under the lock.
fn hammer(config: &Path, stop: &AtomicBool) -> usize {
    let lock = config.with_extension("json.lock");
    let mut count = 0;
    // On a loaded machine it may be told to stop before it got its turn.
    while !stop.load(Ordering::Relaxed) || count <= 20 {
        if std::fs::create_dir(&lock).is_err() {
            continue;
        }
        let mut root: Map<String, Value> = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
        root.insert(format!("key{count}"), count.into());
        let staged = config.with_extension("hammer");
        std::fs::write(&staged, serde_json::to_vec(&root).unwrap()).unwrap();
        std::fs::rename(&staged, config).unwrap();
        std::fs::remove_dir(&lock).unwrap();
        count += 1;
        std::thread::yield_now();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_keeps_writing_loses_no_key_and_neither_does_ao() {
    let fixture = Fixture::new(Some("{}"));
    let config = fixture.config();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (config, stop) = (config.clone(), std::sync::Arc::clone(&stop));
        move || hammer(&config, &stop)
    });
    let mut workspaces = Vec::new();
    for number in 0..20 {
        let workspace = fixture.sibling(&format!("w{number}"));
        assert!(ensure(&config, &workspace, &fixture.path("repository")).await.unwrap());
        workspaces.push(workspace);
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    let (_, root) = read(&config).unwrap();
    for number in 0..written {
        assert!(root.contains_key(&format!("key{number}")), "key{number} of {written} is lost");
    }
    for workspace in workspaces {
        assert!(trusts(&root, workspace.to_str().unwrap()), "{} is not trusted", workspace.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once_all_get_their_mark() {
    let fixture = std::sync::Arc::new(Fixture::new(Some(CONFIG)));
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let fixture = std::sync::Arc::clone(&fixture);
            tokio::spawn(async move {
                let workspace = fixture.sibling(&format!("w{number}"));
                ensure(&fixture.config(), &workspace, &fixture.path("repository")).await
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap());
    }
    let (_, root) = read(&fixture.config()).unwrap();
    for number in 0..20 {
        assert!(trusts(&root, fixture.sibling(&format!("w{number}")).to_str().unwrap()), "w{number}");
    }
}
