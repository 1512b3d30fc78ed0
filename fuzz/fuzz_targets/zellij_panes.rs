//! What zellij lists as a session's panes. The terminal that is found is one in the list, whose command runs.
#![no_main]

use ao_fuzz::{in_bounded_memory, mutate};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::json(data, size, max_size, seed, 0)
});

fuzz_target!(|listing: &str| -> Corpus {
    let Ok(found) = in_bounded_memory(listing.as_bytes(), 64, || ao::fuzzing::zellij_terminal(listing)) else {
        // As a start for what comes next, it is not worth keeping.
        return Corpus::Reject;
    };
    let Some(id) = found else { return Corpus::Keep };
    // What serde takes for a pane also as a list, or with a field twice, is not looked into.
    // Nor what is too deep: it is passed over where it says nothing of a pane.
    let Ok(panes) = serde_json::from_str::<Vec<Value>>(listing) else { return Corpus::Keep };
    if panes.iter().all(Value::is_object) {
        let is_it = |pane: &Value| pane["id"] == id && pane["is_plugin"] == false && pane["exited"] == false;
        assert!(panes.iter().any(is_it), "terminal {id} does not run in {listing:?}");
    }
    Corpus::Keep
});
