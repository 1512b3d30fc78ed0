//! Stand-in until the store branch is merged.
#![allow(missing_docs)]
use std::collections::BTreeMap;
use crate::domain::{id::AgentKind, permission::PermissionMode};
pub struct AgentConfig {}
pub struct Config { pub agent: AgentKind, pub runtime: String, pub permission_mode: PermissionMode, pub fetch_timeout_s: u64, pub ready_timeout_s: u64, pub agents: BTreeMap<AgentKind, AgentConfig> }
impl Default for Config { fn default() -> Self { Self { agent: AgentKind::new("claude-code").unwrap(), runtime: "auto".into(), permission_mode: PermissionMode::Default, fetch_timeout_s: 10, ready_timeout_s: 60, agents: BTreeMap::new() } } }
impl Config { pub fn load(_: &std::path::Path, _: &BTreeMap<String, String>) -> Result<Self, String> { Ok(Self::default()) } }
