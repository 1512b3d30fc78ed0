//! What is written about the API, compared with the API: the OpenAPI document, the table of codes, and the codes that the sources name.
//!
//! After a change that is meant: `INSTA_UPDATE=always scripts/test --test api_document`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reads its environment, and may panic"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ao::adapters::http::{codes, document};
use serde_json::Value;

const DOCUMENT: &str = "docs/openapi.json";
const ABOUT: &str = "docs/http.md";
const TABLE: [&str; 2] = ["<!-- codes: made from src/adapters/http/codes.rs -->\n", "<!-- end of codes -->"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Insists that a file is as it should be, or makes it so when that was asked for.
#[track_caller]
fn is_kept(file: &str, kept: &str, now: &str) {
    if kept == now {
        return;
    }
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        fs::write(root().join(file), now).unwrap();
        return;
    }
    let line = kept.lines().zip(now.lines()).position(|(kept, now)| kept != now).unwrap_or(0);
    let shown = |text: &str| text.lines().nth(line).unwrap_or_default().to_owned();
    panic!(
        "{file} is not what the API is, from line {}:\n  kept: {}\n  now:  {}\nif that is meant: INSTA_UPDATE=always scripts/test --test api_document",
        line + 1,
        shown(kept),
        shown(now)
    );
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let kept = fs::read_to_string(root().join(DOCUMENT)).unwrap_or_default();
    is_kept(DOCUMENT, &kept, &document::as_json().unwrap());
}

#[test]
fn the_table_of_codes_in_the_documentation_is_the_one_in_the_code() {
    let kept = fs::read_to_string(root().join(ABOUT)).unwrap();
    let [begin, end] = TABLE;
    let (before, rest) = kept.split_once(begin).expect("the place of the table");
    let (_, after) = rest.split_once(end).expect("the end of the table");
    let now = format!("{before}{begin}{}{end}{after}", codes::as_markdown());
    is_kept(ABOUT, &kept, &now);
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The texts of a source that look like codes, and the kinds of errors that are made with one: `ErrorKind::X, "code"`.
fn texts_and_errors(source: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    let file: syn::File = syn::parse_file(source).unwrap();
    let (mut texts, mut errors) = (BTreeSet::new(), Vec::new());
    walk(quote::ToTokens::to_token_stream(&file), &mut texts, &mut errors);
    (texts, errors)
}

fn walk(stream: proc_macro2::TokenStream, texts: &mut BTreeSet<String>, errors: &mut Vec<(String, String)>) {
    use proc_macro2::TokenTree::{Group, Ident, Literal, Punct};
    let tokens: Vec<proc_macro2::TokenTree> = stream.into_iter().collect();
    let text = |token: &proc_macro2::TokenTree| match token {
        Literal(literal) => {
            let literal = literal.to_string();
            Some(literal.strip_prefix('"')?.strip_suffix('"')?.to_owned())
        }
        _ => None,
    };
    for (index, token) in tokens.iter().enumerate() {
        if let Group(group) = token {
            walk(group.stream(), texts, errors);
        }
        let Some(word) = text(token) else { continue };
        // `ErrorKind :: Kind , "code"`, or with the fields of the kind between.
        let mut before = tokens[..index].iter().rev();
        let is_comma = matches!(before.next(), Some(Punct(punct)) if punct.as_char() == ',');
        let mut rest = before.skip_while(|token| matches!(token, Group(_)));
        if let (true, Some(Ident(kind))) = (is_comma, rest.next())
            && let (Some(Punct(_)), Some(Punct(_)), Some(Ident(owner))) = (rest.next(), rest.next(), rest.next())
            && owner == "ErrorKind"
            // Others have such kinds too, with sentences.
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            errors.push((kind.to_string(), word.clone()));
        }
        texts.insert(word);
    }
}

fn status_of(kind: &str) -> u16 {
    match kind {
        "Invalid" => 400,
        "NotFound" => 404,
        "Refused" => 409,
        "Gone" => 410,
        "Failed" => 422,
        "Internal" => 500,
        other => panic!("no kind of error {other}"),
    }
}

