//! A terminal's lines by their numbers, read by the daemon: those that scrolled off from the disk, those on the screen from the holder.

use std::collections::VecDeque;
use std::path::Path;

use super::{PtyRuntime, SCREEN_FILE, client, kept_text, line_log};
use crate::adapters::runtime::launch;
use crate::platform::file;
use crate::ports::runtime::{LinesFrom, NumberedLines, RuntimeError, TerminalKey};

const ACTION: &str = "read the lines";

/// About how much is read at once, in bytes.
const PAGE_BYTES: usize = 256 * 1024;
/// The most that is given of all lines together, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

impl PtyRuntime {
    /// Lines from a number on; `None` of a terminal whose holder numbers none.
    pub(super) async fn numbered(
        &self,
        key: &TerminalKey,
        from: LinesFrom,
    ) -> Result<Option<NumberedLines>, RuntimeError> {
        if launch::LaunchSpec::read(&key.session_dir).map_err(|error| self.failed(ACTION, &error))?.is_none() {
            return Err(self.no_terminal(key));
        }
        let directory = launch::directory(&key.session_dir);
        if !line_log::exists(&directory) {
            return Ok(None);
        }
        let screen = self.ask_by(key, ACTION, async |socket| client::lines(socket).await).await?;
        let session_dir = key.session_dir.clone();
        let read = tokio::task::spawn_blocking(move || read(&session_dir, screen, from)).await;
        read.map_err(|error| self.failed(ACTION, &error))?.map(Some).map_err(|error| self.failed(ACTION, &error))
    }

    /// The last `lines` lines, of more than the model of a terminal has; `None` where none are numbered.
    pub(super) async fn kept_lines(&self, key: &TerminalKey, lines: usize) -> Result<Option<String>, RuntimeError> {
        let (mut kept, mut bytes, mut from) = (VecDeque::new(), 0, LinesFrom::Last(lines));
        loop {
            let Some(page) = self.numbered(key, from).await? else { return Ok(None) };
            from = LinesFrom::Number(page.first + page.lines.len() as u64);
            for line in page.lines {
                bytes += line.len() + 1;
                kept.push_back(line);
                // The last ones count.
                while (kept.len() > lines || bytes > MAX_BYTES)
                    && let Some(first) = kept.pop_front()
                {
                    bytes -= first.len() + 1;
                }
            }
            if page.is_last {
                return Ok(Some(Vec::from(kept).join("\n")));
            }
        }
    }
}

/// `screen` is what the holder said, of which there may be none any more.
fn read(session_dir: &Path, screen: Option<(u64, String)>, from: LinesFrom) -> std::io::Result<NumberedLines> {
    let directory = launch::directory(session_dir);
    let (settled, text) = if let Some(screen) = screen {
        screen
    } else {
        // Of a holder that was killed the screen is made again; else it is among those on disk.
        let is_complete = file::read_if_there(&directory.join(SCREEN_FILE))?.is_some();
        let text = if is_complete { String::new() } else { kept_text(session_dir, SCREEN_FILE)? };
        (line_log::end(&directory)?, text)
    };
    let shown: Vec<String> = text.lines().map(str::to_owned).collect();
    let from = match from {
        LinesFrom::Number(number) => number,
        LinesFrom::Last(lines) => (settled + shown.len() as u64).saturating_sub(lines as u64),
    };
    let page = line_log::read(&directory, from.min(settled), settled, PAGE_BYTES)?;
    if page.next() < settled {
        let next = page.next();
        return Ok(NumberedLines::new(page.first, page.lines, next, false));
    }
    let (first, mut lines) = (page.first, page.lines);
    lines.extend(shown);
    Ok(NumberedLines::new(first, lines, settled, true))
}
