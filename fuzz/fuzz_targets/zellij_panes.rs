//! What zellij lists as a session's panes. The terminal that is found is one in the list, whose command runs.
#![no_main]

use ao_fuzz::in_bounded_memory;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|listing: &str| {
    let Ok(found) = in_bounded_memory(listing.as_bytes(), 64, || ao::fuzzing::zellij_terminal(listing)) else { return };
    let Some(id) = found else { return };
    // What serde takes for a pane also as a list, or with a field twice, is not looked into.
    let Ok(Value::Array(panes)) = serde_json::from_str(listing) else { panic!("{listing:?} is no list") };
    if panes.iter().all(Value::is_object) {
        let is_it = |pane: &Value| pane["id"] == id && pane["is_plugin"] == false && pane["exited"] == false;
        assert!(panes.iter().any(is_it), "terminal {id} does not run in {listing:?}");
    }
});
