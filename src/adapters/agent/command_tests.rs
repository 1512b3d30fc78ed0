use super::*;
use crate::domain::permission::PermissionMode;
use std::os::unix::fs::PermissionsExt;

fn agent(command: CommandLine) -> CommandAgent {
    let settings = CommandAgentSettings { path_var: "/usr/bin:/bin".into(), env: BTreeMap::new() };
    CommandAgent::new(AgentKind::new("command").unwrap(), command, settings)
}

fn request(root: &Path, args: &[&str]) -> LaunchRequest {
    LaunchRequest {
        session: "app-1".parse().unwrap(),
        kind: crate::domain::session::SessionKind::Worker,
        session_dir: root.join("session"),
        workspace: root.join("workspace"),
        repository: root.join("repository"),
        prompt: Some("do \"it\"\n".into()),
        system_prompt: None,
        permission_mode: PermissionMode::Plan,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ao_program: "/ao".into(),
        data_dir: "/data".into(),
    }
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for directory in ["session", "workspace"] {
        std::fs::create_dir(root.path().join(directory)).unwrap();
    }
    root
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_list_and_a_line_give_the_same_command() {
    let list: CommandLine = serde_json::from_str(r#"["make", "-k", "a b"]"#).unwrap();
    let line: CommandLine = serde_json::from_str(r#""make -k 'a b'""#).unwrap();
    assert_eq!(list, line);
}

#[test]
fn a_command_without_a_program_is_refused() {
    for text in ["[]", r#""""#, r#"[""]"#, r#""make 'x""#, r#""  ""#] {
        assert!(serde_json::from_str::<CommandLine>(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_built_in_kind_takes_its_command_from_the_arguments() {
    let root = root();
    let plan = agent(CommandLine::default()).prepare(&request(root.path(), &["sh", "-c", "exit 3"])).await.unwrap();
    assert!(plan.command.program.ends_with("sh") && plan.command.program.is_absolute());
    assert_eq!(plan.command.args, words(&["-c", "exit 3"]));
    assert_eq!(plan.command.stdin, None);
    assert_eq!(plan.command.env[PERMISSION_MODE_VARIABLE], "plan");
    let file = PathBuf::from(&plan.command.env[PROMPT_FILE_VARIABLE]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "do \"it\"\n");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_configured_kind_gets_the_arguments_appended() {
    let root = root();
    let command = CommandLine::from_line("sh -x").unwrap();
    let plan = agent(command).prepare(&request(root.path(), &["a b"])).await.unwrap();
    assert_eq!(plan.command.args, words(&["-x", "a b"]));
}

#[tokio::test]
async fn no_command_is_refused_before_anything_is_built() {
    let error = agent(CommandLine::default()).preflight(&[]).await.unwrap_err();
    assert!(error.to_string().contains("ao spawn --agent command -- make -k"), "{error}");
}

#[tokio::test]
async fn a_missing_program_names_where_it_was_looked_for() {
    let error = agent(CommandLine::default()).preflight(&words(&["no-such-program"])).await.unwrap_err();
    assert!(error.to_string().contains("/usr/bin"), "{error}");
    let error = agent(CommandLine::default()).preflight(&words(&["/no/such/program"])).await.unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
}

#[tokio::test]
async fn a_relative_path_is_one_in_the_workspace() {
    let root = root();
    let agent = agent(CommandLine::default());
    agent.preflight(&words(&["./run"])).await.unwrap();
    let request = request(root.path(), &["./run"]);
    let error = agent.prepare(&request).await.unwrap_err();
    assert!(error.to_string().contains("workspace"), "{error}");
    let program = root.path().join("workspace/run");
    crate::executable::write(&program, "#!/bin/sh\n");
    let plan = agent.prepare(&request).await.unwrap();
    assert_eq!(plan.command.program, root.path().join("workspace/./run"));
}
