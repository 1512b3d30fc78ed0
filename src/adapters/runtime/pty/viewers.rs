//! Those who are attached to a holder. The owner of the terminal knows what each of them sees; each asks for what it does not see yet once it
//! has taken what it was sent.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::paint::Painter;
use super::protocol::{Reply, Request, receive, send};
use super::screen::Screen;
use super::server::{Command, Hub, Keys};
use crate::domain::exit::Exit;
use crate::ports::runtime::TerminalSize;
use crate::ports::terminal_view::Newcomer;

/// How many there may be.
const MAX_VIEWERS: usize = 32;
/// How long a change may take to be shown: what comes within is one picture.
const PICTURE_INTERVAL: Duration = Duration::from_millis(15);
/// How many pieces of input are taken from a viewer while the agent reads none.
const TYPED_AHEAD: usize = 64;
/// How long the agent may take to read what a viewer typed before it left.
const LAST_KEYS: Duration = Duration::from_secs(1);

/// Tells viewers apart; never given twice.
pub(super) type ViewerId = u64;

/// What somebody who comes is given.
pub(super) struct Viewer {
    id: ViewerId,
    is_watching: bool,
    /// Told when there may be something to see.
    changed: watch::Receiver<()>,
    /// The last thing there is to see.
    last: oneshot::Receiver<Sight>,
}

/// What a viewer does not see yet.
#[derive(Debug)]
pub(super) struct Sight {
    /// The terminal's size, where the viewer does not know it.
    size: Option<TerminalSize>,
    picture: Option<Vec<u8>>,
}

/// All of them, as the owner of the terminal knows them.
#[derive(Default)]
pub(super) struct Viewers {
    given: ViewerId,
    all: BTreeMap<ViewerId, Eye>,
    changed: watch::Sender<()>,
}

struct Eye {
    painter: Painter,
    is_watching: bool,
    known_size: Option<TerminalSize>,
    last: oneshot::Sender<Sight>,
}

impl Eye {
    fn look(&mut self, screen: &Screen) -> Sight {
        let size = screen.size();
        let is_news = self.known_size.replace(size) != Some(size);
        Sight { size: is_news.then_some(size), picture: screen.paint(&mut self.painter) }
    }
}

impl Viewers {
    /// Takes one more; `None` when there are enough.
    pub(super) fn add(&mut self, Newcomer { size, is_watching }: Newcomer) -> Option<Viewer> {
        if self.all.len() >= MAX_VIEWERS {
            return None;
        }
        self.given += 1;
        let (last, gets_last) = oneshot::channel();
        self.all.insert(self.given, Eye { painter: Painter::new(size), is_watching, known_size: None, last });
        Some(Viewer { id: self.given, is_watching, changed: self.changed.subscribe(), last: gets_last })
    }

    pub(super) fn remove(&mut self, viewer: ViewerId) {
        self.all.remove(&viewer);
    }

    /// A viewer's terminal has another size.
    pub(super) fn resize(&mut self, viewer: ViewerId, size: TerminalSize) {
        if let Some(eye) = self.all.get_mut(&viewer) {
            eye.painter.resize(size);
        }
        self.tell();
    }

    /// What all have room for who do not only watch; `None` without any.
    pub(super) fn size(&self) -> Option<TerminalSize> {
        let sizes = || self.all.values().filter(|eye| !eye.is_watching).map(|eye| eye.painter.size());
        let rows = sizes().map(|size| size.rows).min()?;
        Some(TerminalSize { rows, cols: sizes().map(|size| size.cols).min()? })
    }

    /// Tells all that there may be something to see.
    pub(super) fn tell(&self) {
        self.changed.send_replace(());
    }

    /// What a viewer does not see yet; `None` for one who left.
    pub(super) fn look(&mut self, viewer: ViewerId, screen: &Screen) -> Option<Sight> {
        self.all.get_mut(&viewer).map(|eye| eye.look(screen))
    }

    /// Leaves each with the last there is to see.
    pub(super) fn part(self, screen: &Screen) {
        for mut eye in self.all.into_values() {
            let sight = eye.look(screen);
            // Who hung up looks no more.
            let _ = eye.last.send(sight);
        }
    }
}

