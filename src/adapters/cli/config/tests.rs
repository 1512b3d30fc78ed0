use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(content: impl AsRef<[u8]>, pairs: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, content).unwrap();
    Config::load(&path, &env(pairs)).map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn nothing_set_gives_the_defaults() {
    let defaults = Config::default();
    assert_eq!((defaults.agent.as_str(), &defaults.runtime), ("claude-code", &RuntimeChoice::Auto));
    assert_eq!((defaults.permission_mode, defaults.agents.len()), (PermissionMode::Default, 0));
    assert_eq!((defaults.fetch_timeout_s, defaults.ready_timeout_s), (10, 60));
    assert_eq!(defaults.max_live_agents, None);
    assert_eq!((defaults.agent_memory_max, &defaults.cgroup), (AgentMemory::Share, &place::Choice::Auto));
    let kept = Kept { changes: 100_000, ended_days: 30, spool_mb: 64, scrollback_mb: 4, daemon_log_mb: 10 };
    assert_eq!(defaults.kept, kept);
    assert_eq!(Config::load(Path::new("/nonexistent/config.toml"), &env(&[])).unwrap(), defaults);
    assert_eq!(load("", &[]).unwrap(), defaults);
    assert_eq!(load("# nothing\n", &[("AO_AGENT", "")]).unwrap(), defaults);
}

#[test]
fn i17_a_configuration_of_version_1_still_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config-v1.toml");
    let config = Config::load(&path, &env(&[])).unwrap();
    let agents = [
        ("claude-code", AgentConfig::ClaudeCode { program: Some("/opt/claude/bin/claude".into()), args: vec![] }),
        ("build", AgentConfig::Command { command: words(&["make", "-k", "all targets", "-j", "2"]), prompt: None }),
        ("careful", AgentConfig::ClaudeCode { program: None, args: words(&["--model", "opus"]) }),
        ("echo", AgentConfig::Command { command: words(&["/bin/echo", "größe $HOME"]), prompt: None }),
    ];
    let expected = Config {
        agent: "careful".parse().unwrap(),
        runtime: "pty".parse().unwrap(),
        permission_mode: PermissionMode::AcceptEdits,
        fetch_timeout_s: 5,
        ready_timeout_s: 120,
        max_live_agents: None,
        agent_memory_max: AgentMemory::Share,
        cgroup: place::Choice::Auto,
        http: HttpPort::default(),
        kept: Kept::default(),
        agents: agents.into_iter().map(|(name, agent)| (name.parse().unwrap(), agent)).collect(),
    };
    assert_eq!(config, expected);
}

#[test]
fn a_variable_wins_over_the_file() {
    let file = "agent = 'a'\nruntime = 'pty'\npermission_mode = 'plan'\nfetch_timeout_s = 1\nready_timeout_s = 2\n\
                max_live_agents = 7\nagent_memory_max = 1073741824\ncgroup = 'off'\nhttp = '[::1]:1'\n\
                keep_changes = 1\nkeep_ended_days = 2\nspool_max_mb = 3\nscrollback_mb = 4\ndaemon_log_mb = 5\n";
    let pairs = [
        ("AO_AGENT", "b"),
        ("AO_RUNTIME", "zellij"),
        ("AO_PERMISSION_MODE", "bypass-permissions"),
        ("AO_FETCH_TIMEOUT_S", "3"),
        ("AO_READY_TIMEOUT_S", "4"),
        ("AO_MAX_LIVE_AGENTS", "5"),
        ("AO_AGENT_MEMORY_MAX", "none"),
        ("AO_CGROUP", "/sys/fs/cgroup/mine"),
        ("AO_HTTP", "off"),
        ("AO_KEEP_CHANGES", "11"),
        ("AO_KEEP_ENDED_DAYS", "0"),
        ("AO_SPOOL_MAX_MB", "13"),
        ("AO_SCROLLBACK_MB", "14"),
        ("AO_DAEMON_LOG_MB", "15"),
    ];
    let config = load(file, &pairs).unwrap();
    let expected = Config {
        agent: "b".parse().unwrap(),
        runtime: "zellij".parse().unwrap(),
        permission_mode: PermissionMode::BypassPermissions,
        fetch_timeout_s: 3,
        ready_timeout_s: 4,
        max_live_agents: NonZeroUsize::new(5),
        agent_memory_max: AgentMemory::Unbounded,
        cgroup: place::Choice::Below("/sys/fs/cgroup/mine".into()),
        http: HttpPort::Off,
        kept: Kept { changes: 11, ended_days: 0, spool_mb: 13, scrollback_mb: 14, daemon_log_mb: 15 },
        agents: BTreeMap::new(),
    };
    assert_eq!(config, expected);
    assert_eq!(load("", &pairs).unwrap(), expected);
    let file_only = load(file, &[]).unwrap();
    assert_eq!((file_only.fetch_timeout_s, file_only.permission_mode), (1, PermissionMode::Plan));
    assert_eq!(file_only.max_live_agents, NonZeroUsize::new(7));
    assert_eq!(file_only.agent_memory_max, AgentMemory::AtMost { bytes: 1 << 30 });
    assert_eq!(file_only.cgroup, place::Choice::Off);
    assert_eq!(file_only.http, HttpPort::At("[::1]:1".parse().unwrap()));
    let kept = Kept { changes: 1, ended_days: 2, spool_mb: 3, scrollback_mb: 4, daemon_log_mb: 5 };
    assert_eq!(file_only.kept, kept);
}

