//! A real browser, and a web server whose page attacks what it is told to: from another origin, or from the same one after its name was led
//! elsewhere (DNS rebinding).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::sandbox::{BOUND, Sandbox};

/// A name of a stranger's. The browser finds it on this machine.
pub(crate) const STRANGER: &str = "evil.example";
/// What the web server answers to who asks it for what a daemon has.
pub(crate) const PRIZE: &str = "what nobody else may know";
const PAGE: &str = include_str!("browser/page.html");

/// What came of one attempt of the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    /// What was read, or came about.
    #[serde(default)]
    pub(crate) got: Option<String>,
    /// The status of what was read.
    #[serde(default)]
    pub(crate) status: Option<u16>,
    /// It went out, and a page learns no more of it.
    #[serde(default)]
    pub(crate) sent: bool,
    /// Why it was not let.
    #[serde(default)]
    #[expect(dead_code, reason = "shown where a test fails")]
    refused: Option<String>,
}

pub(crate) type Outcomes = BTreeMap<String, Outcome>;

/// A browser, ended when this is dropped.
struct Browser(tokio::process::Child);

impl Browser {
    fn open(sandbox: &Sandbox, program: &Path, page: &str, more: &[&str]) -> Self {
        let profile = tempfile::tempdir_in(sandbox.path("home")).unwrap().keep();
        let mut command = tokio::process::Command::new(program);
        command.args(["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--disable-quic", "--no-first-run", "--no-default-browser-check", "--disable-extensions"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-breakpad", "--no-proxy-server", "--password-store=basic"]);
        // Nothing leaves this machine.
        let names = format!("MAP {STRANGER} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
        command.arg(format!("--host-resolver-rules={names}"));
        command.arg(format!("--user-data-dir={}", profile.display())).args(more).arg(page);
        let log = std::fs::File::create(sandbox.path("browser.log")).unwrap();
        command.env_clear().envs(&sandbox.env).current_dir(sandbox.path("home"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).kill_on_drop(true);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = self.0.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Where a name that a page knows leads to.
#[derive(Debug, Clone)]
struct Lead(Arc<Mutex<SocketAddr>>);

impl Lead {
    fn to(&self, address: SocketAddr) {
        *self.0.lock().unwrap() = address;
    }
}

/// A web server that serves the page, hears what came of it, and answers all that a daemon would refuse.
pub(crate) struct Web {
    address: SocketAddr,
    /// A port at which the page's own server is reached first, and then what is attacked.
    rebound: SocketAddr,
    lead: Lead,
    shared: Shared,
    reports: mpsc::Receiver<Outcomes>,
    _serving: JoinSet<()>,
}

#[derive(Clone)]
struct Shared {
    reports: mpsc::Sender<Outcomes>,
    asked: Arc<Mutex<BTreeSet<String>>>,
    /// Where the name leads once the page is there.
    then: Arc<Mutex<Option<SocketAddr>>>,
    lead: Lead,
}

/// How the page comes to what it attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By its address: another origin than the page's.
    Across,
    /// By the page's own name and port, which lead there since the page was loaded: the same origin.
    Rebound,
}

impl Web {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let turnstile = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, rebound) = (listener.local_addr().unwrap(), turnstile.local_addr().unwrap());
        let (sender, reports) = mpsc::channel(1);
        let lead = Lead(Arc::new(Mutex::new(address)));
        let shared = Shared { reports: sender, asked: Arc::default(), then: Arc::default(), lead: lead.clone() };
        let router = Router::new()
            .route("/page", get(async || ([(header::CONNECTION, "close")], Html(PAGE))))
            .route("/ready", post(ready))
            .route("/report", post(report))
            .fallback(anything)
            .with_state(shared.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        serving.spawn(follow(turnstile, lead.clone()));
        Self { address, rebound, lead, shared, reports, _serving: serving }
    }

    /// Its own address, where it stands in for a daemon that refuses nothing.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked of it since the last time: method and path.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// Has a browser open the page, and gives what came of its attempts against `target`.
    pub(crate) async fn attack(
        &mut self,
        (sandbox, browser): (&Sandbox, &Path),
        (way, target): (Way, SocketAddr),
        token: Option<&str>,
        flags: &[&str],
    ) -> Outcomes {
        self.lead.to(self.address);
        *self.shared.then.lock().unwrap() = (way == Way::Rebound).then_some(target);
        let (page, target) = match way {
            Way::Across => (format!("{STRANGER}:{}", self.address.port()), target.to_string()),
            Way::Rebound => {
                (format!("{STRANGER}:{}", self.rebound.port()), format!("{STRANGER}:{}", self.rebound.port()))
            }
        };
        let token = token.map_or_else(String::new, |token| format!("&token={token}"));
        let page = format!("http://{page}/page?target=http://{target}&report=http://{}{token}", self.address);
        let _browser = Browser::open(sandbox, browser, &page, flags);
        let told = tokio::time::timeout(BOUND, self.reports.recv()).await;
        let log = || std::fs::read_to_string(sandbox.path("browser.log")).unwrap_or_default();
        told.unwrap_or_else(|_| panic!("the page says nothing: {}", log())).unwrap()
    }
}

/// The page is there and begins.
async fn ready(State(shared): State<Shared>) {
    if let Some(then) = *shared.then.lock().unwrap() {
        shared.lead.to(then);
    }
}

async fn report(State(shared): State<Shared>, body: Bytes) {
    let _ = shared.reports.send(serde_json::from_slice(&body).unwrap()).await;
}

/// Leads each connection to where the name leads when something is said on it: a browser opens some beforehand.
async fn follow(listener: TcpListener, lead: Lead) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut near, _)) = listener.accept().await else { return };
        let lead = lead.clone();
        connections.spawn(async move {
            if near.peek(&mut [0]).await.is_ok_and(|said| said > 0) {
                let address = *lead.0.lock().unwrap();
                let mut far = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// Gives to everybody what they ask for, in the form they ask for it.
async fn anything(State(shared): State<Shared>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    if parts.method != Method::OPTIONS {
        shared.asked.lock().unwrap().insert(format!("{} {}", parts.method, parts.uri.path()));
    }
    let has = |headers: &HeaderMap, name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
    let answer = if let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        let upgrade = upgrade.protocols(["bearer", "ao"]);
        return upgrade.on_upgrade(async |mut socket| {
            let _ = socket.send(Message::Text(PRIZE.into())).await;
            let _ = socket.recv().await;
        });
    } else if has(&parts.headers, "accept", "text/event-stream") {
        ([(header::CONTENT_TYPE, "text/event-stream")], format!("data: {PRIZE}\n\n")).into_response()
    } else if has(&parts.headers, "sec-fetch-dest", "image") || parts.headers.get("accept").is_some_and(is_of_image) {
        let image = "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>";
        ([(header::CONTENT_TYPE, "image/svg+xml")], image).into_response()
    } else if parts.uri.path() == "/api/v1/openapi.json" {
        ([(header::CONTENT_TYPE, "text/javascript")], "0;").into_response()
    } else if parts.method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        PRIZE.into_response()
    };
    let origin = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or("*").to_owned();
    let leave = [
        ("access-control-allow-origin", origin.as_str()),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "authorization, content-type"),
        ("access-control-allow-methods", "GET, POST, DELETE"),
        ("access-control-allow-private-network", "true"),
        // Nor does the page go on with a connection that was opened for something else (its icon) before the name led elsewhere.
        ("connection", "close"),
    ];
    (leave.map(|(name, value)| (name.to_owned(), value.to_owned())), answer).into_response()
}

fn is_of_image(accept: &header::HeaderValue) -> bool {
    accept.to_str().is_ok_and(|accept| accept.starts_with("image/"))
}
