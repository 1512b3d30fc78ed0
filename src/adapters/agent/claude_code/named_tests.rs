use std::path::Path;

use super::*;
use crate::domain::permission::PermissionMode;

fn agent(root: &Path, args: &[&str]) -> ClaudeCode {
    let program = root.join("claude");
    crate::executable::write(&program, "#!/bin/sh\n");
    let settings = ClaudeCodeSettings {
        program: Some(program),
        path_var: String::new(),
        home: root.to_owned(),
        config_dir: None,
        env: BTreeMap::new(),
        is_root: false,
    };
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    ClaudeCode::named("careful".parse().unwrap(), args, settings)
}

fn request(root: &Path) -> LaunchRequest {
    LaunchRequest {
        session: "app-1".parse().unwrap(),
        kind: crate::domain::session::SessionKind::Worker,
        session_dir: root.to_owned(),
        workspace: root.to_owned(),
        repository: root.to_owned(),
        prompt: None,
        system_prompt: None,
        permission_mode: PermissionMode::Default,
        args: vec!["--model".to_owned(), "sonnet".to_owned()],
        ao_program: "/bin/ao".into(),
        data_dir: "/data".into(),
    }
}

#[tokio::test]
async fn a_named_agents_arguments_come_before_the_sessions() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path(), &["--model", "opus"]);
    assert_eq!(agent.kind().as_str(), "careful");
    let plan = agent.prepare(&request(root.path())).await.unwrap();
    assert_eq!(plan.command.program, root.path().join("claude"));
    assert!(plan.command.args.ends_with(&["--model", "opus", "--model", "sonnet"].map(str::to_owned)), "{plan:?}");
}

#[tokio::test]
async fn a_named_agent_cannot_be_given_what_ao_gives_either() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path(), &["--settings", "x.json"]);
    let refusals = [
        agent.preflight(&[]).await.map(drop).unwrap_err(),
        agent.prepare(&request(root.path())).await.map(drop).unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(&refusal, AgentError::Refused(cause) if cause.contains("--settings")), "{refusal:?}");
    }
}
