//! Control groups: where a daemon makes them, and who ends with an agent and who does not.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::sandbox::{Sandbox, signal};
use crate::test_group::{TestGroup, group_of};

fn pid(session: &serde_json::Value) -> u32 {
    u32::try_from(session["pid"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn a_daemon_that_was_handed_a_group_divides_it_among_its_agents() {
    let Some(group) = TestGroup::make() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_CGROUP".into(), "auto".into());
    // A shell moves itself, and then is the daemon.
    let mut daemon = std::process::Command::new("sh");
    daemon.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(group.path());
    daemon.args([env!("CARGO_BIN_EXE_ao"), "daemon"]).env_clear().envs(&sandbox.env).stdin(Stdio::null());
    let log = std::fs::File::create(sandbox.path("foreground.log")).unwrap();
    let mut daemon = daemon.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    sandbox.until("the daemon serves", || sandbox.command(&["status"]).output().unwrap().status.success()).await;
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--json", "--", "sleep", "600"];
    let run = sandbox.ao(&args).await;
    run.ok();
    let (home, agents) = (group_of(daemon.id()), group_of(pid(&run.json())));
    let (parent, leaf) = home.rsplit_once('/').unwrap();
    assert_eq!(leaf, "daemon", "{home}");
    assert!(agents.starts_with(&format!("{parent}/ao-app-1-")), "{agents} is not beside {home}");
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert!(group.agents().is_empty());
    sandbox.ao(&["stop"]).await.ok();
    daemon.wait().unwrap();
}

#[tokio::test]
async fn i03_a_daemon_that_an_agent_started_does_not_end_with_that_agent() {
    let Some(group) = TestGroup::make() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_CGROUP".into(), group.path().to_str().unwrap().into());
    let inner = sandbox.path("inner").to_str().unwrap().to_owned();
    let script = format!("\"$AO_PROGRAM\" --data-dir {inner} start && exit 0");
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "sh", "-c", &script];
    sandbox.ao(&args).await.ok();
    assert!(group.agents().is_empty(), "its group is gone, so everything in it is");
    sandbox.ao(&["--data-dir", &inner, "status"]).await.ok();
    sandbox.make_repository("other");
    let args =
        ["--data-dir", &inner, "spawn", "--agent", "command", "--runtime", "pty", "--json", "--", "sleep", "600"];
    let mut spawn = sandbox.command(&args);
    spawn.current_dir(sandbox.path("other"));
    let run = sandbox.run(spawn).await;
    run.ok();
    assert_eq!(run.json()["status"], json!("working"));
    assert!(group_of(pid(&run.json())).contains("/ao-other-1-"));
    sandbox.ao(&["--data-dir", &inner, "kill", "other-1"]).await.ok();
}

/// Whatever that daemon's own agents get: it must not be a part of the agent that started it.
#[tokio::test]
async fn i03_a_daemon_without_groups_or_with_others_leaves_the_agent_that_started_it_too() {
    let Some(group) = TestGroup::make() else { return };
    std::fs::create_dir(group.path().join("elsewhere")).unwrap();
    let elsewhere = group.path().join("elsewhere").to_str().unwrap().to_owned();
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_CGROUP".into(), group.path().to_str().unwrap().into());
    for (name, choice) in [("off", "off"), ("below", elsewhere.as_str()), ("absent", "/no/such/group")] {
        let inner = sandbox.path(name).to_str().unwrap().to_owned();
        let script = format!("AO_CGROUP={choice} \"$AO_PROGRAM\" --data-dir {inner} start && exit 0");
        let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "sh", "-c", &script];
        sandbox.ao(&args).await.ok();
        assert!(group.agents().is_empty(), "{name}: its group is gone, so everything in it is");
        let status = sandbox.ao(&["--data-dir", &inner, "status", "--json"]).await;
        status.ok();
        assert!(group_of(pid(&status.json())).ends_with("/daemon"), "{name}");
        sandbox.ao(&["--data-dir", &inner, "stop"]).await.ok();
    }
}

#[tokio::test]
async fn a_projects_commands_run_beside_the_agents_and_are_bounded_as_they_are() {
    let Some(group) = TestGroup::make() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_CGROUP".into(), group.path().to_str().unwrap().into());
    let file = "setup = ['cat /proc/self/cgroup > \"$HOME/setup\"']\n\
                teardown = ['cat /proc/self/cgroup > \"$HOME/teardown\"']\n";
    std::fs::write(sandbox.repo().join("ao.toml"), file).unwrap();
    sandbox.git(&sandbox.repo(), &["add", "."]);
    sandbox.git(&sandbox.repo(), &["commit", "--quiet", "--message=setup"]);
    sandbox.ao(&["project", "add", "."]).await.ok();
    sandbox.ao(&["project", "trust", "--yes"]).await.ok();
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    let below = group.path().file_name().unwrap().to_str().unwrap();
    for stage in ["setup", "teardown"] {
        let groups = std::fs::read_to_string(sandbox.path("home").join(stage)).unwrap();
        assert!(groups.contains(&format!("/{below}/ao-app-1-")), "{stage}: {groups}");
    }
    assert!(group.agents().is_empty());
}

/// A clean-up is not done again by itself: nothing but the group tells of what its teardown had started.
#[tokio::test]
async fn what_left_a_teardown_in_every_way_ends_with_the_start_after_the_daemon_died() {
    let Some(group) = TestGroup::make() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_CGROUP".into(), group.path().to_str().unwrap().into());
    let escaped = sandbox.path("home/escaped");
    let script = format!(
        "(env -i PATH=\"$PATH\" setsid sh -c \"echo \\$\\$ > {0}.part; mv {0}.part {0}; exec sleep 600\" > /dev/null 2>&1 &); \
         while ! test -e \"$HOME/go\"; do sleep 0.02; done",
        escaped.display()
    );
    std::fs::write(sandbox.repo().join("ao.toml"), format!("teardown = ['''{script}''']\n")).unwrap();
    sandbox.git(&sandbox.repo(), &["add", "."]);
    sandbox.git(&sandbox.repo(), &["commit", "--quiet", "--message=teardown"]);
    sandbox.ao(&["project", "add", "."]).await.ok();
    sandbox.ao(&["project", "trust", "--yes"]).await.ok();
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", "exit 0"]).await.ok();
    sandbox.wait_for("app-1", "status", "terminated").await;
    let daemon = sandbox.daemon_pid().await;
    let mut cleanup = sandbox.command(&["cleanup"]);
    cleanup.env("AO_NO_START", "1");
    let dies = async {
        sandbox.until("something has left the teardown", || escaped.exists()).await;
        signal(daemon, Signal::KILL);
    };
    tokio::join!(sandbox.run(cleanup), dies);
    std::fs::write(sandbox.path("home/go"), "").unwrap();
    sandbox.until("the teardown has ended", || sandbox.processes().is_empty()).await;
    let escaped = std::fs::read_to_string(escaped).unwrap().trim().parse().unwrap();
    assert!(Sandbox::is_running(escaped));
    sandbox.ao(&["start"]).await.ok();
    assert!(!Sandbox::is_running(escaped), "{}", sandbox.log());
    assert!(sandbox.worktree("app-1").exists(), "nobody has asked for the clean-up again");
}

#[tokio::test]
async fn doctor_says_how_agents_are_bounded_or_why_not() {
    let sandbox = Sandbox::new();
    let run = sandbox.ao(&["doctor", "--json"]).await;
    let checks = run.json();
    let check = checks.as_array().unwrap().iter().find(|check| check["name"] == "memory limits").unwrap();
    assert_eq!(check["verdict"], "absent");
    assert!(check["found"].as_str().unwrap().contains("turned off"), "{check}");
    assert!(check["advice"].as_str().unwrap().contains("auto"), "{check}");
    let limit = checks.as_array().unwrap().iter().find(|check| check["name"] == "live agents").unwrap();
    assert!(limit["found"].as_str().unwrap().contains("100 at once"), "{limit}");
}

#[tokio::test]
async fn doctor_tells_what_bounds_the_agents_of_the_daemon_that_runs() {
    let mut sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let check = async |sandbox: &Sandbox, name: &str| {
        let checks = sandbox.ao(&["doctor", "--json"]).await.json();
        checks.as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
    };
    assert_eq!(check(&sandbox, "live agents").await["advice"], json!(null));
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".into(), "7".into());
    let limit = check(&sandbox, "live agents").await;
    assert!(limit["found"].as_str().unwrap().starts_with("100 at once in the daemon"), "{limit}");
    assert!(limit["advice"].as_str().unwrap().contains("allow 7"), "{limit}");
    if let Some(group) = TestGroup::make() {
        sandbox.env.insert("AO_CGROUP".into(), group.path().to_str().unwrap().into());
        let memory = check(&sandbox, "memory limits").await;
        assert!(memory["found"].as_str().unwrap().contains("turned off"), "{memory}");
        assert!(memory["advice"].as_str().unwrap().contains("ao start"), "{memory}");
    }
    sandbox.ao(&["stop"]).await.ok();
    assert!(check(&sandbox, "live agents").await["found"].as_str().unwrap().starts_with("7 at once, set by"));
}
