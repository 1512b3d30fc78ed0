//! What a web page can do to a daemon, in a real browser: one of another origin, and one whose own name was led to the daemon (DNS rebinding), with the
//! token and without. Nothing may be read or changed. Each time the same page does the same to a server that refuses nothing, and must succeed there.

use serde_json::{Value, json};

use crate::browser::{Outcomes, PRIZE, Way, Web};
use crate::http_client::Port;
use crate::sandbox::Sandbox;
use crate::tools;

/// Has messages typed to it, and repeats them.
const AGENT: &str = "[agents.asks]\nkind = 'command'\nprompt = 'ask>'\n\
    command = ['sh', '-c', \"printf 'ask> '; while read -r line; do echo \\\"heard $line\\\"; printf 'ask> '; done\"]\n";
/// What a page does to change something.
const CHANGES: [&str; 3] =
    ["POST /api/v1/sessions/app-1/messages", "POST /api/v1/sessions/app-1/kill", "POST /api/v1/daemon/stop"];
/// Takes a browser's own protection away, as a flaw of it, or an add-on, would: what is left is the daemon's.
const UNPROTECTED: &[&str] = &["--disable-web-security", "--disable-features=BlockInsecurePrivateNetworkRequests"];

/// A daemon with an agent.
async fn victim() -> (Sandbox, Port) {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("XDG_CONFIG_HOME".into(), sandbox.path("config").to_str().unwrap().into());
    std::fs::create_dir_all(sandbox.path("config/ao")).unwrap();
    std::fs::write(sandbox.path("config/ao/config.toml"), AGENT).unwrap();
    let port = Port::of(&sandbox).await;
    sandbox.ao(&["spawn", "--agent", "asks", "--runtime", "pty"]).await.ok();
    sandbox.until_output("app-1", "ask>").await;
    (sandbox, port)
}

/// All that a page could have changed.
async fn state(sandbox: &Sandbox) -> Value {
    json!({
        "daemon": sandbox.daemon_pid().await,
        "changes": sandbox.ao(&["events", "--json"]).await.ok(),
        "messages": sandbox.ao(&["messages", "app-1", "--json"]).await.json(),
        "terminal": sandbox.ao(&["output", "app-1"]).await.ok(),
    })
}

/// Insists that the page's attempts succeed where nothing is refused.
fn assert_all_succeeded(outcomes: &Outcomes, web: &Web) {
    assert!(!outcomes.is_empty() && !outcomes.contains_key("broken"), "{outcomes:#?}");
    for (name, outcome) in outcomes {
        let came = outcome.got.as_deref().is_some_and(|got| got == PRIZE || got.contains(PRIZE) || got == "loaded");
        assert!(came || outcome.sent, "{name} cannot succeed at all: {outcome:#?}");
    }
    let asked = web.asked();
    assert!(CHANGES.iter().all(|change| asked.contains(*change)), "{asked:#?}");
}

/// Insists that all that the page got, if anything, are refusals of that code.
fn assert_all_failed(outcomes: &Outcomes, code: Option<&str>) {
    assert!(!outcomes.is_empty() && !outcomes.contains_key("broken"), "{outcomes:#?}");
    for (name, outcome) in outcomes {
        let Some(got) = &outcome.got else { continue };
        let said: Value = serde_json::from_str(got).unwrap_or_default();
        let is_refusal = outcome.status == Some(403) && code.is_some_and(|code| said["error"]["code"] == code);
        assert!(is_refusal, "{name}: {outcome:#?}");
    }
}

/// How a browser that is so unprotected comes to a daemon in one way; `code` is of the refusals that the page can read.
async fn nothing_is_read_or_changed(way: Way, flags: &[&str], code: &str, is_told_so: bool) {
    let Some(browser) = tools::chromium() else { return };
    let (sandbox, port) = victim().await;
    let before = state(&sandbox).await;
    let mut web = Web::new().await;
    let place = (&sandbox, browser.as_path());
    let control = (way, web.address());
    let succeeded = web.attack(place, control, Some(&port.token), flags).await;
    assert_all_succeeded(&succeeded, &web);
    for token in [None, Some(port.token.as_str())] {
        let outcomes = web.attack(place, (way, port.address), token, flags).await;
        assert_all_failed(&outcomes, is_told_so.then_some(code));
        assert_eq!(is_told_so, outcomes["send"].got.is_some(), "{outcomes:#?}");
    }
    assert_eq!(state(&sandbox).await, before);
    let log = sandbox.log();
    assert!(log.contains(code), "the daemon did not refuse it: {log}");
    assert!(!log.contains("unauthorized"), "only the token kept it off: {log}");
    assert_eq!(port.get("/api/v1/sessions").await.status, 200, "and who may ask is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_a_page_of_another_origin_reads_and_changes_nothing_even_with_the_token() {
    nothing_is_read_or_changed(Way::Across, &[], "origin_not_allowed", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_a_page_of_another_origin_gets_nowhere_in_a_browser_that_would_let_it() {
    nothing_is_read_or_changed(Way::Across, UNPROTECTED, "origin_not_allowed", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i10_a_page_whose_name_is_led_to_the_daemon_reads_and_changes_nothing_even_with_the_token() {
    nothing_is_read_or_changed(Way::Rebound, &[], "host_not_allowed", true).await;
}
