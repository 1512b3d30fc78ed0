//! Links in the place of what the messenger keeps in the workspace, as an agent might plant them. None leads anywhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use super::{at, handover, text};
use crate::domain::id::MessageId;
use crate::ports::messenger::MessengerError;
use crate::testing::messenger::{Fixture, Swapper, directories_below, files_below};

/// The steps of a message from its post until it is forgotten.
const STEPS: usize = 10;

/// Does one; gives the text that it read.
async fn step(fixture: &Fixture, step: usize, name: &str) -> Result<Option<String>, MessengerError> {
    let (id, mailbox) = (MessageId::hash_of(name), fixture.mailbox());
    match step {
        0 => fixture.post(name, &text(name)).await?,
        1 => mailbox.note_turn(true)?,
        2 => return Ok(mailbox.open()?.take(&id, &handover())?.map(|letter| letter.text)),
        3 => mailbox.open()?.note(&id, &handover())?,
        4 => return mailbox.open()?.text(&id),
        5 => drop(mailbox.open()?.keep(&id)?),
        6 => mailbox.open()?.handed_over(&id)?,
        7 => {
            mailbox.note_turn(false)?;
            mailbox.turn()?;
        }
        8 => {
            let mut open = mailbox.open()?;
            open.unconfirmed()?;
            open.confirm(&id, at(9))?;
        }
        _ => {
            fixture.messenger.progress(&fixture.workspace).await?;
            fixture.messenger.take_back(&fixture.workspace).await?;
            fixture.messenger.forget(&fixture.workspace, &[id]).await?;
        }
    }
    Ok(None)
}

