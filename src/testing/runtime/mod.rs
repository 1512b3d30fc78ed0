//! The contract of [`Runtime`](crate::ports::runtime::Runtime), as tests.
//!
//! They run real programs (`/bin/sh`, `cat`, `sleep`, `setsid`) in real terminals. An adapter runs them all with
//!
//! ```ignore
//! ao::runtime_contract_tests!(MyFixture::new());
//! ```
//!
//! at the top level of a test file: one `#[tokio::test]` each, every one with a fixture of its own. Whatever happens in a test, every terminal it
//! made is stopped at its end.

#![expect(clippy::missing_panics_doc, reason = "panicking is how a contract test says that the contract is broken")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

mod bench;
mod end;
mod start;
mod terminal;

pub use self::bench::{Bench, RuntimeFixture, check};
pub use self::end::*;
pub use self::start::*;
pub use self::terminal::*;

/// Makes one test of each clause of the contract. Takes an expression that makes a fresh
/// [`RuntimeFixture`](crate::testing::runtime::RuntimeFixture).
#[macro_export]
macro_rules! runtime_contract_tests {
    ($fixture:expr) => {
        $crate::runtime_contract_tests! { @each $fixture;
            a_created_agent_was_seen_running
            an_agents_process_is_known_by_its_launch
            arguments_environment_and_directory_arrive_byte_for_byte
            a_file_as_standard_input_arrives_whole_and_the_terminal_stays
            standard_streams_are_a_terminal_of_the_asked_kind
            nothing_secret_shows_in_a_process_listing
            no_environment_value_stays_on_disk
            a_missing_program_is_refused_and_leaves_nothing
            a_missing_directory_is_refused_and_leaves_nothing
            an_agent_that_ends_at_once_was_created
            a_running_session_is_not_created_again
            an_ended_session_is_created_again
            what_a_killed_supervisor_left_ends_before_the_session_is_created_again
            none_of_twenty_at_once_is_lost
            probe_answers_for_every_key
            exit_codes_and_signals_are_on_record
            what_an_agent_left_running_ends_with_it
            an_end_is_told_without_being_asked_for
            stop_asks_first
            stop_insists_after_the_grace
            stop_is_idempotent
            stop_ends_the_whole_tree
            a_new_adapter_finds_and_stops_a_terminal
            screen_and_output_show_what_was_printed
            screen_and_output_stay_after_the_end
            what_was_set_aside_comes_back_or_is_forgotten
            what_runs_is_neither_set_aside_nor_replaced
            what_is_typed_reaches_the_agent
            nothing_is_typed_for_nobody
            who_attaches_sees_and_types_and_is_told_of_the_end
            an_unknown_session_has_no_terminal
        }
    };
    (@each $fixture:expr; $($clause:ident)+) => {
        $(
            #[::tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                $crate::testing::runtime::check($fixture, $crate::testing::runtime::$clause).await;
            }
        )+
    };
}
