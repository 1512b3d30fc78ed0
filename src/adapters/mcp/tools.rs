//! The tools. A method's comment is what an agent reads before it calls it.
#![allow(clippy::doc_markdown, reason = "these comments are read by agents, as they stand")]

use std::path::PathBuf;
use std::time::Duration;

use rmcp::handler::server::tool::ToolCallContext;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::{self, Answer};
use super::params::{
    ApproveParams, DenyParams, LsParams, MessagesParams, OutputParams, SendParams, SessionParams, SpawnParams,
    WaitParams,
};
use super::told::Told;
use crate::adapters::cli::client::{Client, ClientError};
use crate::adapters::cli::context::Context;
use crate::adapters::cli::error::CliError;
use crate::adapters::cli::waiting::{Bound, PatientClient, Wait};
use crate::adapters::cli::{ensure_running, named_or_here, post_message, until_answered};
use crate::adapters::http::wire::{
    Accepted, DecisionAnswer, DecisionRequest, KillAnswer, KillRequest, TerminalText, WaitAnswer,
};
use crate::app::spawn::SpawnRequest;
use crate::app::view::SessionView;
use crate::app::wait::WaitFor;
use crate::domain::approval::Verdict;
use crate::domain::id::SessionId;
use crate::domain::message::MessageRecord;
use crate::domain::status::Status;

/// What a client is told of the whole.
const INSTRUCTIONS: &str = "ao runs coding agents side by side, each in its own git worktree and terminal: a session, for example app-1. \
    Start one with spawn, follow it with wait, show and output, talk to it with send. What an agent commits is on its session's branch.";

/// The server: what the tools share.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    context: Context,
    /// Cancelled when nobody asks any more.
    over: CancellationToken,
    told: Option<Told>,
}

impl Tools {
    pub(super) fn new(context: Context, over: CancellationToken, told: Option<PathBuf>) -> Self {
        Self { context, over, told: told.map(Told::new) }
    }

    /// A client of a daemon that runs.
    async fn client(&self) -> Result<Client, CliError> {
        ensure_running(&self.context).await?;
        Ok(Client::new(&self.context.socket))
    }

    /// What a long wait comes to, or that nobody is there any more who waits.
    async fn unless_over<T>(&self, waiting: impl Future<Output = T>) -> Result<T, CliError> {
        tokio::select! {
            done = waiting => Ok(done),
            () = self.over.cancelled() => Err(CliError::failed("the wait was given up: the client closed the connection")),
        }
    }

    async fn decide(&self, session: &SessionId, request: &DecisionRequest) -> Answer {
        let answer: DecisionAnswer =
            self.client().await?.post(&format!("/sessions/{session}/decision"), request).await?;
        answer::result(&DecisionAnswer { session: answer::brief(answer.session), ..answer })
    }
}

