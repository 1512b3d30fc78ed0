//! Programs that tests need and a machine may lack.

use std::io::Write as _;
use std::path::PathBuf;

/// A runtime that tests run on.
pub(crate) const RUNTIMES: [&str; 3] = ["pty", "tmux", "zellij"];

/// The real Claude Code: `AO_TEST_CLAUDE`, else `claude` on `PATH`. `None` (said on stderr) when it is not there; in CI that
/// is a failure.
pub(crate) fn claude() -> Option<PathBuf> {
    let configured = std::env::var_os("AO_TEST_CLAUDE").map(PathBuf::from);
    needed("Claude Code", configured.or_else(|| on_path("claude")))
}

/// What tries an API by its description. `None` (said on stderr) when it is not there; in CI that is a failure.
pub(crate) fn schemathesis() -> Option<PathBuf> {
    needed("schemathesis", std::env::var_os("AO_TEST_SCHEMATHESIS").map(PathBuf::from))
}

/// A web browser. `None` (said on stderr) when it is not there; in CI that is a failure.
pub(crate) fn chromium() -> Option<PathBuf> {
    needed("chromium", on_path("chromium"))
}

/// Whether a runtime can be tested here. The built-in one always can.
pub(crate) fn has_runtime(runtime: &str) -> bool {
    runtime == "pty" || needed(runtime, on_path(runtime)).is_some()
}

fn needed(what: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        skip(&format!("{what} is not installed; `make test` installs it"));
    }
    found
}

/// Says that something is not tested here; in CI that is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}, and CI must not skip");
    // Not `eprintln`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

fn on_path(name: &str) -> Option<PathBuf> {
    ao::platform::file::find_program(name, &std::env::var("PATH").unwrap_or_default())
}
