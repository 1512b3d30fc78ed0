//! What the library promises, item by item: `tests/snapshots/public_api.txt` holds every public name and signature of its front, its use cases,
//! its ports, its rules and its contract suites. A change of it is a change for those who build on it.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test --all-features --test public_api`, and read what changed: what went or
//! looks otherwise needs another major version, once there is a first.
//!
//! Read from the sources, so it needs no compiler of a certain version. It sees what is written there: no blanket or auto traits
//! (those of the front are asked of the compiler).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod api {
    pub(crate) mod items;
}

use std::fs;
use std::path::Path;

use api::items::{public_items, public_items_of, public_items_of_types};

/// What is promised. Other adapters than those below, the operating system and the fault points are not.
const PROMISED: [&str; 5] = ["app", "domain", "orchestrator", "ports", "testing"];

/// The adapters that the front gives and takes, and exports therefore.
const EXPORTED: [(&str, &[&str]); 7] = [
    ("adapters/agent/claude_code", &["ClaudeCode", "ClaudeCodeSettings"]),
    ("adapters/agent/command", &["CommandAgent", "CommandAgentSettings", "CommandLine", "InvalidCommandLine"]),
    ("adapters/agent/terminal", &["Prompt"]),
    ("adapters/http/wire", &["AgentBounds", "AgentGroups", "DaemonInfo"]),
    ("adapters/runtime/pty", &["PtyRuntime"]),
    ("adapters/workspace", &["GitWorkspace"]),
    ("adapters/workspace/git", &["GitSettings"]),
];

#[test]
fn the_public_surface_is_the_one_on_record() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut items = public_items(&root.join("src"), &PROMISED);
    for (module, types) in EXPORTED {
        items.extend(public_items_of_types(&root.join("src"), module, types));
    }
    items.sort();
    items.push(String::new());
    let found = items.join("\n");
    for item in
        ["ao::orchestrator::Orchestrator::spawn", "ao: pub use orchestrator :: Orchestrator", "CommandLine::from_line"]
    {
        assert!(found.contains(item), "{item} was not found");
    }
    let record = root.join("tests/snapshots/public_api.txt");
    // The tests of a person write it only when asked to, as other snapshots.
    #[expect(clippy::disallowed_methods, reason = "a test is its own edge")]
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&record, &found).unwrap();
    }
    let recorded = fs::read_to_string(&record).unwrap_or_default();
    let gone: Vec<_> = recorded.lines().filter(|line| !items.iter().any(|item| item == line)).collect();
    let new: Vec<_> = items.iter().filter(|item| !recorded.lines().any(|line| line == *item)).collect();
    assert!(
        gone.is_empty() && new.iter().all(|item| item.is_empty()),
        "the public surface changed; when that is meant: INSTA_UPDATE=always cargo test --all-features --test public_api\n\
         gone: {gone:#?}\nnew: {new:#?}"
    );
}

#[test]
fn what_others_can_name_is_seen_and_the_rest_is_not() {
    let source = r"
        pub use inner::Thing as Other;
        pub(crate) use inner::Hidden;
        pub const LIMIT: usize = 3;
        pub struct Open { pub a: u8, b: u8 }
        pub struct Wrapper(pub u8, String);
        struct Private;
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum Kind { One, Two { field: u8 }, #[non_exhaustive] Three(u8) }
        impl Open { setters! { name: Port, } pub fn into(mut self) {} #[cfg(unix)] pub fn get(&self, n: u32) -> Option<&u8> { None } fn hidden() {} pub(crate) fn crate_only() {} }
        impl Private { pub fn unreachable() {} }
        impl std::fmt::Display for Open { fn fmt(&self) {} }
        pub trait Port: Send { const N: u8; type T; async fn ask(&self) -> u8; fn with_default(&self) {} }
        #[cfg(test)] pub mod tests { pub fn f() {} }
        pub mod deep { pub fn f<T: Copy>(t: T) where T: Send {} }
        mod shut { pub fn g() {} fn own() {} }
        #[macro_export] macro_rules! shown { () => {} }
        macro_rules! own { () => {} }
    ";
    assert_eq!(
        public_items_of(source, "ao::m"),
        [
            "ao::m: pub use inner :: Thing as Other",
            "ao::m::Kind: #[derive (Debug , Clone)] enum, #[non_exhaustive]",
            "ao::m::Kind::One",
            "ao::m::Kind::Three (u8), #[non_exhaustive]",
            "ao::m::Kind::Two { field : u8 }",
            "ao::m::LIMIT: const usize = 3",
            "ao::m::Open: impl std :: fmt :: Display",
            "ao::m::Open: setters! name : Port ,",
            "ao::m::Open: struct, with private fields",
            "ao::m::Open::a: u8",
            "ao::m::Open::get: fn get (& self , n : u32) -> Option < & u8 >, #[cfg (unix)]",
            "ao::m::Open::into: fn into (self)",
            "ao::m::Port: trait Port : Send",
            "ao::m::Port::N: const u8",
            "ao::m::Port::T: type",
            "ao::m::Port::ask: async fn ask (& self) -> u8",
            "ao::m::Port::with_default: fn with_default (& self), with a default",
            "ao::m::Wrapper: struct, with private fields",
            "ao::m::Wrapper::0: u8",
            "ao::m::deep: mod",
            "ao::m::deep::f: fn f < T : Copy > (t : T) where T : Send",
            "ao::m::shut::g: fn g ()",
            "ao::shown!",
        ]
    );
}

/// The program between these lines of a text, without what only the compiler is to see.
fn program_in(text: &str, begins_after: &str, margin: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != begins_after).skip(1);
    let lines = lines.map(|line| line.strip_prefix(margin).unwrap_or(line)).take_while(|line| *line != "```");
    lines.filter(|line| !line.starts_with("# ")).map(str::to_owned).collect()
}

#[test]
fn the_program_that_people_read_of_is_the_one_that_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let readme = read("README.md");
    let (_, section) = readme.split_once("## As a library").unwrap();
    let compiled = read("src/lib.rs").replace("//!\n", "//! \n");
    let compiled = program_in(&compiled, "#![cfg_attr(not(feature = \"adapters\"), doc = \"```ignore\")]", "//! ");
    assert!(compiled.len() > 5, "{compiled:#?}");
    assert_eq!(program_in(section, "```rust", ""), compiled);
}

/// What the compiler gives by itself, and so takes away by itself.
#[test]
fn the_front_can_be_held_shown_and_handed_to_other_threads() {
    use std::fmt::Debug;
    fn shared<T: Clone + Debug + Send + Sync + 'static>() {}
    fn sent<T: Debug + Send + 'static>() {}
    fn polled<T: Debug + Send + Unpin + 'static>() {}
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    shared::<ao::Orchestrator>();
    shared::<ao::app::Application>();
    shared::<ao::app::Settings>();
    shared::<ao::app::AppError>();
    shared::<ao::app::view::SessionView>();
    shared::<ao::domain::change::Change>();
    shared::<ao::orchestrator::surroundings::Surroundings>();
    sent::<ao::app::Ports>();
    sent::<ao::app::events::Events>();
    sent::<ao::Builder>();
    sent::<ao::Driver>();
    sent::<ao::Server>();
    polled::<ao::EventStream>();
    error::<ao::app::AppError>();
    error::<ao::BuildError>();
    error::<ao::ServeError>();
}