#[test]
fn variables_that_are_no_settings_are_left_alone() {
    let pairs = [
        ("AO_DATA_DIR", "/d"),
        ("AO_NO_START", "1"),
        ("AO_SESSION_ID", "app-1"),
        ("AO_PROJECT_ID", "app"),
        ("AO_ISSUE_ID", "?!"),
        ("AO_TEST_RUN", "x"),
        ("AO_AGENTS", "nonsense"),
    ];
    assert_eq!(load("", &pairs).unwrap(), Config::default());
}

#[test]
fn a_wrong_variable_is_named() {
    let cases = [
        ("AO_AGENT", "Claude Code", "\"Claude Code\" is not a valid agent name"),
        ("AO_RUNTIME", "a b", "\"a b\" is not a valid runtime name"),
        ("AO_PERMISSION_MODE", "yolo", "\"yolo\" is not a permission mode: use default, accept-edits"),
        ("AO_FETCH_TIMEOUT_S", "0", "\"0\" is not a number of seconds from 1 to 86400"),
        ("AO_READY_TIMEOUT_S", "1m", "\"1m\" is not a number of seconds"),
        ("AO_MAX_LIVE_AGENTS", "0", "\"0\" is not a number from 1 on"),
        ("AO_AGENT_MEMORY_MAX", "4GB", "\"4GB\" is not an amount of memory from 64M on"),
        ("AO_AGENT_MEMORY_MAX", "1K", "\"1K\" is not an amount of memory"),
        ("AO_AGENT_MEMORY_MAX", "99999999999T", "\"99999999999T\" is not an amount of memory"),
        ("AO_CGROUP", "on", "\"on\" is not \"auto\", \"off\" or the absolute path"),
        ("AO_KEEP_CHANGES", "0", "\"0\" is not a number from 1 to 100000000"),
        ("AO_KEEP_ENDED_DAYS", "-1", "\"-1\" is not a number from 0 to 36500"),
        ("AO_SCROLLBACK_MB", "4M", "\"4M\" is not a number from 1 to 10000"),
        ("AO_MAX_LIVE_AGENTS", "many", "\"many\" is not a number from 1 on"),
    ];
    for (variable, value, cause) in cases {
        let said = load("", &[(variable, value)]).unwrap_err();
        let start = format!("environment variable {variable}: {cause}");
        assert!(said.starts_with(&start), "{said}");
    }
}

