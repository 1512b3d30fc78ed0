//! Taking workspaces away, and saving what they hold.

use std::time::Duration;

use super::{WorkspaceFixture, again, create, missing, recorded, remove, removed, reopen, request, save};
use crate::ports::repo::Repository;
use crate::ports::workspace::{OnWork, OwnedWorkspace, Removal, ToMake, WorkspaceError, WorkspaceRef};

/// Changed and new files keep the workspace.
pub async fn i05_uncommitted_and_untracked_work_is_kept(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    for file in ["file.txt", "new.txt"] {
        let path = request.path.join(file);
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, "work").expect("a file");
        let removal = remove(fixture, &workspace).await;
        assert!(matches!(&removal, Removal::Kept { reason } if reason == "1 uncommitted change"), "{removal:?}");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"work");
        match before {
            Some(before) => std::fs::write(&path, before).expect("a file"),
            None => std::fs::remove_file(&path).expect("it goes"),
        }
    }
    assert_eq!(remove(fixture, &workspace).await, removed(true));
    assert_eq!(fixture.branches().await, ["main"]);
}

/// The directory goes, the branch with the commits stays.
pub async fn i05_a_branch_with_commits_of_its_own_survives(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    fixture.commit(&request.path, "new.txt").await;
    for base_commit in [workspace.base_commit.clone(), None] {
        let workspace = WorkspaceRef { base_commit, ..workspace.clone() };
        let removal = remove(fixture, &workspace).await;
        assert!(
            matches!(
                removal,
                Removal::Removed { branch_deleted: false, .. } | Removal::Missing { branch_deleted: false, .. }
            ),
            "{removal:?}"
        );
    }
    assert!(!request.path.exists());
    assert_eq!(fixture.branches().await, ["ao/app-1", "main"]);
}

/// Directories of others, and other sessions' workspaces, are refused.
pub async fn i06_what_is_not_the_sessions_is_untouched(fixture: &impl WorkspaceFixture) {
    let (mine, theirs) = (request(fixture, 1).await, request(fixture, 2).await);
    std::fs::create_dir_all(mine.path.join("precious")).expect("a directory");
    for outcome in [
        fixture.workspace().remove(&recorded(&mine, None), OnWork::Keep).await.map(drop),
        fixture.workspace().create(&mine).await.map(drop),
        fixture.workspace().preflight(&mine).await,
    ] {
        assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    }
    assert!(mine.path.join("precious").is_dir());
    create(fixture, &theirs).await;
    let aimed = WorkspaceRef { path: theirs.path.clone(), ..recorded(&mine, None) };
    let outcome = fixture.workspace().remove(&aimed, OnWork::Keep).await;
    assert!(matches!(outcome, Err(WorkspaceError::NotOurs { .. })), "{outcome:?}");
    assert_eq!(fixture.status(&theirs.path).await, "");
}

/// The second removal finds nothing and is content; the place can be used again.
pub async fn remove_can_be_repeated(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    for _ in 0..2 {
        let workspace = create(fixture, &request).await;
        assert_eq!(remove(fixture, &workspace).await, removed(true));
        assert_eq!(remove(fixture, &workspace).await, missing(false));
    }
}

/// A directory deleted by hand, a repository that is gone, a workspace that never was.
pub async fn what_is_missing_is_success(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    assert_eq!(remove(fixture, &recorded(&request, None)).await, missing(false));
    let workspace = create(fixture, &request).await;
    let orphan = WorkspaceRef { repository: None, ..workspace.clone() };
    assert!(matches!(remove(fixture, &orphan).await, Removal::Kept { .. }));
    std::fs::remove_dir_all(&request.path).expect("it goes");
    assert_eq!(remove(fixture, &orphan).await, missing(false));
    assert_eq!(remove(fixture, &workspace).await, missing(true));
    create(fixture, &request).await;
}

