//! What children of a test get of its environment: nothing that names this machine's user, accounts or services.

/// `PATH`, and the mark by which a run's left-over processes are found.
#[expect(clippy::disallowed_methods, reason = "a test is an edge: it reads the environment and hands it in")]
pub(crate) fn environment() -> Vec<(String, String)> {
    ["PATH", "AO_TEST_RUN"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}
