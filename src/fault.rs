//! Fault points: named places between two side effects, where a test makes the process die or fail. Compiled in with the
//! feature `fault-points` only, which nothing that is given away has; without it [`reach`] is nothing.
//!
//! Like logging, this may be used in every layer and knows none. What happens at a point is decided by who installs
//! a hook: the binary does, for the tests in `tests/faults/`, which find that every point of [`Point::ALL`] is reached.

use std::io;

/// Declares the points, and under the feature their names and the list of all.
macro_rules! points {
    ($($(#[$doc:meta])+ $point:ident = $name:literal,)+) => {
        /// A named place in the code, between what was done last and what is done next.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])+ $point,)+
        }

        #[cfg(feature = "fault-points")]
        impl Point {
            /// Every point there is.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// The point's name, for example `spawn.recorded`: whose step it is, and what was done last.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)+ }
            }
        }
    };
}

points! {
    /// The session is on record, and nothing else.
    SpawnRecorded = "spawn.recorded",
    /// The step `workspace` is on record.
    SpawnWorkspaceRecorded = "spawn.workspace-recorded",
    /// The workspace is there; what it was made from is not on record.
    SpawnWorkspaceMade = "spawn.workspace-made",
    /// The inbox is there.
    SpawnInboxMade = "spawn.inbox-made",
    /// The step `setup` is on record.
    SpawnSetupRecorded = "spawn.setup-recorded",
    /// The step `prepared` is on record.
    SpawnPreparedRecorded = "spawn.prepared-recorded",
    /// The session's directory is there, empty.
    SpawnSessionDirMade = "spawn.session-dir-made",
    /// The agent's files are there; its own id is not on record.
    SpawnAgentPrepared = "spawn.agent-prepared",
    /// The step `launched` is on record.
    SpawnLaunchedRecorded = "spawn.launched-recorded",
    /// The agent runs in its terminal; its process is not on record.
    SpawnTerminalMade = "spawn.terminal-made",
    /// The agent's process is on record.
    SpawnProcessRecorded = "spawn.process-recorded",
    /// The agent was watched for as long as it is; the session is not live.
    SpawnWatched = "spawn.watched",
    /// The session is on record as live; what a restore had set aside is there.
    SpawnLiveRecorded = "spawn.live-recorded",
    /// The session is live.
    SpawnLive = "spawn.live",

    /// Why a spawn failed is on record.
    UndoCauseRecorded = "undo.cause-recorded",
    /// Nothing of the failed spawn's terminal runs.
    UndoTerminalStopped = "undo.terminal-stopped",
    /// The failed spawn's workspace is gone, or kept.
    UndoWorkspaceSettled = "undo.workspace-settled",
    /// The failed spawn's directory is gone.
    UndoSessionDirRemoved = "undo.session-dir-removed",

    /// The kill is on record as wanted.
    KillRequested = "kill.requested",
    /// Nothing of the terminal runs.
    KillTerminalStopped = "kill.terminal-stopped",
    /// The workspace is gone, or kept.
    KillWorkspaceSettled = "kill.workspace-settled",
    /// The end is on record.
    KillEndRecorded = "kill.end-recorded",

    /// The project's files are in the workspace; no command of it ran.
    SetupFilesBrought = "setup.files-brought",
    /// What an earlier setup or teardown left is gone; no command ran.
    SetupBegun = "setup.begun",
    /// A command of the project runs.
    SetupCommandStarted = "setup.command-started",
    /// A command of the project has ended, and what it left running was ended.
    SetupCommandEnded = "setup.command-ended",
    /// A command is on record as the next one; it does not run.
    SetupCommandAnnounced = "setup.command-announced",
    /// What is to be the shell of a command was started; the command does not run.
    SetupShellBegun = "setup.shell-begun",
    /// How a command ended is known; the next one does not run.
    SetupCommandSettled = "setup.command-settled",
    /// The setup is marked as finished.
    SetupFinished = "setup.finished",
    /// What an earlier teardown left running has ended; the workspace was not looked at.
    TeardownStraysEnded = "teardown.strays-ended",
    /// The workspace is to go, and no command of the teardown ran.
    TeardownBegun = "teardown.begun",
    /// The teardown is marked as finished; the workspace is there.
    TeardownFinished = "teardown.finished",

    /// The restore is on record, and nothing else was done.
    RestoreBegun = "restore.begun",
    /// The workspace is there again.
    RestoreWorkspaceReopened = "restore.workspace-reopened",
    /// What the last agent's terminal left is set aside; no other was launched.
    RestoreTerminalSetAside = "restore.terminal-set-aside",
    /// A failed restore's workspace is as it was before.
    RestoreWorkspaceUndone = "restore.workspace-undone",
    /// What the last agent's terminal left is back in its place.
    RestoreTerminalPutBack = "restore.terminal-put-back",
    /// The session is on record as it was before the restore.
    RestoreUndone = "restore.undone",
    /// The workspace is gone, or kept; what became of it is not on record.
    TeardownWorkspaceRemoved = "teardown.workspace-removed",
    /// An ended session's workspace is gone, or kept; other sessions' were not looked at.
    CleanupWorkspaceRemoved = "cleanup.workspace-removed",
    /// The workspace of a session that is on no record is gone, or kept.
    CleanupStrayRemoved = "cleanup.stray-removed",

    /// A message is on record; its file is not in the inbox.
    MessageRecorded = "message.recorded",
    /// A message's file is in the inbox; who sent it was not told.
    MessagePosted = "message.posted",
    /// In a hook: messages were taken out for the agent, and nothing was printed.
    MessageTaken = "message.taken",
    /// In a hook: messages were printed, and it is not on record that they were.
    MessagePrinted = "message.printed",
    /// In a hook: it is on record that messages were handed over, and the hook has not ended.
    MessageHandedOver = "message.handed-over",
    /// In a hook: it is on record that the agent took a message, and the daemon was not told.
    MessageConfirmed = "message.confirmed",
    /// It is on record that the agent took a message; its file is still there.
    MessageSettled = "message.settled",

    /// A message was taken out to be typed; nothing of it was.
    TerminalTaken = "terminal.taken",
    /// The paste of a message is open, and nothing of the text was typed.
    TerminalPasteOpened = "terminal.paste-opened",
    /// A message stands at the prompt; it is not submitted.
    TerminalTyped = "terminal.typed",
    /// A message was submitted; it is not on record that it was.
    TerminalSubmitted = "terminal.submitted",
    /// It is on record that a message was submitted; nobody looked what became of it.
    TerminalHandedOver = "terminal.handed-over",
    /// It is on record that a message was seen to be taken; the daemon's record does not say so.
    TerminalConfirmed = "terminal.confirmed",

    /// An orchestrator was sent news; it is not on record that it was told them.
    NewsAccepted = "news.accepted",

    /// A session waits in line, and who asked for it was not told.
    LineJoined = "line.joined",
    /// A session's turn has come, and what it needs is there; it still has its ticket.
    LineTurnTaken = "line.turn-taken",

    /// What an ended agent left of its terminal is gone; its end is not on record.
    ReapTerminalStopped = "reap.terminal-stopped",
    /// The end is on record.
    ReapEndRecorded = "reap.end-recorded",
    /// The process of a spawn that was cut off is on record; the session is not live.
    SettleProcessRecorded = "settle.process-recorded",
    /// A spooled report was taken; it is still in the spool.
    SpoolTaken = "spool.taken",

    /// `/.ao/` is in `info/exclude`, and nothing else was done.
    WorkspaceExcluded = "workspace.excluded",
    /// The branch is there; the worktree is not.
    WorkspaceBranchMade = "workspace.branch-made",
    /// The worktree is there, locked and not marked as ao's.
    WorkspaceCheckedOut = "workspace.checked-out",
    /// Saved work's files are in the new worktree; its index is not.
    WorkspaceFilesPutBack = "workspace.files-put-back",
    /// Saved work is in the new worktree, which is not marked as ao's.
    WorkspaceWorkPutBack = "workspace.work-put-back",
    /// The worktree is marked, and still locked.
    WorkspaceMarked = "workspace.marked",
    /// The worktree is complete.
    WorkspaceUnlocked = "workspace.unlocked",
    /// Uncommitted work is among the repository's objects, and nothing holds it.
    WorkspaceWorkSeen = "workspace.work-seen",
    /// The work is held by its reference; the worktree is as it was.
    WorkspaceWorkSaved = "workspace.work-saved",
    /// Nothing speaks against the removal any more.
    WorkspaceWorkSettled = "workspace.work-settled",
    /// The removal has begun.
    WorkspaceRemovingMarked = "workspace.removing-marked",
    /// The directory is gone.
    WorkspaceDirectoryDeleted = "workspace.directory-deleted",
    /// Git overlooks the entry, which still bears its marks.
    WorkspaceEntryHidden = "workspace.entry-hidden",
    /// The entry bears a mark that says whose it is, and not that it is being removed; nothing else is in it.
    WorkspaceEntryUnmarked = "workspace.entry-unmarked",
    /// The entry is gone; the branch is there.
    WorkspaceEntryRemoved = "workspace.entry-removed",
    /// The branch is gone, or kept.
    WorkspaceBranchSettled = "workspace.branch-settled",

    /// The launch is on record without its environment.
    LaunchWritten = "launch.written",
    /// The launch is on record, and nobody was started to take it.
    LaunchEnvironmentWritten = "launch.environment-written",
    /// The supervisor has taken the launch; the environment is on the disk.
    LaunchClaimed = "launch.claimed",
    /// The environment is gone from the disk.
    LaunchEnvironmentRemoved = "launch.environment-removed",
    /// The agent runs; its process is not on record.
    LaunchAgentStarted = "launch.agent-started",
    /// The agent's process is on record.
    LaunchStartRecorded = "launch.start-recorded",
    /// The agent and what it left running have ended; the end is not on record.
    LaunchRestEnded = "launch.rest-ended",
    /// The end is on record.
    LaunchEndRecorded = "launch.end-recorded",
    /// A launch that nobody took was called off; its environment is on the disk.
    LaunchCalledOff = "launch.called-off",
    /// What a failed restore's launch left is gone; what was there before it is set aside.
    LaunchLaterDiscarded = "launch.later-discarded",
    /// The agent was ended; its supervisor may still run.
    LaunchAgentStopped = "launch.agent-stopped",

    /// The holder was started.
    PtyHolderStarted = "pty.holder-started",
    /// The holder listens; the agent does not run.
    PtyListening = "pty.listening",
    /// The last screen is kept; the end is not on record.
    PtyScreenKept = "pty.screen-kept",

    /// What the multiplexer reads is on the disk.
    MultiplexerFilesWritten = "multiplexer.files-written",
    /// The multiplexer's server runs.
    MultiplexerServerStarted = "multiplexer.server-started",
    /// The supervisor has kept the last screen; the server runs.
    MultiplexerScreenKept = "multiplexer.screen-kept",
    /// The server was ended by its supervisor; its directory is there.
    MultiplexerFarewell = "multiplexer.farewell",
    /// No process of the server runs; its directory is there.
    MultiplexerServerEnded = "multiplexer.server-ended",
    /// The pane is there and has its size; the agent does not run.
    ZellijPaneSeen = "zellij.pane-seen",

    /// A person's terminal is taken over, and shows what the agent's does.
    AttachShown = "attach.shown",
}

