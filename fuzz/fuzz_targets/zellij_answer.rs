//! Answers of a zellij server. The texts of one are parts of it, in their order.
#![no_main]

use ao_fuzz::in_bounded_memory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    // A text of no bytes takes two in the message, and a string.
    let Some(texts) = in_bounded_memory(message, 64, || ao::fuzzing::zellij_answer(message)) else { return };
    let mut rest = message;
    for text in &texts {
        // Where it was no UTF-8 it was changed.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            continue;
        }
        let at = (0..=rest.len()).find(|at| rest[*at..].starts_with(text.as_bytes()));
        let at = at.unwrap_or_else(|| panic!("{text:?} is not there any more in {message:?}"));
        rest = &rest[at + text.len()..];
    }
});
