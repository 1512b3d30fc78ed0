use super::parse::parse;
use crate::domain::permission::PermissionMode;
use crate::domain::project_file::ProjectSettings;
use crate::domain::setup::ProjectSetup;

#[test]
fn i17_a_file_of_version_1_still_loads() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ao-toml-v1.toml");
    let env = [("NODE_ENV", "development"), ("EMPTY", "")];
    let expected = ProjectSettings {
        base: Some("develop".into()),
        branch_prefix: Some("bot/".into()),
        agent: Some("claude-code".parse().unwrap()),
        permission_mode: Some(PermissionMode::AcceptEdits),
        setup: ProjectSetup {
            setup: vec!["npm ci --prefer-offline".into(), "set -e\nmake deps\n".into()],
            teardown: vec!["docker compose down".into()],
            copy: vec![".env".into(), "config/größe.json".into()],
            link: vec!["node_modules".into(), "cache".into()],
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            rules: Vec::new(),
            timeout_s: 1200,
            teardown_timeout_s: 30,
        },
    };
    assert_eq!(parse(&std::fs::read(path).unwrap()).unwrap(), expected);
}

#[test]
fn an_empty_file_sets_nothing_but_bounds() {
    let settings = parse(b"# nothing yet\n").unwrap();
    let setup = ProjectSetup { timeout_s: 600, teardown_timeout_s: 60, ..ProjectSetup::default() };
    assert_eq!(settings, ProjectSettings { setup, ..ProjectSettings::default() });
    assert!(!settings.needs_acceptance());
    assert_eq!(parse(b"branch_prefix = ''\n").unwrap().branch_prefix.as_deref(), Some(""));
}

#[test]
fn rules_keep_their_order() {
    let text = "[[rules]]\ntool = 'Bash'\ninput = 'git *'\ndecide = 'allow'\n
                [[rules]]\ntool = '*'\ndecide = 'deny'\nreason = 'no'\n[[rules]]\ntool = 'Read'\ndecide = 'ask'\n";
    let settings = parse(text.as_bytes()).unwrap();
    let told: Vec<String> = settings.setup.rules.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["allow Bash: git *", "deny *", "ask Read"]);
    assert_eq!(settings.setup.rules[1].reason.as_deref(), Some("no"));
    assert!(settings.needs_acceptance());
}

