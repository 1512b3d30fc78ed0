//! Names of files in an agent's inbox, which the agent can give as it likes. A name that is taken for a message's is the one that ao gives that
//! message: otherwise ao would look for a file that is not there.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    let Some((number, id, own)) = ao::fuzzing::message_name(name) else { return };
    assert_eq!(name, own, "message {id} with number {number} has another name");
    assert!(!ao_fuzz::has_controls(name) && !name.contains('/'), "{name:?}");
    assert!(number.checked_add(1).is_some(), "nothing can be numbered after {name:?}");
});
