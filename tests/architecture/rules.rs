//! Who may know whom.

use super::paths::paths_in;

/// A part of the code with rules of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layer {
    Domain,
    Ports,
    App,
    Platform,
    Testing,
    /// `src/fault.rs`: everybody may use it, and it uses nothing of ours.
    Fault,
    /// `src/fuzzing.rs`: the door for fuzz targets, to what is private everywhere.
    Fuzzing,
    /// `src/adapters/mod.rs` and `src/lib.rs`: they declare modules.
    Declarations,
    /// The library's front: it hands on to the application.
    Front,
    /// What composes the default adapters for it.
    Composition,
    /// What serves it.
    Serving,
    Outbound(String),
    Http,
    Cli,
    Mcp,
    /// The binary.
    Main,
}

const OUTBOUND: [&str; 11] = [
    "agent",
    "clock",
    "messenger",
    "project_file",
    "repo",
    "runtime",
    "session_dir",
    "setup",
    "spool",
    "store",
    "workspace",
];

/// Where a library that belongs to one concern may be named. One that is not listed may be named anywhere but in `domain`.
const HOMES: [(&str, &[&str]); 25] = [
    ("alacritty_terminal", &["src/adapters/runtime/"]),
    ("anyhow", &["src/main.rs", "src/main/", "src/adapters/cli/"]),
    ("axum", &["src/adapters/http/"]),
    ("clap", &["src/main.rs", "src/main/", "src/adapters/cli/"]),
    ("clap_complete", &["src/main.rs", "src/main/", "src/adapters/cli/"]),
    ("clap_mangen", &["src/adapters/cli/"]),
    ("close_fds", &["src/platform/"]),
    ("etcetera", &["src/main.rs", "src/main/", "src/adapters/cli/"]),
    ("gix", &["src/adapters/project_file/", "src/adapters/repo/", "src/adapters/workspace/"]),
    ("http_body_util", &["src/adapters/http/", "src/adapters/cli/"]),
    ("hyper", &["src/adapters/http/", "src/adapters/cli/"]),
    ("hyper_util", &["src/adapters/http/", "src/adapters/cli/"]),
    ("pty_process", &["src/adapters/runtime/", "src/platform/"]),
    ("regex", &["src/adapters/agent/", "src/adapters/cli/"]),
    ("rmcp", &["src/adapters/mcp/"]),
    ("rustix", &["src/adapters/", "src/platform/", "src/main.rs", "src/main/", "src/testing/"]),
    ("sqlx", &["src/adapters/store/"]),
    ("subtle", &["src/adapters/http/"]),
    ("tempfile", &["src/testing/"]),
    ("tokio_tungstenite", &["src/adapters/cli/", "src/adapters/http/"]),
    ("toml", &["src/main.rs", "src/main/", "src/adapters/", "src/platform/"]),
    ("tower_service", &["src/adapters/http/"]),
    ("tracing_subscriber", &["src/main.rs", "src/main/"]),
    ("utoipa", &["src/adapters/http/"]),
    ("utoipa_axum", &["src/adapters/http/"]),
];

/// What the domain may use besides itself and those parts of `std` that touch nothing outside the process.
const DOMAIN_LIBRARIES: [&str; 6] = ["serde", "serde_json", "thiserror", "jiff", "uuid", "sha2"];
const DOMAIN_STD_BANS: [&str; 8] = ["fs", "process", "net", "env", "os", "thread", "time", "io"];

/// What the edge does and hands in.
const EDGE_ONLY_CALLS: [[&str; 2]; 9] = [
    ["process", "exit"],
    ["process", "abort"],
    ["env", "var"],
    ["env", "vars"],
    ["env", "var_os"],
    ["env", "vars_os"],
    ["env", "args"],
    ["env", "home_dir"],
    ["tokio", "signal"],
];
/// The bodies of processes of their own: `main` hands the whole process over to them, and its signals with it.
const WHOLE_PROCESSES: [&str; 2] = ["src/adapters/runtime/pty/holder.rs", "src/adapters/runtime/supervisor.rs"];
const EDGE_ONLY_MACROS: [&str; 5] = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];

/// The files of the front that name adapters, and the application with them.
const COMPOSITION: [&str; 2] = ["builder.rs", "surroundings.rs"];

const LAYERS: [&str; 7] = ["domain", "ports", "app", "adapters", "orchestrator", "platform", "testing"];

impl Layer {
    /// The layer of a file, given relative to the repository; `None` when the rules do not know it.
    pub(crate) fn of_file(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("src/")?.split('/').collect();
        Some(match parts.as_slice() {
            ["main.rs"] | ["main", ..] => Self::Main,
            ["lib.rs"] | ["adapters", "mod.rs"] => Self::Declarations,
            ["fault.rs"] => Self::Fault,
            ["fuzzing.rs"] => Self::Fuzzing,
            ["orchestrator", file] if COMPOSITION.contains(file) => Self::Composition,
            ["orchestrator", "server.rs"] => Self::Serving,
            ["orchestrator", ..] => Self::Front,
            ["domain", ..] => Self::Domain,
            ["ports", ..] => Self::Ports,
            ["app", ..] => Self::App,
            ["platform", ..] => Self::Platform,
            ["testing", ..] => Self::Testing,
            ["adapters", "http", ..] => Self::Http,
            ["adapters", "cli", ..] => Self::Cli,
            ["adapters", "mcp", ..] => Self::Mcp,
            ["adapters", folder, ..] if OUTBOUND.contains(folder) => Self::Outbound((*folder).to_owned()),
            _ => return None,
        })
    }