#[cfg(feature = "fault-points")]
mod armed {
    use std::fmt;
    use std::sync::OnceLock;

    use super::Point;

    /// What happens at a point: it returns to let the process go on, with true to make the step fail.
    pub type Hook = Box<dyn Fn(Point) -> bool + Send + Sync>;

    static HOOK: OnceLock<Hook> = OnceLock::new();

    /// Installs what happens at points. Once in a process; later ones are dropped.
    pub fn install(hook: Hook) {
        let _ = HOOK.set(hook);
    }

    /// The step was made to fail.
    #[derive(Debug, Clone, Copy)]
    pub struct Injected(Point);

    impl fmt::Display for Injected {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "no space left on device (injected at {})", self.0.name())
        }
    }

    /// Passes a point.
    ///
    /// # Errors
    /// When a test made the step fail here.
    pub fn reach(point: Point) -> Result<(), Injected> {
        if HOOK.get().is_some_and(|hook| hook(point)) { Err(Injected(point)) } else { Ok(()) }
    }
}

#[cfg(not(feature = "fault-points"))]
mod armed {
    use std::fmt;

    use super::Point;

    /// Nothing fails without the feature `fault-points`.
    #[derive(Debug, Clone, Copy)]
    pub enum Injected {}

    impl fmt::Display for Injected {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }

    /// Does nothing.
    ///
    /// # Errors
    /// Never.
    #[inline]
    pub fn reach(_point: Point) -> Result<(), Injected> {
        Ok(())
    }
}

pub use armed::*;

impl std::error::Error for Injected {}

impl From<Injected> for io::Error {
    fn from(injected: Injected) -> Self {
        Self::new(io::ErrorKind::StorageFull, injected)
    }
}

impl From<Injected> for String {
    fn from(injected: Injected) -> Self {
        injected.to_string()
    }
}
