//! `config.toml`. What is taken can be used, and a mistake is somewhere in the file and safe to show.
#![no_main]

use ao::adapters::cli::config::{AgentConfig, AgentMemory, ConfigError};
use ao_fuzz::{has_controls, mutate};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| { mutate::toml(data, size, max_size, seed) });

fuzz_target!(|content: &[u8]| -> Corpus {
    let config = match ao::fuzzing::config(content) {
        Ok(config) => config,
        Err(ConfigError::InFile { mistake, .. }) => {
            let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!((1..=lines).contains(&mistake.line), "{mistake} in a file of {lines} lines");
            assert!(!has_controls(&mistake.to_string()), "{:?}", mistake.to_string());
            // What is no file of settings is not worth keeping as a start for what comes next: most of it is found again at once.
            return Corpus::Reject;
        }
        Err(other) => panic!("{other}"),
    };
    for seconds in [config.fetch_timeout_s, config.ready_timeout_s] {
        assert!((1..=24 * 60 * 60).contains(&seconds), "{seconds} s");
    }
    if let AgentMemory::AtMost { bytes } = config.agent_memory_max {
        assert!(bytes >= 64 << 20, "{bytes} bytes start no agent");
    }
    for (name, agent) in &config.agents {
        assert!(!has_controls(name.as_str()));
        let AgentConfig::Command { command, prompt } = agent else { continue };
        assert!(command.first().is_some_and(|program| !program.is_empty()), "{name} has no program");
        if let Some(prompt) = prompt {
            assert!(!prompt.prompt.is_empty() && (1..=50).contains(&prompt.prompt_lines), "{prompt:?}");
        }
    }
    Corpus::Keep
});
