//! The help of every command, as it looks on a terminal of 80 columns; and the manual pages and completions, as `make install` puts them.

use std::path::Path;
use std::process::Command;

use crate::sandbox::Sandbox;
use crate::snapshots;

#[tokio::test]
async fn every_help_is_as_its_snapshot_has_it() {
    let sandbox = Sandbox::new();
    let mut texts = Vec::new();
    for (path, _) in snapshots::commands() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let mut command = sandbox.command(&args);
        command.env("COLUMNS", "80");
        let help = sandbox.run(command).await.ok();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{path:?} would wrap: {line}");
        }
        let name = if path.is_empty() { "ao".to_owned() } else { path.join("-") };
        texts.push((name, help));
    }
    snapshots::compare("help", &texts);
}

/// Installs with `make`, as if it had made what is tested here.
fn install(sandbox: &Sandbox, variables: &[String]) {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "--old-file=dist", "install", concat!("DIST=", env!("CARGO_BIN_EXE_ao"))]);
    make.args(variables);
    make.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", &sandbox.env["PATH"]);
    let output = make.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).permissions().mode() & 0o777
}

#[tokio::test]
async fn make_install_puts_program_pages_and_completions_where_they_are_found() {
    let sandbox = Sandbox::new();
    install(&sandbox, &[format!("DESTDIR={}", sandbox.path("stage dir").display()), "PREFIX=/opt/ao".into()]);
    let root = sandbox.path("stage dir/opt/ao");
    assert_eq!(mode(&root.join("bin/ao")), 0o755);
    assert!(!root.join("bin/ao").is_symlink());
    for (path, _) in snapshots::commands() {
        let name = [&["ao".to_owned()], &path[..]].concat().join("-");
        let page = root.join(format!("share/man/man1/{name}.1"));
        assert_eq!(mode(&page), 0o644);
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(&format!(".TH {name} 1")) && text.contains(".SH EXAMPLES"), "{text}");
        // A page with a mistake in it is warned about, where there is a program that can tell.
        if let Ok(output) = Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(&page).output() {
            let warnings = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && warnings.is_empty(), "{name}: {warnings}");
        }
    }
    for (file, words) in [
        ("bash-completion/completions/ao", "complete -F _ao"),
        ("zsh/site-functions/_ao", "#compdef ao"),
        ("fish/vendor_completions.d/ao.fish", "complete -c ao"),
    ] {
        let file = root.join("share").join(file);
        assert_eq!(mode(&file), 0o644);
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.contains(words) && text.contains("permission-mode"), "{text}");
    }
}

#[tokio::test]
async fn a_directory_that_takes_no_pages_is_named() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("file"), "").unwrap();
    let directory = sandbox.path("file/man1");
    sandbox.ao(&["man", directory.to_str().unwrap()]).await.fails(1, &[directory.to_str().unwrap(), "hint: "]);
}