#[tool_router]
impl Tools {
    /// Start a coding agent on a task, in a git worktree, branch and terminal of its own. Answers with the session when the agent is
    /// ready and works on the task, not when that is done: use wait for that, and show to see how it is. What the agent commits is on the
    /// session's branch.
    #[tool(annotations(
        title = "Start an agent",
        read_only_hint = false,
        destructive_hint = false,
        open_world_hint = false
    ))]
    async fn spawn(&self, Parameters(params): Parameters<SpawnParams>) -> Answer {
        if params.prompt.trim().is_empty() {
            let hint = "give the task, complete: the agent knows nothing of your conversation";
            return Err(CliError::usage("the prompt is empty, so the agent would have nothing to do")
                .hint(hint)
                .into());
        }
        let client = self.client().await?;
        let project = named_or_here(params.project.as_ref(), "the parameter project", &self.context, &client).await?;
        let request = SpawnRequest {
            prompt: Some(params.prompt),
            agent: params.agent,
            branch: params.branch,
            base: params.base,
            permission_mode: params.permission_mode,
            issue: params.issue,
            name: params.name,
            kind: params.kind,
            agent_args: params.agent_args,
            queue: params.queue,
            ..SpawnRequest::new(project)
        };
        // A daemon that goes away in the middle may have accepted it: a model that is told of a failure spawns another one.
        let key = uuid::Uuid::new_v4().to_string();
        let spawning =
            until_answered(&self.context, async || match client.post_once("/sessions", &request, &key).await {
                // Whose key it would be is not to be found out, and nothing was done.
                Err(ClientError::Refused { body, .. }) if body.error.code == "unknown_sender" => {
                    client.post("/sessions", &request).await
                }
                answered => answered,
            });
        let Accepted { session, .. } = self.unless_over(spawning).await??;
        if session.status == Status::Queued {
            return answer::result(&session);
        }
        let patient = PatientClient::new(client);
        let (state, bound) = (WaitFor::Ready, Bound::InAll(Duration::from_secs(params.timeout_s)));
        let told = |error: CliError| {
            let message = format!("{} was spawned, and then: {}", session.id, error.message);
            CliError { message, ..error }
        };
        let waited = self.unless_over(patient.wait(&session.id, Wait { state, bound })).await.map_err(told)?;
        let waited = waited.map_err(|error| told(error.into()))?;
        match patient.shortfall(&waited, state).await {
            None => answer::result(&waited.session),
            Some(shortfall) => Err(shortfall.into()),
        }
    }

    /// List sessions: what every agent does, in which workspace and on which branch, and, where one is blocked, on what. Long tasks are
    /// cut; show gives all.
    #[tool(annotations(title = "List sessions", read_only_hint = true, open_world_hint = false))]
    async fn ls(&self, Parameters(params): Parameters<LsParams>) -> Answer {
        let project = params.project.map(|project| format!("&project={project}")).unwrap_or_default();
        let path = format!("/sessions?all={}{project}", params.all);
        let sessions: Vec<SessionView> = self.client().await?.list(&path).await?;
        answer::list("sessions", &sessions.into_iter().map(answer::brief).collect::<Vec<_>>())
    }

    /// Show everything about a session: its status, its task, what it waits for, its notes, and, once it is over, how it ended and the
    /// last of its output.
    #[tool(annotations(title = "Show a session", read_only_hint = true, open_world_hint = false))]
    async fn show(&self, Parameters(params): Parameters<SessionParams>) -> Answer {
        let session: SessionView = self.client().await?.get(&format!("/sessions/{}", params.session)).await?;
        answer::result(&session)
    }

    /// Read what a session's terminal showed, from its end: how an agent came to where it is, or what it asks.
    #[tool(annotations(title = "Read a session's terminal", read_only_hint = true, open_world_hint = false))]
    async fn output(&self, Parameters(params): Parameters<OutputParams>) -> Answer {
        let path = format!("/sessions/{}/output?lines={}", params.session, params.lines);
        let output: TerminalText = self.client().await?.get(&path).await?;
        answer::result(&output)
    }

    /// Send a session's agent a message. One with hooks is handed it whatever it does: between two tools, at the end of its turn, or, when it
    /// is idle, at once; one without is typed to when its prompt is empty. Each is handed over once and in order. Answers with the message; its state says how far it has come: queued,
    /// injected, acknowledged (the agent has taken it), returned (the agent ended first), or failed.
    #[tool(annotations(
        title = "Send a message",
        read_only_hint = false,
        destructive_hint = false,
        open_world_hint = false
    ))]
    async fn send(&self, Parameters(params): Parameters<SendParams>) -> Answer {
        let client = Client::new(&self.context.socket);
        let sent = post_message(&params.session, params.message, &self.context, &client).await?;
        if params.wait_s == 0 {
            return answer::result(&answer::brief_message(sent));
        }
        let (patient, id) = (PatientClient::new(client), &sent.message.id);
        let waiting = patient.wait_for_message(id, Some(Duration::from_secs(params.wait_s)), |_| {});
        let told = |error: CliError| {
            let message = format!("message {id} was accepted, and then: {}", error.message);
            CliError { message, ..error }
        };
        let waited = self.unless_over(waiting).await.map_err(told)?;
        answer::result(&answer::brief_message(waited.map_err(|error| told(error.into()))?))
    }

    /// List a session's messages, oldest first, and what became of each. Long ones are cut.
    #[tool(annotations(title = "List messages", read_only_hint = true, open_world_hint = false))]
    async fn messages(&self, Parameters(params): Parameters<MessagesParams>) -> Answer {
        let path = format!("/sessions/{}/messages", params.session);
        let mut records: Vec<MessageRecord> = self.client().await?.list(&path).await?;
        let newest = records.split_off(records.len().saturating_sub(params.last));
        answer::list("messages", &newest.into_iter().map(answer::brief_message).collect::<Vec<_>>())
    }

    /// Wait until all of these sessions have reached a state, or time is up. Gives each with its outcome: reached, ended (it will never be
    /// reached, for the session is over), or timed_out (call again to go on waiting).
    #[tool(annotations(title = "Wait for sessions", read_only_hint = true, open_world_hint = false))]
    async fn wait(&self, Parameters(params): Parameters<WaitParams>) -> Answer {
        if params.sessions.is_empty() {
            return Err(CliError::usage("no session was named").hint("see which there are with ls").into());
        }
        let patient = PatientClient::new(self.client().await?);
        let wait = Wait { state: params.state, bound: Bound::InAll(Duration::from_secs(params.timeout_s)) };
        let mut waits = JoinSet::new();
        for (place, id) in params.sessions.into_iter().enumerate() {
            let patient = patient.clone();
            waits.spawn(async move { (place, patient.wait(&id, wait).await) });
        }
        let mut answers: Vec<(usize, WaitAnswer)> = Vec::new();
        while let Some(waited) = self.unless_over(waits.join_next()).await? {
            let (place, answer) = waited.map_err(|error| CliError::failed(format!("a wait broke off: {error}")))?;
            answers.push((place, answer?));
        }
        answers.sort_by_key(|(place, _)| *place);
        let brief = |(_, answer): (usize, WaitAnswer)| WaitAnswer { session: answer::brief(answer.session), ..answer };
        answer::list("waits", &answers.into_iter().map(brief).collect::<Vec<_>>())
    }

    /// Allow what a session's agent asks permission for; show says what that is, as `pending_request`. Of agents in
    /// sessions only the project's orchestrator may.
    #[tool(annotations(
        title = "Allow what an agent asks",
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = false
    ))]
    async fn approve(&self, Parameters(params): Parameters<ApproveParams>) -> Answer {
        let request = DecisionRequest { decision: Verdict::Allow, reason: None, request: Some(params.request) };
        self.decide(&params.session, &request).await
    }

    /// Deny what a session's agent asks permission for. The agent goes on without it, unless it had been allowed in
    /// its terminal. Of agents in sessions only the project's orchestrator may.
    #[tool(annotations(
        title = "Deny what an agent asks",
        read_only_hint = false,
        destructive_hint = false,
        open_world_hint = false
    ))]
    async fn deny(&self, Parameters(params): Parameters<DenyParams>) -> Answer {
        let request = DecisionRequest { decision: Verdict::Deny, reason: params.reason, request: Some(params.request) };
        self.decide(&params.session, &request).await
    }

    /// End a session: its agent and everything it started. A workspace that holds uncommitted work stays, the answer says so; otherwise it
    /// goes, and its commits stay on its branch.
    #[tool(annotations(
        title = "End a session",
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = false
    ))]
    async fn kill(&self, Parameters(params): Parameters<SessionParams>) -> Answer {
        let path = format!("/sessions/{}/kill", params.session);
        let answer: KillAnswer = self.client().await?.post(&path, &KillRequest::default()).await?;
        answer::result(&answer)
    }
}

#[tool_handler]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        let name = Implementation::new("ao", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if let Some(told) = &self.told {
            told.asked(context.peer);
        }
        Ok(ListToolsResult::with_all_items(Self::tool_router().list_all()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let given_up = context.ct.clone();
        let router = Self::tool_router();
        let call = router.call(ToolCallContext::new(self, request, context));
        tokio::select! {
            called = call => called.map(answer::response),
            // Nobody reads the answer.
            () = given_up.cancelled() => Err(ErrorData::internal_error("the call was cancelled", None)),
        }
    }
}
