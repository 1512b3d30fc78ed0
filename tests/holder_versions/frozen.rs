//! The frozen files. Nothing here knows how today's code writes a frame or a record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ao::domain::session::ProcessIdentity;
use ao::platform::process;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/holder-v1").join(name)
}

/// One frame by its name, byte for byte.
pub(crate) fn frame(name: &str) -> Vec<u8> {
    frames().remove(name).unwrap_or_else(|| panic!("no frame {name}"))
}

/// All frames: a line each, the name and the bytes, of which those that are not printable are escaped.
pub(crate) fn frames() -> BTreeMap<String, Vec<u8>> {
    let text = std::fs::read_to_string(path("frames.txt")).unwrap();
    let frame = |line: &str| {
        let (name, bytes) = line.split_once(' ').unwrap();
        (name.to_owned(), unescape(bytes))
    };
    text.lines().map(frame).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'\\' => bytes.push(b'\\'),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => panic!("\\{} is no escape", char::from(other)),
        }
    }
    bytes
}

/// One record, with these processes in the places of those of its time.
pub(crate) fn record(name: &str, launcher: ProcessIdentity, holder: ProcessIdentity, agent: ProcessIdentity) -> String {
    let mut text = std::fs::read_to_string(path(name)).unwrap().replace("@BOOT@", &process::boot_id().unwrap());
    for (who, process) in [("LAUNCHER", launcher), ("HOLDER", holder), ("AGENT", agent)] {
        text = text.replace(&format!("@{who}_PID@"), &process.pid.to_string());
        text = text.replace(&format!("@{who}_TICKS@"), &process.start_ticks.to_string());
    }
    text
}
