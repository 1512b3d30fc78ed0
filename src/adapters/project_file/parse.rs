//! What the file sets, or the line and key of a mistake.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::value::{BranchPrefix, InnerPath, Pattern, Reason, Revision, ShellCommand, VariableValue, check_variable};
use crate::domain::id::AgentKind;
use crate::domain::permission::PermissionMode;
use crate::domain::project_file::ProjectSettings;
use crate::domain::rule::{Rule, RuleVerdict};
use crate::domain::setup::{DEFAULT_SETUP_TIMEOUT_S, DEFAULT_TEARDOWN_TIMEOUT_S, ProjectSetup};
use crate::platform::settings_file::{self, Mistake, Seconds};

/// The longest a teardown may be given, in seconds: who ends a session waits for it.
const MAX_TEARDOWN_S: u64 = 120;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    base: Option<Revision>,
    branch_prefix: Option<BranchPrefix>,
    agent: Option<AgentKind>,
    permission_mode: Option<PermissionMode>,
    #[serde(default)]
    copy: Vec<InnerPath>,
    #[serde(default)]
    link: Vec<InnerPath>,
    #[serde(default)]
    setup: Vec<ShellCommand>,
    #[serde(default)]
    teardown: Vec<ShellCommand>,
    setup_timeout_s: Option<Seconds>,
    teardown_timeout_s: Option<Seconds<MAX_TEARDOWN_S>>,
    #[serde(default)]
    env: BTreeMap<String, Spanned<VariableValue>>,
    #[serde(default)]
    rules: Vec<RuleTable>,
}

/// One of `[[rules]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    tool: Pattern,
    input: Option<Pattern>,
    decide: RuleVerdict,
    reason: Option<Reason>,
}

impl From<RuleTable> for Rule {
    fn from(RuleTable { tool: Pattern(tool), input, decide, reason }: RuleTable) -> Self {
        let input = input.map(|Pattern(input)| input);
        Self { tool, input, decide, reason: reason.map(|Reason(reason)| reason) }
    }
}

pub(crate) fn parse(content: &[u8]) -> Result<ProjectSettings, Mistake> {
    let document: Document = settings_file::parse(content)?;
    let mut env = BTreeMap::new();
    for (name, value) in document.env {
        // A key has no place of its own in what serde gives; its value stands on the same line.
        check_variable(&name)
            .map_err(|cause| Mistake::at(content, value.span().start, Some(format!("env.{name}")), cause))?;
        env.insert(name, value.into_inner().0);
    }
    let commands = |commands: Vec<ShellCommand>| commands.into_iter().map(|ShellCommand(command)| command).collect();
    let paths = |paths: Vec<InnerPath>| paths.into_iter().map(|InnerPath(path)| path).collect();
    Ok(ProjectSettings {
        base: document.base.map(|Revision(base)| base),
        branch_prefix: document.branch_prefix.map(|BranchPrefix(prefix)| prefix),
        agent: document.agent,
        permission_mode: document.permission_mode,
        setup: ProjectSetup {
            setup: commands(document.setup),
            teardown: commands(document.teardown),
            copy: paths(document.copy),
            link: paths(document.link),
            env,
            rules: document.rules.into_iter().map(Rule::from).collect(),
            timeout_s: document.setup_timeout_s.map_or(DEFAULT_SETUP_TIMEOUT_S, |Seconds(seconds)| seconds),
            teardown_timeout_s: document.teardown_timeout_s.map_or(DEFAULT_TEARDOWN_TIMEOUT_S, |Seconds(s)| s),
        },
    })
}
