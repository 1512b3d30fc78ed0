//! A private place with a git of its own: its own home, no configuration of this machine, removed when dropped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::platform::child::{Output, Program};
use crate::platform::file::find_program;
use crate::ports::repo::Repository;

const CONFIG: &str = "[user]\n\tname = Test\n\temail = test@example.invalid\n[init]\n\tdefaultBranch = main\n\
                      [protocol \"file\"]\n\tallow = always\n[advice]\n\tdetachedHead = false\n";

/// A directory in which git can be used as on a machine of its own.
#[derive(Debug)]
pub struct GitScratch {
    _guard: TempDir,
    root: PathBuf,
    git: PathBuf,
    env: BTreeMap<String, String>,
}

impl GitScratch {
    /// Makes one. `inherited` is what children get of the test's environment: `PATH` at least.
    #[must_use]
    pub fn new(inherited: impl IntoIterator<Item = (String, String)>) -> Self {
        let guard = tempfile::tempdir().expect("a temporary directory");
        // A name that trips up what does not quote.
        let root = guard.path().canonicalize().expect("it is there").join("größe mit leer");
        std::fs::create_dir_all(root.join("home")).expect("a directory");
        std::fs::write(root.join("home/.gitconfig"), CONFIG).expect("a file");
        let mut env: BTreeMap<_, _> = inherited.into_iter().collect();
        env.insert("HOME".to_owned(), root.join("home").to_string_lossy().into_owned());
        env.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
        let git = find_program("git", env.get("PATH").map_or("", String::as_str)).expect("git is on PATH");
        Self { _guard: guard, root, git, env }
    }

    /// The environment that git has here.
    #[must_use]
    pub fn env(&self) -> BTreeMap<String, String> {
        self.env.clone()
    }

    /// A path in here.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Runs git in a directory, whatever comes of it.
    pub async fn try_git(&self, directory: &Path, args: &[&str]) -> Output {
        let program = Program::new(&self.git, self.env.clone(), Duration::from_secs(120));
        program.cwd(directory).args(args.iter().copied()).run().await.expect("git runs")
    }

    /// Runs git in a directory; gives its output, trimmed. It must succeed.
    pub async fn git(&self, directory: &Path, args: &[&str]) -> String {
        let output = self.try_git(directory, args).await;
        assert!(output.status.success(), "git {args:?}: {}", output.complaint());
        output.text()
    }

    /// Writes a file and commits it.
    pub async fn commit(&self, checkout: &Path, file: &str, content: &str) -> String {
        std::fs::write(checkout.join(file), content).expect("a file is written");
        self.git(checkout, &["add", "--", file]).await;
        self.git(checkout, &["commit", "--quiet", "-m", &format!("change {file}")]).await;
        self.git(checkout, &["rev-parse", "HEAD"]).await
    }

    /// Makes a repository with one commit on `main`.
    pub async fn init(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("a directory");
        self.git(&path, &["init", "--quiet"]).await;
        self.commit(&path, "file.txt", "one\n").await;
        path
    }

    /// What a resolver would say of a repository.
    pub async fn describe(&self, path: &Path) -> Repository {
        let common = self.git(path, &["rev-parse", "--path-format=absolute", "--git-common-dir"]).await;
        let is_bare = self.git(path, &["rev-parse", "--is-bare-repository"]).await == "true";
        let head = self.try_git(path, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await;
        let is_unborn = !self.try_git(path, &["rev-parse", "--verify", "--quiet", "HEAD"]).await.status.success();
        Repository {
            path: path.canonicalize().expect("it is there"),
            common_dir: PathBuf::from(common).canonicalize().expect("it is there"),
            is_bare,
            head_branch: head.status.success().then(|| head.text()),
            is_unborn,
        }
    }
}
