//! The items of a crate that others can name, as lines of text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, ItemMod, TraitItem, Type, Visibility};

/// Every public item below these modules of the crate in `src`, sorted, and what its root says of them.
pub(crate) fn public_items(src: &Path, modules: &[&str]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for module in modules {
        let file = module_file(src, module);
        walk(parse(&file), &format!("ao::{module}"), Some(&src.join(module)), &mut found);
    }
    let root = parse(&src.join("lib.rs"));
    let is_looked_into =
        |item: &Item| !matches!(item, Item::Mod(module) if !modules.iter().any(|name| module.ident == name));
    for item in root.into_iter().filter(is_looked_into) {
        match item {
            Item::Mod(module) => found.extend(declaration(&module, "ao")),
            item => walk(vec![item], "ao", None, &mut found),
        }
    }
    found.into_iter().collect()
}

/// What others can name of these types of one module, given as its path below `src`.
pub(crate) fn public_items_of_types(src: &Path, module: &str, types: &[&str]) -> Vec<String> {
    let path = format!("ao::{}", module.replace('/', "::"));
    let mut found = BTreeSet::new();
    walk(parse(&module_file(src, module)), &path, None, &mut found);
    let is_of = |item: &String, name: &str| {
        item.strip_prefix(&format!("{path}::{name}")).is_some_and(|rest| rest.starts_with(':'))
    };
    for name in types {
        assert!(found.iter().any(|item| is_of(item, name)), "there is no {path}::{name}");
    }
    found.into_iter().filter(|item| types.iter().any(|name| is_of(item, name))).collect()
}

/// Those of one source text.
pub(crate) fn public_items_of(source: &str, path: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    walk(syn::parse_file(source).expect("the source parses").items, path, None, &mut found);
    found.into_iter().collect()
}

fn parse(file: &Path) -> Vec<Item> {
    let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&source).expect("the source parses").items
}

/// The file of a module that is declared in this directory.
fn module_file(directory: &Path, name: &str) -> PathBuf {
    let file = directory.join(format!("{name}.rs"));
    if file.exists() { file } else { directory.join(name).join("mod.rs") }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn text(tokens: impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| text(attribute).replace(' ', "") == "#[cfg(test)]")
}

/// Under which features it is there, and whether it may get more: what stands at the end of its line.
fn marks(attributes: &[Attribute]) -> String {
    let marks = attributes
        .iter()
        .filter(|attribute| ["cfg", "non_exhaustive"].iter().any(|name| attribute.path().is_ident(name)));
    marks.fold(String::new(), |all, mark| all + ", " + &text(mark).replace("# [", "#["))
}

/// The line of a public module.
fn declaration(module: &ItemMod, path: &str) -> Option<String> {
    is_public(&module.vis).then(|| format!("{path}::{}: mod{}", module.ident, marks(&module.attrs)))
}

fn derives(attributes: &[Attribute]) -> String {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    derives.fold(String::new(), |all, derive| all + &text(derive).replace("# [", "#[") + " ")
}

/// Adds what these items of a module show. `directory` is where files of modules in it lie.
fn walk(items: Vec<Item>, path: &str, directory: Option<&Path>, found: &mut BTreeSet<String>) {
    let declared: Declared = items.iter().filter_map(declared_type).collect();
    for item in items {
        match item {
            Item::Mod(module) => walk_module(module, path, directory, found),
            Item::Use(import) if is_public(&import.vis) => {
                found.insert(format!("{path}: pub use {}{}", text(import.tree), marks(&import.attrs)));
            }
            Item::Const(item) if is_public(&item.vis) => {
                let value = text(&item.expr);
                found.insert(format!(
                    "{path}::{}: const {} = {value}{}",
                    item.ident,
                    text(item.ty),
                    marks(&item.attrs)
                ));
            }
            Item::Type(item) if is_public(&item.vis) => {
                found.insert(format!("{path}::{}: type {}", item.ident, text(item.ty)));
            }
            Item::Fn(item) if is_public(&item.vis) => {
                found.insert(format!("{path}::{}: {}{}", item.sig.ident, text(&item.sig), marks(&item.attrs)));
            }
            Item::Struct(item) if is_public(&item.vis) => {
                let has_private = item.fields.iter().any(|field| !is_public(&field.vis));
                let rest = if has_private { ", with private fields" } else { "" };
                let path = format!("{path}::{}", item.ident);
                let marks = marks(&item.attrs);
                found.insert(format!(
                    "{path}: {}struct{}{rest}{marks}",
                    derives(&item.attrs),
                    generics(&item.generics)
                ));
                for (index, field) in item.fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis)) {
                    let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
                    found.insert(format!("{path}::{name}: {}", text(&field.ty)));
                }
            }
            Item::Enum(item) if is_public(&item.vis) => {
                let path = format!("{path}::{}", item.ident);
                let more = marks(&item.attrs);
                found.insert(format!("{path}: {}enum{}{more}", derives(&item.attrs), generics(&item.generics)));
                for variant in &item.variants {
                    let fields = bare(&variant.fields);
                    found.insert(format!("{path}::{}{fields}{}", variant.ident, marks(&variant.attrs)));
                }
            }
            Item::Trait(item) if is_public(&item.vis) => walk_trait(&item, path, found),
            Item::Impl(item) => walk_impl(&item, path, &declared, found),
            // Types of ids are declared by a macro: their names are in what it is given.
            Item::Macro(item) if item.ident.is_none() => {
                found.insert(format!("{path}: {}", undocumented(item.mac.tokens.clone(), &item.mac.path)));
            }
            Item::Macro(item) if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) => {
                found.insert(format!("ao::{}!", item.ident.expect("it has a name")));
            }
            _ => {}
        }
    }
}