/// Does these, as far as they are let; gives how many could be done, and what they read.
async fn steps(fixture: &Fixture, range: std::ops::Range<usize>, name: &str) -> (usize, Vec<String>) {
    let (mut done, mut read) = (0, Vec::new());
    for number in range {
        match step(fixture, number, name).await {
            Ok(text) => {
                done += 1;
                read.extend(text);
            }
            Err(MessengerError::Planted { .. } | MessengerError::File { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    (done, read)
}

/// What lies beside the workspace, which nobody may read, write, touch or move.
struct Outside {
    secret: PathBuf,
    directory: PathBuf,
}

impl Outside {
    /// The directory has directories of the same names as those in the workspace, where these are found.
    fn new(fixture: &Fixture) -> Self {
        let directory = fixture.outside.clone();
        for inner in directories_below(&fixture.workspace) {
            fs::create_dir_all(directory.join(inner.file_name().unwrap())).unwrap();
        }
        let secret = directory.join("secret");
        fs::write(&secret, "secret").unwrap();
        fs::File::options().append(true).open(&secret).unwrap().set_modified(UNIX_EPOCH).unwrap();
        Self { secret, directory }
    }

    fn insist_on_it(&self, read: &[String], name: &str) {
        assert_eq!(files_below(&self.directory), [self.secret.as_path()], "what is outside is another");
        assert_eq!(fs::read_to_string(&self.secret).unwrap(), "secret", "written outside the workspace");
        let touched = fs::metadata(&self.secret).unwrap().modified().unwrap();
        assert_eq!(touched, UNIX_EPOCH, "touched outside the workspace");
        assert_eq!(read.iter().find(|read| **read != text(name)), None, "read outside the workspace");
    }
}

fn remove_all(files: impl IntoIterator<Item = PathBuf>) {
    for file in files {
        fs::remove_file(file).unwrap();
    }
}

/// A link in the place of each directory that the messenger has in the workspace: who needs it is told so.
pub async fn i12_links_in_the_place_of_directories_are_refused(fixture: &Fixture) {
    assert_eq!(steps(fixture, 0..STEPS, "first").await.0, STEPS);
    let outside = Outside::new(fixture);
    fixture.posted(["waits"]).await;
    for place in directories_below(&fixture.workspace) {
        let aside = fixture.workspace.join("aside");
        fs::rename(&place, &aside).unwrap();
        symlink(&outside.directory, &place).unwrap();
        let mut planted = 0;
        for number in 0..STEPS {
            let done = step(fixture, number, "a").await;
            planted += usize::from(matches!(done, Err(MessengerError::Planted { .. })));
        }
        assert!(planted > 0, "a link in the place of {} is no error", place.display());
        match fixture.messenger.progress(&fixture.workspace).await {
            Ok(all) => {
                assert!(all.iter().any(|(id, _)| *id == MessageId::hash_of("waits")), "a message is not told of");
            }
            Err(error) => assert!(matches!(error, MessengerError::Planted { .. }), "{error:?}"),
        }
        outside.insist_on_it(&[], "a");
        fs::remove_file(&place).unwrap();
        fs::rename(&aside, &place).unwrap();
    }
    assert_eq!(
        fixture.process(|open| open.take(&MessageId::hash_of("waits"), &handover())).unwrap().unwrap().text,
        "text waits"
    );
}

/// A link in the place of each file that there is after each step of a message: the steps that come then are hindered, or pass it over.
pub async fn i12_links_in_the_place_of_files_are_neither_read_nor_written_through(fixture: &Fixture) {
    assert_eq!(steps(fixture, 0..STEPS, "first").await.0, STEPS);
    let outside = Outside::new(fixture);
    let mut planted = 0;
    for until in 1..STEPS {
        for nth in 0.. {
            let name = format!("{until}-{nth}");
            assert_eq!(steps(fixture, 0..until, &name).await.0, until, "{name}");
            let mut files = files_below(&fixture.workspace);
            files.sort();
            let is_last = nth + 1 >= files.len();
            if let Some(file) = files.get(nth) {
                fs::remove_file(file).unwrap();
                symlink(&outside.secret, file).unwrap();
                planted += 1;
            }
            // Those of another message, too: this one may be no message any more.
            let (_, read) = steps(fixture, until..STEPS, &name).await;
            outside.insist_on_it(&read, &name);
            let other = format!("{name}-other");
            let (_, read) = steps(fixture, 0..STEPS, &other).await;
            outside.insist_on_it(&read, &other);
            remove_all(files_below(&fixture.workspace));
            if is_last {
                break;
            }
        }
    }
    assert!(planted > STEPS, "the messenger keeps no files in the workspace");
    // Once they are taken away, the next one goes its way.
    assert_eq!(steps(fixture, 0..STEPS, "last").await.0, STEPS);
}

/// An agent that swaps directories for links all the time gets nothing written outside.
pub async fn i12_directories_swapped_for_links_meanwhile_are_not_followed(fixture: &Fixture) {
    assert_eq!(steps(fixture, 0..STEPS, "first").await.0, STEPS);
    let outside = Outside::new(fixture);
    // With a rest in which a whole life has room.
    let swapper = Swapper::start(&fixture.workspace, &fixture.outside, Duration::from_millis(1));
    race(fixture, &outside, swapper, 300, || {}).await;
}

/// Nor read, when it swaps files.
pub async fn i12_files_swapped_for_links_meanwhile_are_not_followed(fixture: &Fixture) {
    assert_eq!(steps(fixture, 0..STEPS, "first").await.0, STEPS);
    let outside = Outside::new(fixture);
    let swapper = Swapper::start_with_files(&fixture.workspace, &outside.secret, Duration::from_micros(300));
    // What was hindered before would hinder all that come after it.
    let clear = || files_below(&fixture.workspace.join(".ao")).into_iter().for_each(|left| drop(fs::remove_file(left)));
    race(fixture, &outside, swapper, 20, clear).await;
}

/// One message after the other, until enough were hindered and enough were not.
async fn race(fixture: &Fixture, outside: &Outside, swapper: Swapper, enough: usize, clear: impl Fn()) {
    let (mut whole, mut hindered) = (0, 0);
    for number in 0..100_000 {
        if whole >= 20 && hindered >= enough {
            break;
        }
        clear();
        let name = number.to_string();
        let (done, read) = steps(fixture, 0..STEPS, &name).await;
        outside.insist_on_it(&read, &name);
        if done == STEPS {
            whole += 1;
        } else {
            hindered += 1;
        }
    }
    let swaps = swapper.stop();
    outside.insist_on_it(&[], "");
    assert!(whole > 0 && hindered > 0, "the race never happened: {swaps} swaps, {whole} whole, {hindered} hindered");
}
