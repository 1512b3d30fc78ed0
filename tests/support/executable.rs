//! Programs that a test makes and then runs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes an executable file, by a child process: a test on another thread may fork while this process holds a file open for
/// writing, and until that fork runs its own program, running the file fails with "Text file busy".
#[allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a test's own helper program; some targets allow this as a whole"
)]
pub(crate) fn write(path: impl AsRef<Path>, text: impl AsRef<str>) {
    let path = path.as_ref();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    child.stdin.take().expect("it was piped").write_all(text.as_ref().as_bytes()).expect("sh reads");
    assert!(child.wait().expect("sh ends").success(), "{} could not be written", path.display());
}