/// What holds it is moved away, as when its disk is not mounted: nothing of it goes, whatever is made in that place meanwhile.
pub async fn i05_a_directory_that_is_out_of_reach_is_not_gone(fixture: &impl WorkspaceFixture) {
    let (disk, elsewhere) = (fixture.place("disk"), fixture.place("elsewhere"));
    let mut requests = [request(fixture, 1).await, request(fixture, 2).await];
    for request in &mut requests {
        request.path = disk.join(request.session.as_str());
    }
    let [first, second] = requests;
    let workspace = create(fixture, &first).await;
    std::fs::write(first.path.join("new.txt"), "work").expect("a file");
    std::fs::rename(&disk, &elsewhere).expect("it moves");
    let branches = fixture.branches().await;
    let assert_kept = async |when: &str| {
        let adapter = fixture.workspace();
        for on_work in [OnWork::Keep, OnWork::Preserve] {
            for answer in [adapter.assess(&workspace, on_work).await, adapter.remove(&workspace, on_work).await] {
                let is_kept = matches!(&answer, Ok(Removal::Kept { reason }) if reason.contains("not mounted"));
                assert!(is_kept, "{when}: {answer:?}");
            }
        }
        let answer = adapter.reopen(&again(&workspace)).await;
        assert!(matches!(answer, Err(WorkspaceError::Failed { .. })), "{when}: {answer:?}");
        assert_eq!(adapter.to_make(&again(&workspace)).await.ok(), Some(ToMake::default()), "{when}");
    };
    assert_kept("nothing is there").await;
    std::fs::create_dir(&disk).expect("a directory");
    assert_kept("the mount point is there").await;
    assert_eq!(fixture.branches().await, branches);
    let meanwhile = create(fixture, &second).await;
    assert_kept("another workspace was made there").await;
    assert_eq!(remove(fixture, &meanwhile).await, removed(true));

    std::fs::remove_dir_all(&disk).expect("it goes");
    std::fs::rename(&elsewhere, &disk).expect("it moves");
    assert!(!reopen(fixture, &workspace).await.made);
    assert_eq!(std::fs::read(first.path.join("new.txt")).expect("it is there"), b"work");
    std::fs::remove_dir_all(&first.path).expect("it goes");
    let to_make = fixture.workspace().to_make(&again(&workspace)).await;
    assert!(matches!(to_make, Ok(ToMake { workspace: true, branch: None })), "this one is gone: {to_make:?}");
    assert_eq!(remove(fixture, &workspace).await, missing(true), "this one is gone");
}

/// Changed, new and deleted files are held by what the answer names, and nothing else has to be told to get them back.
pub async fn i05_saved_work_comes_back_as_it_was(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    fixture.commit(&request.path, "gone.txt").await;
    std::fs::remove_file(request.path.join("gone.txt")).expect("it goes");
    std::fs::write(request.path.join("file.txt"), "changed").expect("a file");
    std::fs::create_dir(request.path.join("sub")).expect("a directory");
    std::fs::write(request.path.join("sub/new.txt"), [0, 159, 146, 150]).expect("a file");
    let before = fixture.status(&request.path).await;

    let Removal::Removed { branch_deleted: false, preserved: Some(work), would_save: None, left: None } =
        save(fixture, &workspace).await
    else {
        panic!("it is saved, and the commit stays")
    };
    assert_eq!(work.reference, "refs/ao/preserved/app-1");
    assert!(!request.path.exists());
    // A daemon that was killed before it could record the answer gets it again.
    let repeated =
        Removal::Missing { branch_deleted: false, preserved: Some(work.clone()), would_save: None, left: None };
    assert_eq!(remove(fixture, &workspace).await, repeated);

    let reopened = reopen(fixture, &workspace).await;
    assert!(reopened.made && reopened.notes.is_empty(), "{reopened:?}");
    assert_eq!(fixture.status(&request.path).await, before);
    assert_eq!(std::fs::read(request.path.join("file.txt")).expect("it is there"), b"changed");
    assert_eq!(std::fs::read(request.path.join("sub/new.txt")).expect("it is there"), [0, 159, 146, 150]);
    // What came of it is what counts from then on.
    assert!(matches!(remove(fixture, &workspace).await, Removal::Kept { .. }));
    fixture.commit(&request.path, "file.txt").await;
    std::fs::write(request.path.join("gone.txt"), "content\n").expect("a file");
    std::fs::remove_dir_all(request.path.join("sub")).expect("it goes");
    assert_eq!(remove(fixture, &workspace).await, removed(false));
}

/// Work that is saved twice without having been put back in between is held twice.
pub async fn i05_work_that_was_saved_before_is_never_dropped(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    std::fs::write(request.path.join("file.txt"), "first").expect("a file");
    let Removal::Removed { preserved: Some(first), .. } = save(fixture, &workspace).await else {
        panic!("it is saved")
    };
    // A workspace of the same session that does not hold the first work: its branch has moved on meanwhile.
    let elsewhere = fixture.place("elsewhere");
    let branch = fixture.move_branch_on(&workspace.branch, &elsewhere).await;
    let reopened = reopen(fixture, &workspace).await;
    assert_eq!(reopened.branch, Some(branch));
    assert!(reopened.notes.iter().any(|note| note.contains(&first.commit)), "{:?}", reopened.notes);
    std::fs::write(request.path.join("file.txt"), "second").expect("a file");
    let Removal::Removed { preserved: Some(second), .. } = save(fixture, &workspace).await else {
        panic!("it is saved")
    };
    assert_ne!(first.commit, second.commit);
    assert!(fixture.holds(&second, &first.commit).await, "the first is lost");
    let reopened = reopen(fixture, &workspace).await;
    assert_eq!(std::fs::read(request.path.join("file.txt")).expect("it is there"), b"second");
    assert!(reopened.notes.iter().any(|note| note.contains(&first.commit)), "{:?}", reopened.notes);
    // The second is in the workspace, so that it need not be held any more; the first is not.
    fixture.commit(&request.path, "file.txt").await;
    let said = fixture.workspace().assess(&workspace, OnWork::Keep).await.expect("it can be known");
    let done = remove(fixture, &workspace).await;
    assert_eq!(done, Removal::Removed { branch_deleted: false, preserved: Some(first), would_save: None, left: None });
    assert_eq!(said, done);
}

