//! `ao.toml` keeps the contract of project files.

use std::sync::Arc;

use ao::adapters::project_file::AoToml;
use ao::ports::project_file::ProjectFiles;
use ao::testing::git::GitScratch;
use ao::testing::project_file::ProjectFilesFixture;

#[path = "support/inherited.rs"]
mod inherited;

struct TomlFixture(GitScratch);

impl ProjectFilesFixture for TomlFixture {
    fn files(&self) -> Arc<dyn ProjectFiles> {
        Arc::new(AoToml)
    }

    fn scratch(&self) -> &GitScratch {
        &self.0
    }

    fn name(&self) -> &'static str {
        "ao.toml"
    }

    fn content(&self) -> &'static str {
        "# größe\nsetup = ['make']\n"
    }

    fn mistaken(&self) -> (&'static str, &'static str) {
        ("base = 'main'\nsetup = 'make'\n", "line 2: setup: ")
    }
}

ao::project_file_contract!(TomlFixture(GitScratch::new(inherited::environment())));
