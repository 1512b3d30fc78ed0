//! The id of a session's conversation.
//!
//! It is derived, so that a launch that is prepared twice (a daemon that died in between) leads to one conversation. Session
//! ids count up per data directory, so `app-1` exists in many; the session's directory is part of what the id is derived
//! from. And Claude Code refuses an id it has a saved conversation of ("already in use"), which happens when a data directory
//! is made anew in the same place; then the next derivation is taken.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::id::AgentSessionId;
use crate::ports::agent::{AgentError, LaunchRequest};

/// Chosen at random, once.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d6c_1b3e_90a7_4f52_8e14_c7a2_663f_d009);

/// How many saved conversations of one session directory are stepped over.
const ATTEMPTS: u32 = 10_000;

/// The session's conversation id: the first derivation that Claude Code has no conversation of.
pub(super) fn unused_id(config_dir: &Path, request: &LaunchRequest) -> Result<AgentSessionId, AgentError> {
    for attempt in 0..ATTEMPTS {
        let id = derive(request, attempt)?;
        if !is_used(config_dir, &id) {
            return Ok(id);
        }
    }
    Err(AgentError::Refused(format!("Claude Code has {ATTEMPTS} conversations of session {} already", request.session)))
}

fn derive(request: &LaunchRequest, attempt: u32) -> Result<AgentSessionId, AgentError> {
    let mut name = request.session_dir.as_os_str().as_encoded_bytes().to_vec();
    name.push(0);
    name.extend(request.session.as_str().bytes());
    name.push(0);
    name.extend(attempt.to_le_bytes());
    AgentSessionId::new(Uuid::new_v5(&NAMESPACE, &name).to_string())
        .map_err(|error| AgentError::Refused(error.to_string()))
}

/// Whether Claude Code keeps anything of a conversation of this id, for any directory.
fn is_used(config_dir: &Path, id: &AgentSessionId) -> bool {
    transcript(config_dir, id).is_some()
}

/// Whether Claude Code saved a conversation of this id, for any directory. One of an agent that was killed before its first prompt was saved has
/// a transcript with settings alone, and Claude Code refuses to resume that.
pub(super) fn is_saved(config_dir: &Path, id: &AgentSessionId) -> bool {
    let Some(file) = transcript(config_dir, id).and_then(|path| File::open(path).ok()) else { return false };
    BufReader::new(file).split(b'\n').map_while(Result::ok).any(|line| {
        let said = |kind: &[u8]| line.windows(kind.len()).any(|part| part == kind);
        said(br#""type":"user""#) || said(br#""type":"assistant""#)
    })
}

fn transcript(config_dir: &Path, id: &AgentSessionId) -> Option<PathBuf> {
    // Ids come from hooks too; one that is no UUID names no file of ours.
    Uuid::parse_str(id.as_str()).ok()?;
    let projects = std::fs::read_dir(config_dir.join("projects")).ok()?;
    projects.flatten().map(|project| project.path().join(format!("{id}.jsonl"))).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::PermissionMode;

    fn request(session_dir: &str) -> LaunchRequest {
        LaunchRequest {
            session: "app-1".parse().unwrap(),
            kind: crate::domain::session::SessionKind::Worker,
            session_dir: session_dir.into(),
            workspace: "/w".into(),
            repository: "/r".into(),
            prompt: None,
            system_prompt: None,
            permission_mode: PermissionMode::Default,
            args: Vec::new(),
            ao_program: "/usr/bin/ao".into(),
            data_dir: "/data".into(),
        }
    }

    #[test]
    fn the_same_session_id_in_two_data_directories_is_two_conversations() {
        let none = Path::new("/nonexistent");
        let one = unused_id(none, &request("/one/sessions/app-1")).unwrap();
        assert_eq!(one, unused_id(none, &request("/one/sessions/app-1")).unwrap());
        assert_ne!(one, unused_id(none, &request("/two/sessions/app-1")).unwrap());
        assert!(Uuid::parse_str(one.as_str()).is_ok());
    }

    #[test]
    fn an_id_with_a_saved_conversation_is_stepped_over() {
        let config = tempfile::tempdir().unwrap();
        let first = unused_id(config.path(), &request("/one")).unwrap();
        let project = config.path().join("projects/-w");
        std::fs::create_dir_all(&project).unwrap();
        let transcript = project.join(format!("{first}.jsonl"));
        std::fs::write(&transcript, "{\"type\":\"mode\",\"mode\":\"normal\"}\n").unwrap();
        assert!(!is_saved(config.path(), &first), "nothing was said in it");
        std::fs::write(&transcript, "{\"type\":\"mode\"}\n{\"a\":1,\"type\":\"user\",\"message\":{}}\n").unwrap();
        assert!(is_saved(config.path(), &first));
        let second = unused_id(config.path(), &request("/one")).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn an_id_that_is_a_path_names_no_conversation() {
        let config = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(config.path().join("projects/-w")).unwrap();
        std::fs::write(config.path().join("x.jsonl"), "").unwrap();
        assert!(!is_saved(config.path(), &AgentSessionId::new("../../x").unwrap()));
    }
}
