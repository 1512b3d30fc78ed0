//! Lines of Claude Code's transcript. A message is taken when a whole line names it, held when that line tells of the line it waits in.
#![no_main]

use ao::domain::id::MessageId;
use ao::ports::text_hooks::Seen;
use ao_fuzz::in_bounded_memory;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|lines: &[u8]| {
    // Stands in the seeds.
    let id: MessageId = "0123456789abcdef".parse().expect("a message's id");
    let seen = in_bounded_memory(lines, 128, || ao::fuzzing::transcript(lines, &id)).expect("it is in memory");
    let naming = || {
        let names_it = |line: &&[u8]| line.windows(16).any(|part| part == id.as_str().as_bytes());
        lines
            .split(|byte| *byte == b'\n')
            .filter(names_it)
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
    };
    let is_held = |entry: &Value| entry["type"] == "queue-operation";
    match seen {
        Seen::Taken => assert!(naming().any(|entry| !is_held(&entry)), "no line has taken it"),
        Seen::Held => assert!(naming().count() > 0 && naming().all(|entry| is_held(&entry)), "it is not held"),
        Seen::Missing => assert_eq!(naming().count(), 0, "a line names it"),
        Seen::Unknown => panic!("the lines were there"),
    }
});
