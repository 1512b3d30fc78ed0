//! A runtime whose terminals are made up.
#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ao::domain::exit::Exit;
use ao::domain::id::{RuntimeKind, SessionId};
use ao::domain::session::ProcessIdentity;
use ao::ports::runtime::{LinesFrom, Liveness, Marks, NumberedLines, Runtime, RuntimeError, TerminalKey, TerminalSpec};
use async_trait::async_trait;

/// A runtime that answers what it is told to, and counts who asks.
pub struct Answers {
    kind: RuntimeKind,
    asked: Mutex<Vec<usize>>,
    answer: Mutex<Liveness>,
    /// The numbers of the lines its terminals have.
    lines: Mutex<std::ops::Range<u64>>,
}

impl Answers {
    pub fn new(kind: &str, answer: Liveness) -> Arc<Self> {
        let kind = RuntimeKind::new(kind).unwrap();
        Arc::new(Self { kind, asked: Mutex::default(), answer: Mutex::new(answer), lines: Mutex::new(0..0) })
    }

    pub fn answers(&self, answer: Liveness) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Its terminals have these lines.
    pub fn has_lines(&self, lines: std::ops::Range<u64>) {
        *self.lines.lock().unwrap() = lines;
    }

    /// For how many terminals each look asked, since this was asked last.
    pub fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Runtime for Answers {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        Ok(None)
    }

    async fn create(&self, _: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        unreachable!("nothing is spawned")
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        self.asked.lock().unwrap().push(keys.len());
        let answer = self.answer.lock().unwrap().clone();
        keys.iter().map(|key| (key.session.clone(), answer.clone())).collect()
    }

    async fn screen(&self, _: &TerminalKey) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn output(&self, _: &TerminalKey, _: usize) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn lines(&self, _: &TerminalKey, from: LinesFrom) -> Result<Option<NumberedLines>, RuntimeError> {
        const PAGE: u64 = 100;
        let lines = self.lines.lock().unwrap().clone();
        let from = match from {
            LinesFrom::Number(number) => number.min(lines.end),
            LinesFrom::Last(count) => lines.end.saturating_sub(count as u64),
        };
        let first = from.max(lines.start);
        let end = lines.end.min(first + PAGE);
        let texts = (first..end).map(|number| format!("line {number} {}", "x".repeat(2_000))).collect();
        Ok(Some(NumberedLines::new(first, texts, end, end == lines.end)))
    }

    async fn input(&self, _: &TerminalKey, _: &[u8]) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn remarks(&self, _: &TerminalKey) -> Vec<String> {
        Vec::new()
    }

    async fn has_launched(&self, _: &TerminalKey, _: &Marks) -> bool {
        false
    }

    async fn set_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn put_back(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn forget_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stop(&self, _: &TerminalKey, _: Duration) -> Result<Option<Exit>, RuntimeError> {
        Ok(None)
    }
}
