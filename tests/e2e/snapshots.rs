//! What is kept in `tests/e2e/snapshots` of what people and programs see, and compared with what they see now. After a change that is meant:
//! `INSTA_UPDATE=always scripts/test --test e2e snapshot`, and a look at the difference.

use std::collections::BTreeSet;

use ao::adapters::cli::args::Cli;
use clap::{Command, CommandFactory};

/// Every command that a person is shown, with the words that call it; `ao` itself has none.
pub(crate) fn commands() -> Vec<(Vec<String>, Command)> {
    fn add(found: &mut Vec<(Vec<String>, Command)>, command: &Command, path: &[String]) {
        found.push((path.to_vec(), command.clone()));
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
            add(found, inner, &[path, &[inner.get_name().to_owned()]].concat());
        }
    }
    let mut ao = Cli::command();
    ao.build();
    let mut found = Vec::new();
    add(&mut found, &ao, &[]);
    found
}

/// Compares texts, each with its name, with what is kept of a kind; also whether something is kept that there is no more.
#[track_caller]
pub(crate) fn compare(kind: &str, texts: &[(String, String)]) {
    for (name, text) in texts {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("{kind}-{name}"), text);
        });
    }
    let kept = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/snapshots")).unwrap();
    let kept = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let kept: BTreeSet<String> = kept
        .filter_map(|file| Some(file.strip_prefix(&format!("{kind}-"))?.strip_suffix(".snap")?.to_owned()))
        .collect();
    assert_eq!(kept, texts.iter().map(|(name, _)| name.clone()).collect(), "delete what is not shown any more");
}
