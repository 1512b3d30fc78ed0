//! Every path a source file names, as absolute as the file alone can tell.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item};

/// The paths named in a file outside its tests. Those that start with `crate`, `$crate`, `self` or `super` come back as
/// `crate::…`; the others as they are written. `module` is the file's own, for example `["adapters", "store"]`.
pub(crate) fn paths_in(source: &str, module: &[String]) -> Vec<Vec<String>> {
    let file = syn::parse_file(source).expect("the source parses");
    let mut found = Vec::new();
    walk_items(file.items, module, &mut found);
    found
}

fn walk_items(items: Vec<Item>, module: &[String], found: &mut Vec<Vec<String>>) {
    for mut item in items {
        if attributes(&mut item).is_some_and(|list| list.iter().any(is_test_only)) {
            continue;
        }
        if let Item::Mod(inner) = item {
            let mut module = module.to_vec();
            module.push(inner.ident.to_string());
            walk_items(inner.content.map(|(_, items)| items).unwrap_or_default(), &module, found);
        } else {
            let start = found.len();
            walk_tokens(item.to_token_stream(), &[], found);
            for path in &mut found[start..] {
                *path = absolute(path, module);
            }
        }
    }
}

/// The files that this one (given relative to the repository) declares as modules for its tests only.
pub(crate) fn test_files(path: &str, source: &str) -> Vec<String> {
    let (directory, name) = path.rsplit_once('/').expect("a path below the repository");
    let inner = match name {
        "mod.rs" | "lib.rs" | "main.rs" => directory.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    let mut found = Vec::new();
    for item in syn::parse_file(source).expect("the source parses").items {
        let Item::Mod(module) = item else { continue };
        if module.content.is_some() || !module.attrs.iter().any(is_test_only) {
            continue;
        }
        if let Some(named) = module.attrs.iter().find_map(path_attribute) {
            found.push(format!("{directory}/{named}"));
        } else {
            found.push(format!("{inner}/{}.rs", module.ident));
            found.push(format!("{inner}/{}/mod.rs", module.ident));
        }
    }
    found
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value else { return None };
    pair.path.is_ident("path").then(|| text.value())
}

fn is_test_only(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]"
}

fn attributes(item: &mut Item) -> Option<&mut Vec<Attribute>> {
    Some(match item {
        Item::Const(item) => &mut item.attrs,
        Item::Enum(item) => &mut item.attrs,
        Item::Fn(item) => &mut item.attrs,
        Item::Impl(item) => &mut item.attrs,
        Item::Macro(item) => &mut item.attrs,
        Item::Mod(item) => &mut item.attrs,
        Item::Static(item) => &mut item.attrs,
        Item::Struct(item) => &mut item.attrs,
        Item::Trait(item) => &mut item.attrs,
        Item::Type(item) => &mut item.attrs,
        Item::Use(item) => &mut item.attrs,
        _ => return None,
    })
}

/// Works on tokens rather than on syntax, because a path inside a macro's arguments is only tokens.
fn walk_tokens(tokens: TokenStream, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut path: Vec<String> = prefix.to_vec();
    let mut index = 0;
    // Whether the last thing seen was `::`, or a group's opening with a prefix before it.
    let mut joined = !prefix.is_empty();
    while let Some(token) = tokens.get(index) {
        match token {
            TokenTree::Ident(ident) => {
                if !joined {
                    finish(&mut path, &[], found);
                }
                path.push(ident.to_string());
                joined = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && is_colon(tokens.get(index + 1)) => {
                joined = true;
                index += 1;
            }
            // `use a::*` names `a` itself, and is kept as such.
            TokenTree::Punct(punct) if punct.as_char() == '*' && joined => {
                path.push("*".to_owned());
                joined = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == '!' && !path.is_empty() && !joined => {
                if let Some(last) = path.last_mut() {
                    last.push('!');
                }
                finish(&mut path, prefix, found);
                joined = !prefix.is_empty();
            }
            // `pub(in …)` says who may know this, not what this knows.
            TokenTree::Group(group) if path.last().is_some_and(|last| last == "pub") && begins_with_in(group) => {}
            TokenTree::Group(group) => {
                let is_use_group = joined && !path.is_empty() && group.delimiter() == Delimiter::Brace;
                if is_use_group {
                    walk_tokens(group.stream(), &path, found);
                    path.clear();
                } else {
                    finish(&mut path, &[], found);
                    walk_tokens(group.stream(), &[], found);
                }
                joined = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                finish(&mut path, prefix, found);
                joined = !prefix.is_empty();
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                finish(&mut path, &[], found);
                joined = false;
            }
        }
        index += 1;
    }
    if path.len() > prefix.len() {
        found.push(path);
    }
}

fn begins_with_in(group: &proc_macro2::Group) -> bool {
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(first)) if first == "in")
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

fn finish(path: &mut Vec<String>, next: &[String], found: &mut Vec<Vec<String>>) {
    let done = std::mem::replace(path, next.to_vec());
    if !done.is_empty() && done != next {
        found.push(done);
    }
}

fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let with_module = |module: &[String], rest: &[String]| {
        let mut whole = vec!["crate".to_owned()];
        whole.extend(module.iter().cloned());
        whole.extend(rest.iter().cloned());
        whole
    };
    match path.first().map(String::as_str) {
        Some("self") if path.len() > 1 => absolute_from(&path[1..], module, with_module),
        Some("super") => absolute_from(path, module, with_module),
        _ => path.to_vec(),
    }
}

fn absolute_from(
    path: &[String],
    module: &[String],
    with_module: impl Fn(&[String], &[String]) -> Vec<String>,
) -> Vec<String> {
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    with_module(&module[..module.len().saturating_sub(ups)], &path[ups..])
}
