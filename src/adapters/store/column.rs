//! Single values as columns, and back. What cannot be read back is told as a cause, for [`StoreError::Corrupt`].

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use crate::domain::Timestamp;
use crate::domain::exit::Exit;
use crate::ports::store::StoreError;

/// A row being read. Every method names the column in its cause.
#[derive(Clone, Copy)]
pub(super) struct Columns<'r>(pub(super) &'r SqliteRow);

impl<'r> Columns<'r> {
    pub(super) fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(self, column: &str) -> Result<T, String> {
        self.0.try_get(column).map_err(|error| error.to_string())
    }

    /// A whole number that has no negative values.
    pub(super) fn number<T: TryFrom<i64>>(self, column: &str) -> Result<T, String> {
        let number: i64 = self.get(column)?;
        T::try_from(number).map_err(|_| format!("column {column} holds {number}, which is out of range"))
    }

    pub(super) fn optional_number<T: TryFrom<i64>>(self, column: &str) -> Result<Option<T>, String> {
        let number: Option<i64> = self.get(column)?;
        number.map(|_| self.number(column)).transpose()
    }

    pub(super) fn time(self, column: &str) -> Result<Timestamp, String> {
        let ms: i64 = self.get(column)?;
        Timestamp::from_millisecond(ms).map_err(|error| format!("column {column}: {error}"))
    }

    pub(super) fn optional_time(self, column: &str) -> Result<Option<Timestamp>, String> {
        let ms: Option<i64> = self.get(column)?;
        ms.map(|_| self.time(column)).transpose()
    }

    /// An identifier, or a word of an enumeration.
    pub(super) fn word<T: for<'w> Deserialize<'w>>(self, column: &str) -> Result<T, String> {
        let text: &str = self.get(column)?;
        let word: StrDeserializer<'_, WordError> = text.into_deserializer();
        T::deserialize(word).map_err(|error| format!("column {column}: {error}"))
    }

    pub(super) fn optional_word<T: for<'w> Deserialize<'w>>(self, column: &str) -> Result<Option<T>, String> {
        let text: Option<&str> = self.get(column)?;
        text.map(|_| self.word(column)).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(self, column: &str) -> Result<T, String> {
        let text: &str = self.get(column)?;
        serde_json::from_str(text).map_err(|error| format!("column {column}: {error}"))
    }

    pub(super) fn optional_json<T: DeserializeOwned>(self, column: &str) -> Result<Option<T>, String> {
        let text: Option<&str> = self.get(column)?;
        text.map(|_| self.json(column)).transpose()
    }

    pub(super) fn exit(self, column: &str) -> Result<Option<Exit>, String> {
        let Some(text) = self.get::<Option<&str>>(column)? else { return Ok(None) };
        exit_from(text).map(Some).ok_or_else(|| format!("column {column} holds {text:?}"))
    }
}

/// `code:3`, `signal:9` or `unknown`.
pub(super) fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("code:{code}"),
        Exit::Signal(signal) => format!("signal:{signal}"),
        Exit::Unknown => "unknown".to_owned(),
    }
}

fn exit_from(text: &str) -> Option<Exit> {
    match text.split_once(':') {
        Some(("code", code)) => code.parse().ok().map(Exit::Code),
        Some(("signal", signal)) => signal.parse().ok().map(Exit::Signal),
        None if text == "unknown" => Some(Exit::Unknown),
        _ => None,
    }
}

/// A path as text: what `--json` prints has to be text too, so one that is not UTF-8 is refused here already.
pub(super) fn path_text<'p>(path: &'p Path, action: &'static str) -> Result<&'p str, StoreError> {
    path.to_str()
        .ok_or_else(|| StoreError::Failed { action, cause: format!("the path {} is not UTF-8", path.display()) })
}

pub(super) fn json_text(value: &impl Serialize, action: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed { action, cause: error.to_string() })
}

/// SQLite's integers are signed.
pub(super) fn integer(number: u64, action: &'static str) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|error| StoreError::Failed { action, cause: format!("{number}: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_survive_as_text_and_nonsense_is_no_exit() {
        for exit in [Exit::Code(0), Exit::Code(-1), Exit::Code(255), Exit::Signal(9), Exit::Unknown] {
            assert_eq!(exit_from(&exit_text(exit)), Some(exit));
        }
        for text in ["", "code", "code:", "code:x", "signal", "exited:3", "unknown:1"] {
            assert_eq!(exit_from(text), None, "{text:?}");
        }
    }
}
