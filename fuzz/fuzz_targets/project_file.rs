//! A repository's `ao.toml`, which anybody may have written. What is taken names nothing outside of the repository and no reference that git
//! takes for something else, and is the same after it was recorded with a session; a mistake is somewhere in the file and safe to show.
#![no_main]

use std::path::Component;

use ao::domain::project_file::ProjectSettings;
use ao_fuzz::{has_controls, in_bounded_memory, mutate};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { mutate::toml(data, size, max_size, seed) });

fuzz_target!(|content: &[u8]| -> Corpus {
    let settings = match in_bounded_memory(content, 256, || ao::fuzzing::project_file(content)) {
        Ok(settings) => settings,
        Err(mistake) => {
            let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&mistake.line), "{mistake} in a file of {lines} lines");
            assert!(!has_controls(&mistake.to_string()), "{:?}", mistake.to_string());
            // What is no file of settings is not worth keeping as a start for what comes next: most of it is found again at once.
            return Corpus::Reject;
        }
    };
    let setup = &settings.setup;
    for path in setup.copy.iter().chain(&setup.link) {
        let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        assert!(is_inside && path.components().count() > 0, "{path:?} is brought");
        assert!(!path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")), "{path:?} is git's");
    }
    for name in [&settings.base, &settings.branch_prefix].into_iter().flatten() {
        assert!(!name.starts_with('-') && !name.contains([' ', ':', '^', '\\']) && !has_controls(name), "{name:?}");
    }
    for (name, value) in &setup.env {
        assert!(
            !name.is_empty() && !name.contains('=') && !name.starts_with("AO_") && !value.contains('\0'),
            "{name:?}"
        );
    }
    assert!(setup.setup.iter().chain(&setup.teardown).all(|command| !command.trim().is_empty()), "an empty command");
    assert!((1..=24 * 60 * 60).contains(&setup.timeout_s) && (1..=120).contains(&setup.teardown_timeout_s));
    let recorded = serde_json::to_string(&settings).expect("it can be recorded");
    let read: ProjectSettings = serde_json::from_str(&recorded).expect("what was recorded can be read");
    assert_eq!(read, settings);
    Corpus::Keep
});