#[test]
fn the_table_has_the_codes_that_the_sources_name_and_no_other() {
    let (mut texts, mut errors) = (BTreeSet::new(), Vec::new());
    for file in rust_files(&root().join("src")) {
        if file.ends_with("http/codes.rs") {
            continue;
        }
        let (some_texts, some_errors) = texts_and_errors(&fs::read_to_string(&file).unwrap());
        texts.extend(some_texts);
        errors.extend(some_errors);
    }
    assert!(errors.len() > 50, "the errors were not found");
    for (kind, name) in &errors {
        let code = codes::find(name).unwrap_or_else(|| panic!("the code {name} is not in src/adapters/http/codes.rs"));
        assert_eq!(code.status, status_of(kind), "the status of {name}");
    }
    for code in codes::CODES {
        assert!(code.name == codes::INTERNAL || texts.contains(code.name), "nothing has the code {}", code.name);
    }
}

#[test]
fn errors_are_found_in_sources_however_they_are_made() {
    let source = r#"fn f() { AppError::new(ErrorKind::Refused, "a", x); let y = (ErrorKind::Gone { oldest: 1 }, "b"); g("c", "d"); }"#;
    let (texts, errors) = texts_and_errors(source);
    assert_eq!(errors, [("Refused".to_owned(), "a".to_owned()), ("Gone".to_owned(), "b".to_owned())]);
    assert!(texts.contains("d"));
}

#[test]
fn every_operation_of_the_document_says_what_it_is_and_how_it_is_refused() {
    let document: Value = serde_json::from_str(&document::as_json().unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "paths are missing");
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{name} says nothing");
            for status in ["400", "401", "403", "413", "500"] {
                assert!(operation["responses"].get(status).is_some(), "{name} has no {status}");
            }
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let answer = resolved(&document, answer);
                assert!(answer["headers"].get("X-Request-Id").is_some(), "{name} {status} has no id");
            }
        }
    }
}

/// What no operation is answered with.
const OF_NO_OPERATION: [&str; 11] = [
    // There is no operation.
    "method_not_allowed",
    "no_such_path",
    // It ends a stream.
    "too_slow",
    // The cause of a session's end, or of what became of a message or a report, on record or in the log.
    "agent_exited",
    "branch_in_use",
    "inbox_refused",
    "messenger",
    "no_report",
    "setup_failed",
    "setup_timed_out",
    "terminal_failed",
];

/// What stands there, or what that refers to.
fn resolved<'a>(document: &'a Value, there: &'a Value) -> &'a Value {
    there["$ref"].as_str().map_or(there, |name| document.pointer(name.trim_start_matches('#')).unwrap())
}

/// The codes of a refusal, as the document has them.
fn codes_in(refusal: &Value) -> Vec<&str> {
    let schema = &refusal["content"]["application/json"]["schema"]["allOf"][1];
    let names = schema["properties"]["error"]["properties"]["code"]["enum"].as_array();
    names.into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn every_code_is_listed_with_its_status_where_an_operation_may_be_refused_with_it() {
    let document: Value = serde_json::from_str(&document::as_json().unwrap()).unwrap();
    let items = document["paths"].as_object().unwrap().values();
    let mut listed = BTreeSet::new();
    for operation in items.flat_map(|item| item.as_object().unwrap().values()) {
        for (status, refusal) in operation["responses"].as_object().unwrap() {
            let names = codes_in(resolved(&document, refusal));
            assert_eq!(names.is_empty(), status.as_str() < "400", "{}: {status}", operation["operationId"]);
            assert!(names.iter().all(|name| codes::find(name).unwrap().status.to_string() == *status), "{names:?}");
            listed.extend(names.into_iter().map(ToOwned::to_owned));
        }
    }
    let of_none: BTreeSet<&str> =
        codes::CODES.iter().map(|code| code.name).filter(|name| !listed.contains(*name)).collect();
    assert_eq!(of_none, BTreeSet::from(OF_NO_OPERATION));
}
