//! `ao man`: the manual pages, made from the grammar, a page a command.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::super::after_help;
use super::super::args::{Cli, ManArgs};
use super::super::error::CliError;
use super::super::ui;

/// The section of commands.
const SECTION: &str = "1";

pub(in super::super) fn run(args: &ManArgs) -> Result<(), CliError> {
    let directory = &args.directory;
    let failed = |what: &Path, error: io::Error| {
        CliError::failed(format!("cannot write the manual pages: {}: {error}", what.display()))
            .hint("name a directory that you may write to, for example ~/.local/share/man/man1")
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let pages = pages().map_err(|error| failed(directory, error))?;
    for (name, page) in &pages {
        let path = directory.join(name);
        std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    ui::talk(&format!("{} pages are in {}", pages.len(), directory.display()));
    Ok(())
}

/// All pages: file name and text.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    // What the pages say of it is on each of them.
    let mut ao = Cli::command().disable_help_subcommand(true);
    ao.build();
    let mut pages = Vec::new();
    add(&mut pages, &ao)?;
    Ok(pages)
}

fn add(pages: &mut Vec<(String, Vec<u8>)>, command: &Command) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    pages.push((format!("{name}.{SECTION}"), page(command)?));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(pages, inner)?;
    }
    Ok(())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).section(SECTION).source(format!("ao {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(below_the_options(command).to_roff().into_bytes());
    Ok(page)
}

/// Examples are kept as they stand; the rest is filled as text.
fn below_the_options(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let examples = after_help::examples(command);
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for example in examples {
            roff.text([roman(example)]);
        }
        roff.control("fi", []);
    }
    let notes = after_help::notes(command);
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
        for note in notes {
            roff.control("PP", []).text([roman(note)]);
        }
    }
    if command.get_name() != "ao" {
        roff.control("SH", ["SEE ALSO"]).text([roman("ao(1)")]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_no_hidden_one() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["ao.1", "ao-spawn.1", "ao-project.1", "ao-project-add.1", "ao-man.1"] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        for hidden in ["hook", "holder", "supervise", "setup-shell", "help"] {
            assert!(names.iter().all(|name| !name.contains(hidden)), "{hidden} is in {names:?}");
        }
    }

    #[test]
    fn a_page_has_its_examples_as_they_stand() {
        let (_, page) = pages().unwrap().into_iter().find(|(name, _)| name == "ao-wait.1").unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(".TH ao-wait 1"), "{page}");
        let (_, below) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap();
        let (examples, notes) = below.split_once("\n.fi\n.SH NOTES\n").unwrap();
        assert!(examples.lines().count() == 3 && examples.contains("until its turn is over"), "{examples}");
        assert!(notes.contains("goes away meanwhile") && notes.ends_with(".SH \"SEE ALSO\"\nao(1)\n"), "{notes}");
    }
}
