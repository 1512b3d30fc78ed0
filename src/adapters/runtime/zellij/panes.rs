//! What `zellij action list-panes --json` says.

use serde::Deserialize;

/// One pane of a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Pane {
    /// Its number; terminals and plugins are counted apart.
    pub(super) id: u32,
    is_plugin: bool,
    /// Whether its command has ended. Its `exit_status` is not looked at: it is null after a signal, and the supervisor's
    /// record is the one that counts.
    exited: bool,
}

/// Reads the listing.
///
/// # Errors
/// When it is not the JSON it should be.
pub(super) fn parse(listing: &str) -> Result<Vec<Pane>, serde_json::Error> {
    serde_json::from_str(listing)
}

/// The terminal whose command runs, if there is one.
pub(super) fn running_terminal(panes: &[Pane]) -> Option<&Pane> {
    panes.iter().find(|pane| !pane.is_plugin && !pane.exited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(listing: &str) -> Option<u32> {
        running_terminal(&parse(listing).unwrap()).map(|pane| pane.id)
    }

    #[test]
    fn a_session_without_panes_has_no_terminal() {
        assert_eq!(running("[]"), None);
    }

    #[test]
    fn a_pane_whose_command_ended_does_not_count() {
        assert_eq!(running(r#"[{"id":0,"is_plugin":false,"exited":true,"exit_status":3}]"#), None);
        assert_eq!(running(r#"[{"id":0,"is_plugin":false,"exited":true,"exit_status":null}]"#), None);
    }

    #[test]
    fn a_plugin_is_no_terminal_even_with_the_same_number() {
        let listing = r#"[{"id":0,"is_plugin":true,"exited":false,"title":"About"},
                          {"id":0,"is_plugin":false,"exited":false,"exit_status":null,"title":"ao","pane_rows":50}]"#;
        assert_eq!(running(listing), Some(0));
        assert_eq!(running(r#"[{"id":0,"is_plugin":true,"exited":false}]"#), None);
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        assert!(parse("There is no active session!").is_err());
        assert!(parse("").is_err());
    }
}
