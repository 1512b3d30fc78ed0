//! What was found wrong.

use std::fmt;

/// What is wrong with the world, as the record would have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Something is there that nobody owns any more.
    pub(crate) leaked: Vec<String>,
    /// Something is not there that should be, or not as it should be.
    pub(crate) lost: Vec<String>,
    /// Something is there more than once.
    pub(crate) duplicated: Vec<String>,
}

impl Findings {
    pub(crate) fn lost(what: &str) -> Self {
        Self { lost: vec![what.to_owned()], ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leaked.is_empty() && self.lost.is_empty() && self.duplicated.is_empty()
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.leaked.extend(more.leaked);
        self.lost.extend(more.lost);
        self.duplicated.extend(more.duplicated);
    }

    /// Notes a loss unless something holds.
    pub(crate) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.lost.push(what());
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, all) in [("leaked", &self.leaked), ("lost", &self.lost), ("duplicated", &self.duplicated)] {
            for one in all {
                writeln!(f, "  {kind}: {one}")?;
            }
        }
        Ok(())
    }
}