/// Wherever a removal that saves is cut off, the work is in the workspace or comes back.
pub async fn i05_a_dropped_removal_loses_no_work(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    std::fs::write(request.path.join("file.txt"), "changed").expect("a file");
    std::fs::write(request.path.join("new.txt"), "new").expect("a file");
    let before = fixture.status(&request.path).await;
    for cut_ms in (0..160).step_by(8) {
        let adapter = fixture.workspace();
        let _ = tokio::time::timeout(Duration::from_millis(cut_ms), adapter.remove(&workspace, OnWork::Preserve)).await;
        // Only what a drop left half done is seen by another instance; a git that still runs keeps its turn.
        adapter.assess(&workspace, OnWork::Keep).await.unwrap_or_else(|error| panic!("{error}"));
        reopen(fixture, &workspace).await;
        assert_eq!(fixture.status(&request.path).await, before, "cut after {cut_ms} ms");
        assert_eq!(std::fs::read(request.path.join("file.txt")).expect("it is there"), b"changed");
        assert_eq!(std::fs::read(request.path.join("new.txt")).expect("it is there"), b"new");
    }
}

/// Asking what would happen gives what then happens, and leaves everything as it is.
pub async fn assess_says_what_remove_would_do_and_changes_nothing(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let workspace = create(fixture, &request).await;
    for work in [true, false] {
        let file = request.path.join("new.txt");
        if work {
            std::fs::write(&file, "new").expect("a file");
        }
        for on_work in [OnWork::Keep, OnWork::Preserve] {
            let before = fixture.fingerprint().await;
            let said = fixture.workspace().assess(&workspace, on_work).await.expect("it can be known");
            assert_eq!(fixture.fingerprint().await, before, "assessing changed something");
            let done = fixture.workspace().remove(&workspace, on_work).await.expect("it can be done");
            // There is no commit yet.
            let expected = match done {
                Removal::Removed { preserved: Some(work), branch_deleted, left, .. } => {
                    let would_save = Some(work.reference);
                    Removal::Removed { preserved: None, would_save, branch_deleted, left }
                }
                done => done,
            };
            assert_eq!(said, expected, "{on_work:?}, work: {work}");
            reopen(fixture, &workspace).await;
        }
        let _ = std::fs::remove_file(&file);
    }
    save(fixture, &workspace).await;
    let said = fixture.workspace().assess(&workspace, OnWork::Keep).await.expect("it can be known");
    assert_eq!(said, missing(false));
}

/// Those below the root, also without their directory; none of others, and no listing that is not whole.
pub async fn every_owned_workspace_is_listed_or_the_listing_fails(fixture: &impl WorkspaceFixture) {
    let adapter = fixture.workspace();
    let (first, second) = (request(fixture, 1).await, request(fixture, 2).await);
    let root = first.path.parent().expect("it has one").to_owned();
    assert_eq!(adapter.owned(&first.repository, &root).await.expect("it can be listed"), []);
    for request in [&first, &second] {
        create(fixture, request).await;
    }
    std::fs::remove_dir_all(&second.path).expect("it goes");
    let mut listed = adapter.owned(&first.repository, &root).await.expect("it can be listed");
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    let expected = [&first, &second].map(|request| OwnedWorkspace {
        session: request.session.clone(),
        path: request.path.clone(),
        branch: Some(request.branch.clone()),
    });
    assert_eq!(listed, expected);
    let elsewhere = fixture.place("elsewhere");
    assert_eq!(adapter.owned(&first.repository, &elsewhere).await.expect("it can be listed"), []);
    let gone = Repository { common_dir: elsewhere, ..first.repository.clone() };
    let outcome = adapter.owned(&gone, &root).await;
    assert!(matches!(outcome, Err(WorkspaceError::Failed { .. })), "{outcome:?}");
}
