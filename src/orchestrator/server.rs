//! The API of an orchestrator on the socket of its data directory: what the commands of `ao` reach it by, its agents' hooks, and what agents
//! themselves call. The daemon is served by the same.

use std::future::IntoFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::Orchestrator;
use crate::adapters::http::access::Access;
use crate::adapters::http::listener::{self, OwnerOnly};
use crate::adapters::http::{Daemon, Patience, tcp};
use crate::platform::{file, lock, process, socket};

pub use crate::adapters::http::wire::{AgentBounds, AgentGroups, DaemonInfo};

/// Why an orchestrator cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Something could not be made in the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    #[non_exhaustive]
    File {
        /// What was attempted.
        action: &'static str,
        /// What with.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is served already, and has one socket.
    #[error("serves it already")]
    Served,
    /// The file with the token cannot serve as such.
    #[error("cannot use the token of the TCP port: {cause}")]
    #[non_exhaustive]
    Token {
        /// The cause.
        cause: String,
    },
}

/// How an orchestrator is served.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ServeOptions {
    /// A TCP port on loopback, where it is served too, for who has the token of the data directory. Default: none.
    pub port: Option<TcpListener>,
    /// What bounds its agents, for those who ask. Default: it is not told.
    pub bounds: Option<AgentBounds>,
    /// Ends the serving when it is cancelled, which an `ao daemon` (see `Builder::as_daemon`) can be asked for. Default: it ends
    /// with the orchestrator.
    pub stop: Option<CancellationToken>,
}

/// Serves the API; to be awaited, or given to a task, once. It is reached from the moment that there is this; requests are answered while it runs. It ends with
/// [`shut_down`](Orchestrator::shut_down), which waits until those under way are answered, and takes the socket away; so does dropping it, which breaks
/// them off.
#[must_use = "nobody is answered unless it runs"]
#[derive(Debug)]
pub struct Server {
    daemon: Daemon,
    listener: OwnerOnly,
    port: Option<TcpListener>,
    left: Left,
}

/// What lies about while it is served. Taken away before the data directory can be another's.
#[derive(Debug)]
struct Left {
    paths: Vec<PathBuf>,
    orchestrator: Orchestrator,
    /// Ends what is served beyond the server itself: connections have tasks of their own.
    _ends: Option<DropGuard>,
}

impl Left {
    /// Of an orchestrator that nobody serves.
    fn of(orchestrator: &Orchestrator, paths: Vec<PathBuf>, ends: Option<DropGuard>) -> Result<Self, ServeError> {
        if orchestrator.is_served.swap(true, Ordering::AcqRel) {
            return Err(ServeError::Served);
        }
        Ok(Self { paths, orchestrator: orchestrator.clone(), _ends: ends })
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = file::remove_if_there(path);
        }
        self.orchestrator.is_served.store(false, Ordering::Release);
    }
}

impl Orchestrator {
    /// Serves the API on the socket of the data directory, which only processes of the same user reach: with that the commands of `ao` work there, agents
    /// can use those they know (messages to each other, their tools), and their hooks wait for what [`decide`](Self::decide) decides.
    ///
    /// Who calls over it is told that a program serves, and cannot stop that.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn serve(&self) -> Result<Server, ServeError> {
        self.serve_with(ServeOptions::default())
    }

    /// Likewise, with these options.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is left then.
    pub fn serve_with(&self, options: ServeOptions) -> Result<Server, ServeError> {
        let ServeOptions { port, bounds, stop } = options;
        let failed = |action, path: PathBuf| move |source| ServeError::File { action, path, source };
        let data_dir = &self.application().settings().data_dir;
        let address = port.as_ref().map(TcpListener::local_addr).transpose();
        let address = address.map_err(failed("listen for", data_dir.token()))?;
        let access = Access::of(data_dir.token());
        if port.is_some() {
            access.prepare().map_err(|error| ServeError::Token { cause: error.to_string() })?;
        }
        let directory = socket::directory_of(data_dir.root());
        socket::make_private(&directory).map_err(failed("use", directory))?;
        let socket = socket::of_daemon(data_dir.root());
        let (stop, ends) = stop.map_or_else(
            || {
                let stop = self.application().stopping().child_token();
                (stop.clone(), Some(stop.drop_guard()))
            },
            |stop| (stop, None),
        );
        let left = Left::of(self, vec![socket.clone(), data_dir.run_file()], ends)?;
        let listener = OwnerOnly::bind(&socket).map_err(failed("listen at", socket.clone()))?;
        let info = DaemonInfo {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: lock::holder(&data_dir.lock()).map_or_else(|| Some(process::own_name()), |holder| holder.program),
            data_dir: data_dir.root().to_owned(),
            socket,
            http: address,
            ready: false,
            started_at: self.application().now(),
            bounds,
        };
        write_run_file(&info, &data_dir.run_file()).map_err(failed("write", data_dir.run_file()))?;
        let daemon = Daemon {
            application: self.application().clone(),
            info,
            stop,
            ready: self.settled(),
            patience: Patience::default(),
            access: Arc::new(access),
        };
        Ok(Server { daemon, listener, port, left })
    }
}

impl Server {
    /// What it tells about itself.
    #[must_use]
    pub fn info(&self) -> &DaemonInfo {
        &self.daemon.info
    }

    async fn run(self) -> io::Result<()> {
        let application = self.daemon.application.clone();
        // A task of its own, which the end of the orchestrator waits for: what is answered needs all that closes then.
        let serving = AbortOnDropHandle::new(application.begin(self.serve()));
        drop(application);
        serving.await.map_err(io::Error::other)
    }

    async fn serve(self) {
        let Self { daemon, listener, port, left } = self;
        let stop = daemon.stop.clone();
        let tcp = port.map(|port| tcp::serve(port, daemon.clone(), stop.clone()));
        let tcp = tcp.map(|serving| AbortOnDropHandle::new(tokio::spawn(serving)));
        listener::serve(listener, daemon, stop).await;
        if let Some(tcp) = tcp {
            let _ = tcp.await;
        }
        drop(left);
    }
}

impl IntoFuture for Server {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

fn write_run_file(info: &DaemonInfo, path: &Path) -> io::Result<()> {
    let content = serde_json::to_vec_pretty(info)?;
    // Nobody else writes it: what an earlier daemon left there was killed with it.
    file::remove_staged_of(path)?;
    file::write_atomically(path, &content, 0o600)
}