/// Insists that each of these files is refused with these words.
fn are_told(cases: &[(&str, &str)]) {
    for (content, expected) in cases {
        let said = load(content, &[]).unwrap_err();
        assert!(said.starts_with(&format!("/config.toml {expected}")), "\n{content}\nsaid: {said}\nnot:  {expected}");
        assert!(!said.contains("$__"), "{said}");
        let windows = content.replace('\n', "\r\n");
        assert_eq!(load(&windows, &[]).unwrap_err(), said, "with other line ends");
    }
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line_and_key() {
    let cases = [
        // What is no TOML.
        ("a", "line 1: "),
        ("agent = 'x'\n\nruntime = pty\n", "line 3: "),
        ("agent = 'a'\nagent = 'b'\n", "line 2: duplicate key"),
        ("agent = 'open\nruntime = 'pty'", "line 1: "),
        // Keys that are not known, wherever.
        ("\nagnet = 'x'\n", "line 2: agnet: unknown key `agnet`, expected one of `agent`, `runtime`"),
        ("[server]\nport = 1\n", "line 1: server: unknown key `server`"),
        ("[agents.a]\nkind = 'command'\ncommand = 'x'\nargz = []\n", "line 4: agents.a.argz: unknown key `argz`"),
        // Wrong types.
        ("# c\nagent = 5\n", "line 2: agent: invalid type: integer `5`, expected a string"),
        ("runtime = true\n", "line 1: runtime: invalid type: boolean `true`, expected a string"),
        ("permission_mode = ['plan']", "line 1: permission_mode: "),
        ("fetch_timeout_s = '5'\n", "line 1: fetch_timeout_s: invalid type: string \"5\", expected a whole number"),
        ("fetch_timeout_s = 1.5\n", "line 1: fetch_timeout_s: invalid type: floating point"),
        ("agents = 3\n", "line 1: agents: invalid type: integer `3`, expected a table"),
        ("[agents]\n\na = 'x'\n", "line 3: agents.a: invalid type: string \"x\", expected a table"),
        (
            "[agents.a]\nkind = 'command'\ncommand = 7\n",
            "line 3: agents.a.command: invalid type: integer `7`, expected a string in shell words or a list of strings",
        ),
        (
            "[agents.a]\nkind = 'command'\ncommand = ['x', 7]\n",
            "line 3: agents.a.command[1]: invalid type: integer `7`, expected a string",
        ),
        (
            "[agents.a]\nkind = 'claude-code'\nargs = [\n 'x',\n 2,\n]\n",
            "line 5: agents.a.args[1]: invalid type: integer `2`",
        ),
        ("[agents.a]\nkind = 'claude-code'\nprogram = []\n", "line 3: agents.a.program: invalid type: sequence"),
        // Wrong values.
        ("agent = 'A B'\n", "line 1: agent: \"A B\" is not a valid agent name"),
        ("agent = 'a'\nruntime = 'Z'\n", "line 2: runtime: \"Z\" is not a valid runtime name"),
        (
            "permission_mode = 'yolo'\n",
            "line 1: permission_mode: unknown value `yolo`, expected one of `default`, `accept-edits`",
        ),
        ("\n\n\nready_timeout_s = 0\n", "line 4: ready_timeout_s: 0 is not a number of seconds from 1 to 86400"),
        ("agent_memory_max = 4\n", "line 1: agent_memory_max: 4 is not an amount of memory from 64M on"),
        ("agent_memory_max = '4 G'\n", "line 1: agent_memory_max: \"4 G\" is not an amount of memory"),
        (
            "\nagent_memory_max = true\n",
            "line 2: agent_memory_max: invalid type: boolean `true`, expected an amount of memory",
        ),
        ("cgroup = 'mine'\n", "line 1: cgroup: \"mine\" is not \"auto\", \"off\""),
        ("http = '0.0.0.0:80'\n", "line 1: http: 0.0.0.0:80 is no loopback address"),
        ("http = 'localhost'\n", "line 1: http: \"localhost\" is not \"off\" or an address"),
        ("keep_changes = 0\n", "line 1: keep_changes: 0 is not a number from 1 to 100000000"),
        ("\nkeep_ended_days = -1\n", "line 2: keep_ended_days: -1 is not a number from 0 to 36500"),
        ("spool_max_mb = '1'\n", "line 1: spool_max_mb: invalid type: string \"1\", expected a whole number"),
        ("scrollback_mb = 10001\n", "line 1: scrollback_mb: 10001 is not a number from 1 to 10000"),
        ("daemon_log_mb = 0\n", "line 1: daemon_log_mb: 0 is not a number from 1 to 10000"),
        ("max_live_agents = 0\n", "line 1: max_live_agents: 0 is not a number from 1 on"),
        ("max_live_agents = -3\n", "line 1: max_live_agents: -3 is not a number from 1 on"),
        ("max_live_agents = '4'\n", "line 1: max_live_agents: invalid type: string \"4\", expected a whole number"),
        ("ready_timeout_s = -1\n", "line 1: ready_timeout_s: -1 is not a number of seconds"),
        ("[agents.'A b']\nkind = 'command'\n", "line 1: agents"),
        (
            "[agents.a]\nkind = 'codex'\n",
            "line 2: agents.a.kind: unknown value `codex`, expected `claude-code` or `command`",
        ),
        (
            "[agents.a]\nkind = 'command'\ncommand = 'make \"x'\n",
            "line 3: agents.a.command: a quote is not closed in \"make \\\"x\"",
        ),
        ("[agents.a]\nkind = 'command'\ncommand = '  '\n", "line 3: agents.a.command: the command is empty"),
        ("[agents.a]\nkind = 'command'\ncommand = []\n", "line 3: agents.a.command: the command is empty"),
        ("[agents.a]\nkind = 'command'\ncommand = ['', 'x']\n", "line 3: agents.a.command: the command is empty"),
        (
            "[agents.a]\nkind = 'claude-code'\nprogram = 'bin/claude'\n",
            "line 3: agents.a.program: \"bin/claude\" is not a program: give an absolute path",
        ),
        ("[agents.a]\nkind = 'claude-code'\nprogram = ''\n", "line 3: agents.a.program: \"\" is not a program"),
        // What does not go together.
        ("agent = 'a'\n[agents.a]\nprogram = 'x'\n", "line 2: agents.a.kind: missing key `kind`"),
        ("[agents.a]\n# c\nkind = 'command'\n", "line 3: agents.a.command: it is missing"),
        ("[agents.a]\ncommand = 'x'\nkind = 'claude-code'\n", "line 2: agents.a.command: only agents of kind command"),
        (
            "[agents.a]\nkind = 'command'\ncommand = 'x'\nprogram = 'y'\n",
            "line 4: agents.a.program: agents of kind command have none",
        ),
    ];
    are_told(&cases);
}

#[test]
fn a_mistake_in_how_an_agent_is_typed_to_is_told() {
    are_told(&[
        (
            "[agents.a]\nkind = 'command'\ncommand = 'x'\nprompt = '('\n",
            "line 4: agents.a.prompt: \"(\" is not a regular expression: unclosed group",
        ),
        ("[agents.a]\nkind = 'command'\ncommand = 'x'\nprompt = ''\n", "line 4: agents.a.prompt: the pattern is empty"),
        (
            "[agents.a]\nkind = 'command'\ncommand = 'x'\nprompt = '>'\nprompt_lines = 0\n",
            "line 5: agents.a.prompt_lines: 0 is not a number from 1 to 50",
        ),
        (
            "[agents.a]\nkind = 'command'\ncommand = 'x'\nbusy = 'y'\n",
            "line 4: agents.a.busy: it says nothing without prompt",
        ),
        (
            "[agents.a]\nkind = 'claude-code'\nbracketed_paste = true\n",
            "line 3: agents.a.bracketed_paste: it says nothing without prompt",
        ),
        (
            "[agents.a]\nkind = 'claude-code'\nprompt = '>'\n",
            "line 3: agents.a.prompt: only agents of kind command have it",
        ),
    ]);
}

#[test]
fn a_prompt_is_one_line_of_an_agent_that_echoes_and_knows_no_bracketed_paste_unless_said_otherwise() {
    let agent = |keys: &str| {
        let content = format!("[agents.a]\nkind = 'command'\ncommand = 'x'\n{keys}");
        load(content, &[]).unwrap().agents.into_values().next().unwrap()
    };
    let command = words(&["x"]);
    let plain = PromptSettings {
        prompt: "\\$".into(),
        prompt_lines: 1,
        busy: None,
        echo: None,
        bracketed_paste: false,
        echoes: true,
    };
    assert_eq!(agent(""), AgentConfig::Command { command: command.clone(), prompt: None });
    assert_eq!(agent("prompt = '\\$'"), AgentConfig::Command { command: command.clone(), prompt: Some(plain.clone()) });
    let all =
        "prompt = '\\$'\nprompt_lines = 3\nbusy = 'wait'\necho = 'pasted'\nbracketed_paste = true\nechoes = false";
    let (busy, echo) = (Some("wait".into()), Some("pasted".into()));
    let full = PromptSettings { prompt_lines: 3, busy, echo, bracketed_paste: true, echoes: false, ..plain };
    assert_eq!(agent(all), AgentConfig::Command { command, prompt: Some(full) });
}

#[test]
fn a_mistake_in_the_file_is_told_also_when_a_variable_overrides_it() {
    assert!(load("agent = 5", &[("AO_AGENT", "a")]).unwrap_err().contains("line 1: agent"));
}

#[test]
fn text_that_is_not_utf_8_has_a_line() {
    let said = load(b"# one\nagent = '\xff'\n", &[]).unwrap_err();
    assert_eq!(said, "/config.toml line 2: this is not UTF-8 text");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = Config::load(dir.path(), &env(&[])).unwrap_err().to_string();
    assert!(said.starts_with(&format!("cannot read {}: ", dir.path().display())), "{said}");
}

#[test]
fn memory_has_units_of_1024_and_is_a_share_unless_set() {
    let bytes = |text: &str| load(format!("agent_memory_max = '{text}'"), &[]).unwrap().agent_memory_max.bytes(None);
    assert_eq!(bytes("64M"), Some(64 << 20));
    assert_eq!(bytes("4G"), Some(4 << 30));
    assert_eq!(bytes("1T"), Some(1 << 40));
    assert_eq!(bytes("131072K"), Some(128 << 20));
    assert_eq!(bytes("134217728"), Some(128 << 20));
    assert_eq!(bytes("none"), None);
    assert_eq!(AgentMemory::Share.bytes(Some(16 << 30)), Some(12 << 30));
    assert_eq!(AgentMemory::Share.bytes(None), None);
}
