//! The contract of [`Mailbox`] and [`OpenMailbox`], as [`AgentMessenger::mailbox`] gives one, and of what the messenger tells of what became of
//! messages there.
//!
//! It takes the [fixture](Fixture) of the messenger's suite. Let [`mailbox_contract!`](crate::mailbox_contract) make one test of each function here:
//!
//! ```no_run
//! # use std::path::Path;
//! # use std::sync::Arc;
//! # use ao::ports::messenger::AgentMessenger;
//! use ao::testing::messenger::Fixture;
//!
//! # fn my_messenger() -> Arc<dyn AgentMessenger> { unimplemented!() }
//! # fn waiting(_: &Path) -> Vec<String> { unimplemented!() }
//! ao::mailbox_contract!(Fixture::new(my_messenger(), waiting));
//! ```
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`clauses`] | what becomes of messages and turns |
//! | [`links`] | what is planted in the workspace |

#![allow(clippy::unwrap_used, reason = "a contract suite fails by panicking, as every check says in its name")]

pub mod clauses;
pub mod links;

use serde_json::json;

use super::messenger::Fixture;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::{Progress, Route};
use crate::ports::mailbox::{Handover, Mailbox, OpenMailbox};

#[cfg(doc)]
use crate::ports::messenger::AgentMessenger;

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture of the messenger's suite.
#[macro_export]
macro_rules! mailbox_contract {
    ($fixture:expr) => {
        $crate::mailbox_contract!(@tests $fixture; clauses
            nothing_waits_before_anything_was_posted
            nothing_waits_in_a_workspace_that_is_gone_or_was_never_opened
            what_waits_is_taken_in_order_and_byte_for_byte
            what_was_taken_out_is_on_record_before_it_is_given
            what_was_taken_out_and_given_back_is_in_its_old_place
            how_a_message_is_being_handed_over_can_be_put_on_record_anew
            what_was_handed_over_is_known_to_whoever_comes_next
            what_was_confirmed_is_over_until_it_is_forgotten
            nothing_is_left_of_what_was_forgotten
            a_text_that_is_kept_stays_where_the_agent_reads_it
            what_an_ended_agent_had_not_taken_waits_again_and_the_rest_does_not
            what_cannot_be_done_is_refused_and_changes_nothing
            one_at_a_time_has_it_open_and_the_next_waits
            who_cannot_open_it_is_told_so_and_may_still_look
            each_message_is_taken_by_one
            turns_are_as_they_were_noted
        );
        $crate::mailbox_contract!(@tests $fixture; links
            i12_links_in_the_place_of_directories_are_refused
            i12_links_in_the_place_of_files_are_neither_read_nor_written_through
            i12_directories_swapped_for_links_meanwhile_are_not_followed
            i12_files_swapped_for_links_meanwhile_are_not_followed
        );
    };
    (@tests $fixture:expr; $module:ident $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::testing::mailbox::$module::$name(&$fixture).await;
            }
        )+
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn handover() -> Handover {
    let trace = json!({ "path": "/größe \"q\"\n", "length": u64::MAX, "list": [null, 0.1, {}] });
    Handover { via: Route::BetweenTools, at: at(7), trace }
}

fn text(name: &str) -> String {
    format!("text {name}")
}

impl Fixture {
    /// Another instance each time, as each process has one.
    fn mailbox(&self) -> Box<dyn Mailbox> {
        self.messenger.mailbox(&self.workspace)
    }

    async fn posted<const COUNT: usize>(&self, names: [&str; COUNT]) -> [MessageId; COUNT] {
        self.messenger.open(&self.workspace).await.unwrap();
        for name in names {
            self.post(name, &text(name)).await.unwrap();
        }
        names.map(MessageId::hash_of)
    }

    async fn progress(&self) -> Vec<(MessageId, Progress)> {
        self.messenger.progress(&self.workspace).await.unwrap()
    }

    /// What the next process finds: what waits, and what is unconfirmed and was handed over or not.
    fn found(&self) -> (Vec<MessageId>, Vec<(MessageId, bool)>) {
        let mailbox = self.mailbox();
        let open = mailbox.open().unwrap();
        let unconfirmed = open.unconfirmed().unwrap();
        (open.waiting().unwrap(), unconfirmed.into_iter().map(|left| (left.id, left.was_handed_over)).collect())
    }

    /// A process that does this, and ends.
    fn process<T>(&self, work: impl FnOnce(&mut dyn OpenMailbox) -> T) -> T {
        let mailbox = self.mailbox();
        let mut open = mailbox.open().unwrap();
        work(&mut *open)
    }
}
