//! ao's own configuration of a server. With it, neither `/etc/tmux.conf` nor a file of the user's is read.

use std::path::{Path, PathBuf};

use crate::adapters::runtime::launch;

/// What differs from tmux's defaults, and what a terminal's life depends on.
///
/// No key but Ctrl-\ (detach) is taken from the agent: there is no prefix, and no key table holds anything. And that one only of who calls
/// tmux in person: a viewer of ao's leaves in another way, so its client ([`VIEWER_FLAGS`]) hands on all there is. The agent has the
/// whole terminal, without a status line.
///
/// The size is the asked one at the start and then what everybody who looks has room for (`smallest`), and stays when they leave,
/// as with the other runtimes: an agent draws for who looks, and what is `manual` is shown to them cut off or small. 3.2a starts with
/// 80 × 24 unless it is `manual` (hence [`AFTER_START`]), with which 3.3a crashes at the start.
///
/// The history is as long as that of the `pty` runtime; a full one of 120 columns takes 3 MB, with every cell in a
/// colour of its own 15 MB.
pub(super) const CONFIG: &str = r##"set-option -s exit-empty on
set-option -s escape-time 10
set-option -s set-clipboard off
set-option -g status off
set-option -g prefix None
set-option -g prefix2 None
set-option -g history-limit 5000
set-option -g default-shell /bin/sh
set-option -g destroy-unattached off
set-option -wg remain-on-exit off
set-option -wg window-size smallest
%if "#{||:#{==:#{version},3.2},#{==:#{version},3.2a}}"
set-option -wg window-size manual
%endif
set-option -wg automatic-rename off
unbind-key -a -T prefix
unbind-key -a -T root
unbind-key -a -T copy-mode
unbind-key -a -T copy-mode-vi
bind-key -T root C-\\ if-shell -F "#{m:*active-pane*,#{client_flags}}" { send-keys C-\\ } { detach-client }
"##;

/// What a viewer's client is told by. It does nothing else where there is one pane.
pub(super) const VIEWER_FLAGS: [&str; 2] = ["-f", "active-pane"];

/// What follows the start of the session.
pub(super) const AFTER_START: [&str; 4] = ["set-option", "-wg", "window-size", "smallest"];

/// Where the configuration of a session's server is.
pub(super) fn file(session_dir: &Path) -> PathBuf {
    launch::directory(session_dir).join("tmux.conf")
}
