//! The traits between the application and the world. Each states its contract in prose and has one error type; an adapter
//! that passes the port's suite in [`crate::testing`] (feature `testing`) can be composed in.
//!
//! | Port | The question it answers | Adapters |
//! | --- | --- | --- |
//! | [`Agent`](agent::Agent) | what starts, resumes and reports for this kind of agent? | `claude_code`, `command` |
//! | [`Runtime`](runtime::Runtime) | where does the agent's terminal live, and does its process? | `pty`, `tmux`, `zellij` |
//! | [`TerminalView`](terminal_view::TerminalView), [`TerminalKeys`](terminal_view::TerminalKeys) | what does one who is attached to a terminal see, and type? | `pty`, `tmux`, `zellij` |
//! | [`Workspace`](workspace::Workspace) | how does a session get its isolated checkout, and lose it without losing work? | `git` |
//! | [`AgentMessenger`](messenger::AgentMessenger) | how does text reach a running agent? | `inbox` |
//! | [`Mailbox`](mailbox::Mailbox) | what waits for an agent, and what was it handed? | `inbox` |
//! | [`TextHooks`](text_hooks::TextHooks) | how does this kind of agent take text through its own hooks? | `claude_code` |
//! | [`PermissionHooks`](permission_hooks::PermissionHooks) | how is this kind of agent told what was decided about a permission? | `claude_code` |
//! | [`TerminalInput`](terminal_input::TerminalInput) | how does this kind of agent take text on its terminal? | `command` |
//! | [`RepoResolver`](repo::RepoResolver) | is this project's repository usable, and where is it? | `gix` |
//! | [`ProjectFiles`](project_file::ProjectFiles) | what does a repository say about itself to ao? | `project_file` |
//! | [`SetupRunner`](setup::SetupRunner) | how are a project's own commands run in a workspace? | `setup` |
//! | [`ProjectStore`](store::ProjectStore) | which repositories are registered? | `sqlite` |
//! | [`SessionStore`](store::SessionStore) | what is on record about sessions? | `sqlite` |
//! | [`MessageStore`](message_store::MessageStore) | what is on record about messages? | `sqlite` |
//! | [`ChangeLog`](store::ChangeLog) | what happened, in order? | `sqlite` |
//! | [`AnswerStore`](answer_store::AnswerStore) | what was answered to requests that may be asked again? | `sqlite` |
//! | [`SessionDirs`](session_dir::SessionDirs) | where does a session keep its private files? | `session_dir` |
//! | [`ReportSpool`](spool::ReportSpool) | which hook reports came while no daemon ran? | `spool` |
//! | [`Clock`](clock::Clock) | what time is it? | `system` |

pub mod agent;
pub mod answer_store;
pub mod clock;
pub mod mailbox;
pub mod message_store;
pub mod messenger;
pub mod permission_hooks;
pub mod project_file;
pub mod repo;
pub mod runtime;
pub mod session_dir;
pub mod setup;
pub mod spool;
pub mod store;
pub mod terminal_input;
pub mod terminal_view;
pub mod text_hooks;
pub mod workspace;