#[test]
fn a_mistake_is_told_with_its_line_and_key() {
    let cases = [
        // What is no TOML.
        ("setup = [\n'a'\n", "line "),
        ("base = 'a'\nbase = 'b'\n", "line 2: duplicate key"),
        // Keys that are not known.
        ("\nset_up = ['x']\n", "line 2: set_up: unknown key `set_up`, expected one of `base`, `branch_prefix`"),
        ("# c\n[agents.x]\nkind = 'command'\n", "line 2: agents: unknown key `agents`"),
        ("runtime = 'pty'\n", "line 1: runtime: unknown key `runtime`"),
        // Wrong types.
        ("base = 5\n", "line 1: base: invalid type: integer `5`, expected a string"),
        ("\nbranch_prefix = true\n", "line 2: branch_prefix: invalid type: boolean `true`, expected a string"),
        ("agent = []\n", "line 1: agent: invalid type: sequence, expected a string"),
        ("permission_mode = 1\n", "line 1: permission_mode: "),
        ("setup = 'npm ci'\n", "line 1: setup: invalid type: string \"npm ci\", expected a sequence"),
        ("setup = [\n 'a',\n 2,\n]\n", "line 3: setup[1]: invalid type: integer `2`, expected a string"),
        ("teardown = [['a']]\n", "line 1: teardown[0]: invalid type: sequence, expected a string"),
        ("copy = ['a', {}]\n", "line 1: copy[1]: invalid type: map, expected a string"),
        ("link = { a = 'b' }\n", "line 1: link: invalid type: map, expected a sequence"),
        ("setup_timeout_s = '5'\n", "line 1: setup_timeout_s: invalid type: string \"5\", expected a whole number"),
        ("teardown_timeout_s = 1.5\n", "line 1: teardown_timeout_s: invalid type: floating point"),
        ("env = 'A=b'\n", "line 1: env: invalid type: string \"A=b\", expected a table"),
        ("[env]\n\nPORT = 3000\n", "line 3: env.PORT: invalid type: integer `3000`, expected a string"),
        ("rules = 'x'\n", "line 1: rules: invalid type: string \"x\", expected a sequence"),
        ("[[rules]]\ntool = 'Bash'\n", "line 1: rules[0].decide: missing key `decide`"),
        (
            "[[rules]]\ntool = 'a'\ndecide = 'ask'\n[[rules]]\ntool = 1\ndecide = 'ask'\n",
            "line 5: rules[1].tool: invalid type",
        ),
        ("[[rules]]\ntool = 'a'\ndecide = 'ask'\ncommand = 'b'\n", "line 4: rules[0].command: unknown key `command`"),
        // Wrong values.
        (
            "[[rules]]\ntool = 'a'\ndecide = 'maybe'\n",
            "line 3: rules[0].decide: unknown value `maybe`, expected one of `allow`",
        ),
        ("[[rules]]\ntool = ''\ndecide = 'deny'\n", "line 2: rules[0].tool: the pattern is empty"),
        ("[[rules]]\ntool = 'a'\ninput = ' '\ndecide = 'deny'\n", "line 3: rules[0].input: the pattern is empty"),
        ("[[rules]]\ntool = 'a'\ndecide = 'deny'\nreason = ''\n", "line 4: rules[0].reason: the reason is empty"),
        ("base = ''\n", "line 1: base: \"\" is not the name of a branch, a tag or a commit"),
        ("base = '--upload-pack=x'\n", "line 1: base: \"--upload-pack=x\" is not the name"),
        ("base = '+main:refs/stash'\n", "line 1: base: \"+main:refs/stash\" is not the name"),
        ("base = 'origin/+main'\n", "line 1: base: \"origin/+main\" is not the name"),
        ("base = 'HEAD:file'\n", "line 1: base: \"HEAD:file\" is not the name"),
        ("base = 'refs/heads/*'\n", "line 1: base: \"refs/heads/*\" is not the name"),
        ("base = '@{-1}'\n", "line 1: base: \"@{-1}\" is not the name"),
        ("base = 'a..b'\n", "line 1: base: \"a..b\" is not the name"),
        ("base = '^main'\n", "line 1: base: \"^main\" is not the name"),
        ("branch_prefix = 'a b/'\n", "line 1: branch_prefix: \"a b/\" cannot be the beginning of a branch's name"),
        ("branch_prefix = '/x'\n", "line 1: branch_prefix: \"/x\" cannot be"),
        ("branch_prefix = 'x/../'\n", "line 1: branch_prefix: \"x/../\" cannot be"),
        ("agent = 'A B'\n", "line 1: agent: \"A B\" is not a valid agent name"),
        ("permission_mode = 'yolo'\n", "line 1: permission_mode: unknown value `yolo`, expected one of `default`"),
        // The line is that of the list.
        ("\nsetup = ['a', '  ']\n", "line 2: setup[1]: the command is empty"),
        ("teardown = [\"a\\u0000b\"]\n", "line 1: teardown[0]: it holds a NUL character"),
        ("copy = ['../secret']\n", "line 1: copy[0]: \"../secret\" leads out of the repository"),
        ("copy = ['a/../../b']\n", "line 1: copy[0]: \"a/../../b\" leads out of the repository"),
        ("\ncopy = ['/etc/passwd']\n", "line 2: copy[0]: \"/etc/passwd\" leads out of the repository"),
        ("link = ['.']\n", "line 1: link[0]: \".\" names no file"),
        ("link = ['']\n", "line 1: link[0]: \"\" names no file"),
        ("link = ['.git/hooks']\n", "line 1: link[0]: \".git/hooks\" cannot be brought into a workspace"),
        ("copy = ['./.AO/inbox']\n", "line 1: copy[0]: \"./.AO/inbox\" cannot be brought into a workspace"),
        ("copy = ['vendor/.git']\n", "line 1: copy[0]: \"vendor/.git\" cannot be brought into a workspace"),
        ("setup_timeout_s = 0\n", "line 1: setup_timeout_s: 0 is not a number of seconds from 1 to 86400"),
        ("teardown_timeout_s = 121\n", "line 1: teardown_timeout_s: 121 is not a number of seconds from 1 to 120"),
        ("[env]\n'A B' = 'x'\n", "line 2: env.A B: \"A B\" is not the name of a variable"),
        ("[env]\n1A = 'x'\n", "line 2: env.1A: \"1A\" is not the name of a variable"),
        ("[env]\nX = 'x'\nAO_DATA_DIR = 'x'\n", "line 3: env.AO_DATA_DIR: variables that begin with AO_ are ao's own"),
        ("[env]\nX = \"\\u0000\"\n", "line 2: env.X: it holds a NUL character"),
    ];
    for (content, expected) in cases {
        let said = parse(content.as_bytes()).expect_err(content).to_string();
        assert!(said.starts_with(expected), "\n{content}\nsaid: {said}\nnot:  {expected}");
        assert!(!said.contains("$__"), "{said}");
    }
    assert_eq!(parse(b"# \n\xff").unwrap_err().to_string(), "line 2: this is not UTF-8 text");
}