    fn may_use(&self, target: &[String]) -> bool {
        let Some(layer) = target.first().map(String::as_str) else { return false };
        let folder = target.get(1).map(String::as_str);
        match self {
            Self::Domain => layer == "domain",
            Self::Ports => ["ports", "domain"].contains(&layer),
            Self::App => ["app", "ports", "domain"].contains(&layer),
            Self::Declarations | Self::Front => ["orchestrator", "app", "ports", "domain"].contains(&layer),
            Self::Composition => {
                ["orchestrator", "app", "ports", "domain", "platform"].contains(&layer)
                    || layer == "adapters" && folder.is_some_and(|folder| OUTBOUND.contains(&folder))
            }
            Self::Serving => {
                ["orchestrator", "app", "ports", "domain", "platform"].contains(&layer)
                    || layer == "adapters" && folder == Some("http")
            }
            Self::Platform => ["platform", "domain"].contains(&layer),
            Self::Testing => ["testing", "ports", "domain", "platform"].contains(&layer),
            Self::Outbound(own) => {
                ["ports", "domain", "platform"].contains(&layer) || layer == "adapters" && folder == Some(own)
            }
            Self::Http => {
                ["app", "ports", "domain", "platform"].contains(&layer) || layer == "adapters" && folder == Some("http")
            }
            Self::Cli => {
                ["app", "ports", "domain", "platform"].contains(&layer)
                    || layer == "adapters" && ["http", "cli"].map(Some).contains(&folder)
            }
            Self::Mcp => {
                ["app", "ports", "domain", "platform"].contains(&layer)
                    || layer == "adapters" && ["http", "cli", "mcp"].map(Some).contains(&folder)
            }
            Self::Fault => false,
            Self::Main | Self::Fuzzing => true,
        }
    }
}

/// The module a file is, for example `["adapters", "store"]` for `src/adapters/store/mod.rs`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || inner == "lib" || inner == "main" {
        module.pop();
    }
    module
}

/// What a source file does that its place forbids, one line each.
pub(crate) fn violations(path: &str, source: &str, dependencies: &[String]) -> Vec<String> {
    let Some(layer) = Layer::of_file(path) else {
        return vec![format!("{path}: tests/architecture/rules.rs does not know this place")];
    };
    let mut found: Vec<String> = paths_in(source, &module_of(path))
        .iter()
        .filter_map(|named| {
            let why = wrong_arrow(&layer, named)
                .or_else(|| wrong_library(&layer, path, named, dependencies))
                .or_else(|| edge_only(&layer, path, named))?;
            Some(format!("{path}: {}: {why}", named.join("::")))
        })
        .collect();
    found.dedup();
    found
}

fn wrong_arrow(layer: &Layer, named: &[String]) -> Option<String> {
    let is_ours = named[0] == "crate" && named.len() > 1;
    // In the crate's root and beside it a layer can be named without `crate`.
    let is_bare = *layer == Layer::Declarations && named.len() > 1 && LAYERS.contains(&named[0].as_str());
    let target = if is_ours { &named[1..] } else { named };
    // A macro or a re-export at the root is not a layer.
    let is_layer = target[0] == "*" || LAYERS.contains(&target[0].as_str());
    ((is_ours || is_bare) && is_layer && !layer.may_use(target)).then(|| format!("{layer:?} may not know it"))
}

fn wrong_library(layer: &Layer, path: &str, named: &[String], dependencies: &[String]) -> Option<String> {
    let library = named[0].as_str();
    if *layer == Layer::Domain {
        let outside = library == "std" && named.get(1).is_some_and(|part| DOMAIN_STD_BANS.contains(&part.as_str()));
        let foreign =
            named.len() > 1 && dependencies.iter().any(|name| name == library) && !DOMAIN_LIBRARIES.contains(&library);
        return (outside || foreign).then(|| "the domain is pure".to_owned());
    }
    let (_, homes) = HOMES.iter().find(|(name, _)| *name == library && named.len() > 1)?;
    (!homes.iter().any(|home| path.starts_with(home))).then(|| format!("named only under {}", homes.join(", ")))
}

fn edge_only(layer: &Layer, path: &str, named: &[String]) -> Option<String> {
    if *layer == Layer::Main {
        return None;
    }
    let is_its_own = WHOLE_PROCESSES.contains(&path) && named.starts_with(&["tokio".to_owned(), "signal".to_owned()]);
    let calls = named.windows(2).any(|pair| EDGE_ONLY_CALLS.iter().any(|call| pair == call)) && !is_its_own;
    let prints = named.last().is_some_and(|last| EDGE_ONLY_MACROS.contains(&last.as_str()));
    (calls || prints).then(|| "only the binary does this; the library is handed it".to_owned())
}