fn walk_module(module: ItemMod, path: &str, directory: Option<&Path>, found: &mut BTreeSet<String>) {
    // A private one too: what is `pub` there is exported by another, or the compiler's lint `unreachable_pub` would say so.
    if is_test_only(&module.attrs) {
        return;
    }
    found.extend(declaration(&module, path));
    let path = format!("{path}::{}", module.ident);
    let inner = directory.map(|directory| directory.join(module.ident.to_string()));
    match (module.content, directory) {
        (Some((_, items)), _) => walk(items, &path, inner.as_deref(), found),
        (None, Some(directory)) => {
            walk(parse(&module_file(directory, &module.ident.to_string())), &path, inner.as_deref(), found);
        }
        (None, None) => {}
    }
}

fn walk_trait(item: &syn::ItemTrait, path: &str, found: &mut BTreeSet<String>) {
    let bounds = if item.supertraits.is_empty() { String::new() } else { format!(" : {}", text(&item.supertraits)) };
    found.insert(format!("{path}::{0}: trait {0}{1}{bounds}", item.ident, generics(&item.generics)));
    for part in &item.items {
        let line = match part {
            TraitItem::Fn(function) => {
                let has_default = if function.default.is_some() { ", with a default" } else { "" };
                format!("{}: {}{has_default}{}", function.sig.ident, text(&function.sig), marks(&function.attrs))
            }
            TraitItem::Const(part) => format!("{}: const {}", part.ident, text(&part.ty)),
            TraitItem::Type(part) => format!("{}: type", part.ident),
            _ => continue,
        };
        found.insert(format!("{path}::{}::{line}", item.ident));
    }
}

/// The types that a module declares, and whether they are public.
type Declared = BTreeMap<String, bool>;

fn declared_type(item: &Item) -> Option<(String, bool)> {
    match item {
        Item::Struct(item) => Some((item.ident.to_string(), is_public(&item.vis))),
        Item::Enum(item) => Some((item.ident.to_string(), is_public(&item.vis))),
        _ => None,
    }
}

/// Public methods of types that are public or another module's (`Application` has its use cases in a file each), and traits of public ones.
fn walk_impl(item: &ItemImpl, path: &str, declared: &Declared, found: &mut BTreeSet<String>) {
    let Type::Path(named) = &*item.self_ty else { return };
    let Some(name) = named.path.segments.last().map(|segment| segment.ident.to_string()) else { return };
    let is_public_here = declared.get(&name).copied();
    if let Some((_, of, _)) = &item.trait_ {
        if is_public_here == Some(true) {
            found.insert(format!("{path}::{name}: impl {}", text(of)));
        }
        return;
    }
    if is_public_here == Some(false) {
        return;
    }
    for part in &item.items {
        let line = match part {
            ImplItem::Fn(function) if is_public(&function.vis) => {
                // How it takes itself apart is its own affair.
                let signature = text(&function.sig).replacen("(mut self", "(self", 1);
                format!("::{}: {signature}{}", function.sig.ident, marks(&function.attrs))
            }
            ImplItem::Macro(part) => format!(": {}", undocumented(part.mac.tokens.clone(), &part.mac.path)),
            ImplItem::Const(part) if is_public(&part.vis) => {
                format!("::{}: const {} = {}", part.ident, text(&part.ty), text(&part.expr))
            }
            _ => continue,
        };
        found.insert(format!("{path}::{name}{line}"));
    }
}

fn generics(generics: &syn::Generics) -> String {
    if generics.params.is_empty() { String::new() } else { format!(" {}", text(generics)) }
}

/// A variant's fields, without what is said of them.
fn bare(fields: &Fields) -> String {
    let mut fields = fields.clone();
    for field in &mut fields {
        field.attrs.clear();
    }
    match &fields {
        Fields::Unit => String::new(),
        fields => format!(" {}", text(fields).replace(" , }", " }")),
    }
}

/// A macro's call without its comments.
fn undocumented(tokens: proc_macro2::TokenStream, name: &syn::Path) -> String {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_doc = matches!(&token, proc_macro2::TokenTree::Punct(punct) if punct.as_char() == '#')
            && matches!(tokens.peek(), Some(proc_macro2::TokenTree::Group(group)) if group.to_string().contains("doc"));
        if is_doc {
            tokens.next();
        } else {
            kept.push(token.to_string());
        }
    }
    format!("{}! {}", text(name), kept.join(" "))
}
