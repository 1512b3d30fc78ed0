//! The two files zellij reads: ao's own configuration, so that nothing in the user's surprises an agent, and a layout of
//! exactly one pane.

use std::path::Path;

/// The configuration of every session ao makes. In this file rather than as arguments: with `attach … options`, 0.45.1
/// ignores `--show-release-notes false` and puts a plugin over the agent's pane.
///
/// No plugin is loaded, which brings a server from about 67 MB down to 22 MB. The user's key bindings are cleared, because
/// they take keys that agents use, and the default ones end the session with Ctrl-q; detaching is Ctrl-\ (on
/// terminals that tell keys by kitty's protocol; viewers of ao's have none of those). The scrollback, which
/// zellij keeps in memory, has as many lines as that of `pty`.
pub(super) const CONFIG: &str = r#"session_serialization false
disable_session_metadata true
show_startup_tips false
show_release_notes false
pane_frames false
scroll_buffer_size 5000
simplified_ui true
advanced_mouse_actions false
on_force_close "detach"
default_shell "/bin/sh"
web_server false
web_sharing "disabled"
keybinds clear-defaults=true {
    shared {
        bind "Ctrl \\" { Detach; }
    }
}
plugins {
}
load_plugins {
}
"#;

/// A layout of one pane that runs `program` with `args`, and goes away when that ends: a pane that stays offers to run
/// its command again. `None` when the path is not text.
pub(super) fn layout(program: &Path, args: &[&str]) -> Option<String> {
    let args: Vec<String> = args.iter().map(|arg| quote(arg)).collect();
    Some(format!(
        "layout {{\n    pane command={} close_on_exit=true borderless=true {{\n        args {}\n    }}\n}}\n",
        quote(program.to_str()?),
        args.join(" ")
    ))
}

/// A KDL string.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_quotes_and_any_letters_are_quoted() {
        let text = layout(Path::new("/o p t/ä\"o\\"), &["--dir", "/work/日本 \"x\"\n"]).unwrap();
        assert!(text.contains(r#"command="/o p t/ä\"o\\" "#), "{text}");
        assert!(text.contains(r#"args "--dir" "/work/日本 \"x\"\u{a}""#), "{text}");
    }

    #[test]
    fn a_program_whose_path_is_not_text_has_no_layout() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(layout(Path::new(std::ffi::OsStr::from_bytes(b"/\xff")), &[]), None);
    }
}
