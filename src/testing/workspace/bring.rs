//! Bringing files of the project's checkout into workspaces.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::{WorkspaceFixture, create, remove, removed, request};
use crate::ports::workspace::WorkspaceError;

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

/// Copies are whole and independent, links lead to the original, neither is work, and what is there stays.
pub async fn files_are_brought_that_git_ignores_and_nothing_is_overwritten(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let (main, adapter) = (request.repository.path.clone(), fixture.workspace());
    fixture.ignore(&["*.env", "/vendor"]).await;
    std::fs::create_dir_all(main.join("vendor/deep")).expect("a directory");
    std::fs::write(main.join("vendor/deep/tool"), "#!").expect("a file");
    std::fs::set_permissions(main.join("vendor/deep/tool"), PermissionsExt::from_mode(0o755)).expect("its own file");
    std::os::unix::fs::symlink("deep/tool", main.join("vendor/tool")).expect("a link");
    for name in ["a.env", "b.env", "c.env"] {
        std::fs::write(main.join(name), name).expect("a file");
    }
    let workspace = create(fixture, &request).await;
    std::fs::write(request.path.join("c.env"), "mine").expect("a file");
    let (copy, link) = (paths(&["a.env", "vendor", "c.env", "no.env"]), paths(&["b.env"]));

    let notes = adapter.bring(&request.path, &request.repository, &copy, &link).await.expect("it is brought");
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("c.env already") && notes[1].contains("is not there"), "{notes:?}");
    assert_eq!(fixture.status(&request.path).await, "");
    std::fs::write(main.join("a.env"), "changed").expect("a file");
    assert_eq!(std::fs::read(request.path.join("a.env")).expect("it is there"), b"a.env");
    assert_eq!(std::fs::read(request.path.join("c.env")).expect("it is there"), b"mine");
    assert_eq!(std::fs::read_link(request.path.join("b.env")).expect("a link"), main.join("b.env"));
    let tool = request.path.join("vendor/tool");
    assert_eq!(std::fs::read_link(&tool).expect("a link").to_str(), Some("deep/tool"));
    assert_eq!(tool.metadata().expect("it is there").permissions().mode() & 0o777, 0o755);
    // Again, as after a crash.
    let link = paths(&["b.env"]);
    assert_eq!(adapter.bring(&request.path, &request.repository, &[], &link).await.expect("it is"), [""; 0]);
    assert_eq!(remove(fixture, &workspace).await, removed(true));
    assert!(main.join("b.env").is_file() && main.join("vendor/deep/tool").is_file());
}

/// Neither what git would list, nor what is outside.
pub async fn nothing_is_brought_that_would_pass_for_work_or_leads_out(fixture: &impl WorkspaceFixture) {
    let request = request(fixture, 1).await;
    let (main, adapter) = (request.repository.path.clone(), fixture.workspace());
    let outside = fixture.place("outside");
    std::fs::create_dir_all(outside.join("dir")).expect("a directory");
    std::fs::write(outside.join("dir/secret"), "secret").expect("a file");
    fixture.ignore(&["/out", "/modules/"]).await;
    std::fs::create_dir(main.join("modules")).expect("a directory");
    std::fs::write(main.join("plain.txt"), "").expect("a file");
    std::os::unix::fs::symlink(outside.join("dir"), main.join("out")).expect("a link");
    create(fixture, &request).await;
    let bring = async |copy: &[&str], link: &[&str]| {
        adapter.bring(&request.path, &request.repository, &paths(copy), &paths(link)).await
    };
    for path in ["../outside", "/etc/passwd", ".git/config", ".ao/inbox", ""] {
        for outcome in [bring(&["file.txt", path], &[]).await, bring(&[], &[path]).await] {
            assert!(matches!(outcome, Err(WorkspaceError::Failed { .. })), "{path}: {outcome:?}");
        }
    }
    // A pattern for directories does not cover a link.
    let notes = bring(&["plain.txt", "out", "out/secret", "file.txt"], &["modules", "out"]).await.expect("notes");
    assert_eq!(notes.len(), 6, "{notes:?}");
    assert_eq!(fixture.status(&request.path).await, "");
    for name in ["plain.txt", "out", "modules"] {
        assert!(request.path.join(name).symlink_metadata().is_err(), "{name} was brought");
    }
    // The workspace's own link must not lead the copy astray.
    std::fs::create_dir(main.join("modules/deep")).expect("a directory");
    std::os::unix::fs::symlink(&outside, request.path.join("modules")).expect("a link");
    let notes = bring(&["modules/deep"], &[]).await.expect("notes");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(!outside.join("deep").exists());
    std::fs::remove_file(request.path.join("modules")).expect("it goes");
    assert_eq!(bring(&["modules"], &[]).await.expect("it is brought"), [""; 0]);
    assert!(request.path.join("modules/deep").is_dir());
}
