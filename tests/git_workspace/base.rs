//! What a branch starts from, and the fetch before it.

use std::time::Duration;

use ao::ports::workspace::{Checkout, WorkspaceError, WorkspaceRequest};
use ao::testing::workspace::{WorkspaceFixture, recorded, removed};

use super::support::{Place, text};

async fn made_from(place: &Place, repository: &std::path::Path, base: Option<&str>) -> Checkout {
    let request = WorkspaceRequest { base: base.map(str::to_owned), ..place.request(repository).await };
    let made = place.try_create(&request).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(place.git(&request.path, &["rev-parse", "HEAD"]).await, made.base_commit);
    let removal = place.remove(&recorded(&request, Some(made.base_commit.clone()))).await;
    assert_eq!(removal, removed(true));
    made
}

#[tokio::test]
async fn the_remotes_newest_commit_is_fetched_first() {
    let place = Place::new();
    let (upstream, clone) = place.clone().await;
    let newest = place.scratch().commit(&upstream, "new.txt", "").await;
    let made = made_from(&place, &clone, None).await;
    assert_eq!((made.base.as_str(), &made.base_commit), ("origin/main", &newest));
    assert_eq!(made.notes, Vec::<String>::new());
}

#[tokio::test]
async fn commits_that_were_not_pushed_are_included() {
    let place = Place::new();
    let (_, clone) = place.clone().await;
    let local = place.scratch().commit(&clone, "local.txt", "").await;
    let made = made_from(&place, &clone, None).await;
    assert_eq!((made.base.as_str(), &made.base_commit), ("main", &local));
    assert!(made.notes[0].contains("not in origin/main"), "{:?}", made.notes);
}

#[tokio::test]
async fn where_both_sides_diverged_the_default_is_the_remote_and_a_name_is_local() {
    let place = Place::new();
    let (upstream, clone) = place.clone().await;
    let local = place.scratch().commit(&clone, "local.txt", "").await;
    let remote = place.scratch().commit(&upstream, "new.txt", "").await;
    let by_default = made_from(&place, &clone, None).await;
    assert_eq!(by_default.base_commit, remote);
    assert!(by_default.notes[0].contains("diverged"), "{:?}", by_default.notes);
    assert_eq!(made_from(&place, &clone, Some("main")).await.base_commit, local);
    assert_eq!(made_from(&place, &clone, Some("origin/main")).await.base_commit, remote);
    assert_eq!(made_from(&place, &clone, Some(&local)).await.base_commit, local);
}

#[tokio::test]
async fn the_default_is_the_remotes_default_branch_whatever_is_checked_out() {
    let place = Place::new();
    let (_, clone) = place.clone().await;
    place.git(&clone, &["checkout", "-q", "-b", "feature"]).await;
    place.scratch().commit(&clone, "feature.txt", "").await;
    assert_eq!(made_from(&place, &clone, None).await.base, "origin/main");
    assert_eq!(made_from(&place, &clone, Some("feature")).await.base, "feature");
}

#[tokio::test]
async fn a_branch_that_only_the_remote_has_is_found() {
    let place = Place::new();
    let (upstream, clone) = place.clone().await;
    place.git(&upstream, &["checkout", "-q", "-b", "new"]).await;
    let newest = place.scratch().commit(&upstream, "new.txt", "").await;
    let request = WorkspaceRequest { base: Some("new".to_owned()), ..place.request(&clone).await };
    place.fixture.workspace().preflight(&request).await.unwrap();
    assert_eq!(made_from(&place, &clone, Some("new")).await.base_commit, newest);
    let unknown = WorkspaceRequest { base: Some("nowhere".to_owned()), ..request };
    let outcome = place.fixture.workspace().preflight(&unknown).await;
    assert!(matches!(outcome, Err(WorkspaceError::UnknownBase { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_base_is_never_a_refspec() {
    let place = Place::new();
    let (upstream, clone) = place.clone().await;
    // A branch in which the refspec, read as `branch:path`, names a file.
    place.git(&upstream, &["checkout", "-q", "-b", "+main"]).await;
    for name in ["refs/heads/mine^{commit}", "refs/heads/mine"] {
        std::fs::create_dir_all(upstream.join("refs/heads")).unwrap();
        place.scratch().commit(&upstream, name, "").await;
    }
    place.git(&clone, &["fetch", "-q"]).await;
    let mine = place.scratch().commit(&clone, "precious.txt", "").await;
    place.git(&clone, &["branch", "mine"]).await;
    for base in ["+main:refs/heads/mine", "origin/+main:refs/heads/mine"] {
        let request = WorkspaceRequest { base: Some(base.to_owned()), ..place.request(&clone).await };
        let outcome = place.fixture.workspace().preflight(&request).await;
        assert!(outcome.is_err(), "{base}");
        place.try_create(&request).await.unwrap_err();
        assert_eq!(place.git(&clone, &["rev-parse", "mine"]).await, mine, "{base} was fetched into a local branch");
    }
    let newest = place.scratch().commit(&upstream, "new.txt", "").await;
    assert_eq!(made_from(&place, &clone, Some("+main")).await.base_commit, newest, "it is a name like any other");
}

#[tokio::test]
async fn a_remote_that_is_gone_is_a_note() {
    let place = Place::new();
    let (upstream, clone) = place.clone().await;
    std::fs::remove_dir_all(&upstream).unwrap();
    let made = made_from(&place, &clone, None).await;
    assert!(made.notes[0].contains("could not be fetched"), "{:?}", made.notes);
    assert!(made.notes[0].ends_with("started from the last known origin/main"), "{:?}", made.notes);
}

#[tokio::test]
async fn a_remote_that_does_not_answer_is_a_note_within_the_bound() {
    let place = Place::new();
    let (_, clone) = place.clone().await;
    // Something that takes connections and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("git://{}/app", silent.local_addr().unwrap());
    place.git(&clone, &["remote", "set-url", "origin", &url]).await;
    let request = WorkspaceRequest { fetch_timeout: Duration::from_secs(1), ..place.request(&clone).await };
    let workspace = place.fixture.workspace();
    let made = tokio::time::timeout(Duration::from_secs(20), workspace.create(&request)).await.unwrap().unwrap();
    assert_eq!(made.notes, ["the remote origin did not answer within 1 s; started from the last known origin/main"]);
}

#[tokio::test]
async fn a_fetch_is_shared_and_leaves_tags_and_fetch_head_alone() {
    let place = Place::new();
    let (upstream, clone) = place.clone().await;
    place.scratch().commit(&upstream, "new.txt", "").await;
    place.git(&upstream, &["tag", "v1"]).await;
    let count = place.scratch().path("count");
    let pack = format!("echo >>'{}'; git-upload-pack", text(&count));
    place.git(&clone, &["config", "remote.origin.uploadpack", &pack]).await;
    let workspace = place.fixture.workspace();
    let mut making = tokio::task::JoinSet::new();
    for number in 1..=8 {
        let request = WorkspaceRequest {
            session: format!("app-{number}").parse().unwrap(),
            path: place.fixture.place(&format!("app-{number}")),
            branch: format!("ao/app-{number}"),
            ..place.request(&clone).await
        };
        let workspace = std::sync::Arc::clone(&workspace);
        making.spawn(async move { workspace.create(&request).await });
    }
    assert!(making.join_all().await.iter().all(Result::is_ok));
    let fetches = std::fs::read_to_string(&count).unwrap().lines().count();
    assert!((1..8).contains(&fetches), "{fetches} fetches for 8 workspaces");
    assert_eq!(place.git(&clone, &["tag"]).await, "");
    assert!(!clone.join(".git/FETCH_HEAD").exists());
}