/// Serves one who came, until it leaves or the agent has ended.
pub(super) async fn serve(stream: UnixStream, hub: &Hub, viewer: Viewer) -> io::Result<()> {
    let Viewer { id, is_watching, .. } = viewer;
    let (from, to) = stream.into_split();
    let (typed, keys) = mpsc::channel(TYPED_AHEAD);
    let typing = AbortOnDropHandle::new(tokio::spawn(type_in(hub.clone(), keys)));
    // Who only watches types nothing.
    let listening = listen(from, hub, id, (!is_watching).then_some(typed));
    tokio::pin!(listening);
    let (served, is_heard_out) = tokio::select! {
        shown = show(to, hub.clone(), viewer) => (shown, false),
        heard = &mut listening => (heard, true),
    };
    // When it cannot be told, nobody looks any more.
    let _ = hub.commands.send(Command::Leave(id)).await;
    if served.is_ok() && !is_heard_out {
        // It was told that the agent has ended.
        return served;
    }
    let last_keys = async {
        if !is_heard_out {
            let _ = listening.await;
        }
        let _ = typing.await;
    };
    // Dropped after that, typing calls off what the terminal has not taken.
    let _ = tokio::time::timeout(LAST_KEYS, last_keys).await;
    served
}

async fn show(mut to: impl AsyncWrite + Unpin, mut hub: Hub, mut viewer: Viewer) -> io::Result<()> {
    let (id, mut ended) = (viewer.id, hub.ended.clone());
    loop {
        let sight = tokio::select! {
            sight = hub.ask(|answer| Command::Look { viewer: id, answer }) => sight,
            _ = ended.wait_for(Option::is_some) => None,
        };
        let Some(sight) = sight else { break };
        tell(&mut to, sight).await?;
        let changed = async {
            // Nobody tells any more at the end.
            let _ = viewer.changed.changed().await;
            tokio::time::sleep(PICTURE_INTERVAL).await;
        };
        tokio::select! {
            () = changed => {}
            _ = ended.wait_for(Option::is_some) => break,
        }
    }
    if let Ok(sight) = viewer.last.await {
        tell(&mut to, sight).await?;
    }
    let exit = hub.ended.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
    send(&mut to, &Reply::Ended { exit: exit.unwrap_or(Exit::Unknown) }, b"").await
}

async fn tell(to: &mut (impl AsyncWrite + Unpin), sight: Sight) -> io::Result<()> {
    if let Some(TerminalSize { rows, cols }) = sight.size {
        send(to, &Reply::Resized { rows, cols }, b"").await?;
    }
    match sight.picture {
        Some(picture) => send(to, &Reply::Data, &picture).await,
        None => Ok(()),
    }
}

/// Takes what a viewer sends. What it types goes through `typed`, so that its hanging up is heard while the agent does not read.
async fn listen(
    mut from: impl AsyncRead + Unpin,
    hub: &Hub,
    viewer: ViewerId,
    typed: Option<mpsc::Sender<Vec<u8>>>,
) -> io::Result<()> {
    while let Some((request, body)) = receive(&mut from).await? {
        let is_heard = match (request, &typed) {
            (Request::Input, Some(typed)) => typed.send(body).await.is_ok(),
            (Request::Resize { rows, cols }, _) => {
                let size = TerminalSize { rows, cols };
                hub.commands.send(Command::ViewerSize { viewer, size }).await.is_ok()
            }
            (other, _) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?} of a viewer"))),
        };
        if !is_heard {
            // The agent has ended, which the viewer is still to be told.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// Types what a viewer typed, in its order. Dropped, it calls off what the terminal has not taken yet.
async fn type_in(hub: Hub, mut keys: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = keys.recv().await {
        let (taken, was_taken) = oneshot::channel();
        if hub.keys.send(Keys { bytes, taken: Some(taken) }).await.is_err() {
            return;
        }
        // What the terminal refuses shows on it, or as its end.
        let _ = was_taken.await;
    }
}
