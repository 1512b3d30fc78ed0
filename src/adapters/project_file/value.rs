//! Values that have rules of their own. Each is checked while the file is read, so that a mistake has its line.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::approval::Decision;
use crate::domain::setup::inner_path;

/// Makes a type of a string that a rule checks when it is read.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident($inner:ty), $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $name(pub(super) $inner);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(String) -> Result<$inner, String> = $check;
                check(text).map(Self)
            }
        }
    };
}

checked_text!(
    /// Something for a shell to run.
    ShellCommand(String),
    |text| if text.trim().is_empty() { Err("the command is empty".to_owned()) } else { without_nul(text) }
);

checked_text!(
    /// The value of an environment variable.
    VariableValue(String),
    without_nul
);

checked_text!(
    /// What a branch starts from: the name of a branch, a tag or a commit, and no expression. git says whether there is one; since it
    /// is asked before anybody has accepted the file, nothing reaches it that could mean more than a name, such as a refspec.
    Revision(String),
    |text| {
        let is_none = text.is_empty() || is_no_name(&text) || text.split('/').any(|part| part.starts_with(['-', '+']));
        if is_none { Err(format!("{text:?} is not the name of a branch, a tag or a commit")) } else { Ok(text) }
    }
);

checked_text!(
    /// What names of branches begin with. git has the last word on the whole name.
    BranchPrefix(String),
    |text| {
        if text.starts_with(['/', '-', '.']) || is_no_name(&text) {
            return Err(format!("{text:?} cannot be the beginning of a branch's name"));
        }
        Ok(text)
    }
);

checked_text!(
    /// A file or directory in a checkout.
    InnerPath(PathBuf),
    |text| inner_path(Path::new(&text)).map_err(|why| format!("{text:?} {why}"))
);

checked_text!(
    /// A pattern of a rule.
    Pattern(String),
    |text| if text.trim().is_empty() { Err("the pattern is empty".to_owned()) } else { without_nul(text) }
);

checked_text!(
    /// Why a rule decides as it does: an agent is told.
    Reason(String),
    |text| Decision::check_reason(&text).map(|()| text)
);

/// Whether git would not allow this in the name of a reference, wherever it stands.
fn is_no_name(text: &str) -> bool {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    text.contains(is_bad) || ["..", "//", "@{", "/."].iter().any(|bad| text.contains(bad))
}

fn without_nul(text: String) -> Result<String, String> {
    if text.contains('\0') { Err("it holds a NUL character".to_owned()) } else { Ok(text) }
}

/// Whether an environment variable may have this name.
pub(super) fn check_variable(name: &str) -> Result<(), String> {
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("{name:?} is not the name of a variable: use letters, digits and _"));
    }
    if name.starts_with("AO_") {
        return Err("variables that begin with AO_ are ao's own".to_owned());
    }
    Ok(())
}
