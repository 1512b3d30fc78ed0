//! Mutations of documents as a whole. Most bytes that libFuzzer changes make a document none at all, and then nothing but its grammar is tried:
//! what stands in a field, and what follows from that, is rarely reached.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Value, json};

/// Changes a JSON document after so many lines, or any byte.
pub fn json(data: &mut [u8], size: usize, max_size: usize, seed: u32, lines: usize) -> usize {
    let document = data[..size].split_inclusive(|byte| *byte == b'\n').take(lines).map(<[u8]>::len).sum();
    change(
        data,
        (document, size, max_size),
        seed,
        |text| serde_json::from_slice(text).ok(),
        |value| Some(value.to_string()),
    )
}

/// Changes a TOML document, or any byte.
pub fn toml(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let read = |text: &[u8]| toml::from_str(std::str::from_utf8(text).ok()?).ok();
    change(data, (0, size, max_size), seed, read, |value| toml::to_string(value).ok())
}

fn change(
    data: &mut [u8],
    (document, size, max_size): (usize, usize, usize),
    seed: u32,
    read: impl Fn(&[u8]) -> Option<Value>,
    write: impl Fn(&Value) -> Option<String>,
) -> usize {
    let mut dice = Dice(u64::from(seed) + 1);
    let changed = || {
        let mut value = read(data.get(document..size)?)?;
        for _ in 0..=dice.of(3) {
            change_one(&mut value, &mut dice);
        }
        write(&value).filter(|text| document + text.len() <= max_size)
    };
    // A part of the time only, for what is no document has to be tried as well.
    match (seed % 3 != 0).then(changed).flatten() {
        Some(text) => {
            data[document..document + text.len()].copy_from_slice(text.as_bytes());
            document + text.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    /// One below `end`.
    fn of(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }
}

/// Changes one part of a document, at any depth.
fn change_one(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Array(list) if !list.is_empty() && dice.of(4) > 0 => {
            let at = dice.of(list.len());
            match dice.of(6) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => change_one(&mut list[at], dice),
            }
        }
        Value::Object(fields) if !fields.is_empty() && dice.of(8) > 0 => {
            let at = dice.of(fields.len());
            let Some(name) = fields.keys().nth(at).cloned() else { return };
            match dice.of(12) {
                0 => drop(fields.remove(&name)),
                1 => {
                    if let Some(field) = fields.remove(&name) {
                        fields.insert(text(&name, dice), field);
                    }
                }
                _ => change_one(&mut fields[&name], dice),
            }
        }
        Value::String(old) if dice.of(4) > 0 => *value = text(old, dice).into(),
        Value::Bool(old) if dice.of(4) > 0 => *value = (!*old).into(),
        Value::Number(old) if dice.of(4) > 0 => {
            let old = old.as_i64().unwrap_or(0);
            let near = [old.wrapping_add(1), old.wrapping_sub(1), old.wrapping_mul(100), old.wrapping_neg()];
            let far = [0, 1, 1 << 31, 1 << 32, i64::MAX, i64::MIN];
            *value = near.iter().chain(&far).nth(dice.of(10)).copied().into();
        }
        _ => {
            let deep = (0..dice.of(130)).fold(json!(1), |inner, _| json!([inner]));
            let others =
                [json!(true), json!(-1), json!(1.5e300), json!(""), json!([]), json!({}), json!([value.take()]), deep];
            *value = others[dice.of(others.len())].clone();
        }
    }
}

/// A text that differs in one place: by what terminals, shells, paths and patterns take for something else, or by length.
fn text(old: &str, dice: &mut Dice) -> String {
    const PARTS: [&str; 20] = [
        "\0",
        "\u{1}",
        "\n",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{9b}",
        "\u{202e}",
        "Σ",
        "İ",
        " ",
        "/",
        "..",
        "/../",
        "-",
        "*",
        ";",
        "$(",
        "\"",
        "=",
        ".git",
    ];
    let at = (0..=old.len()).filter(|at| old.is_char_boundary(*at)).nth(dice.of(old.chars().count() + 1)).unwrap_or(0);
    let (head, tail) = old.split_at(at);
    match dice.of(8) {
        0 => head.to_owned(),
        1 => tail.to_owned(),
        2 => old.to_uppercase(),
        3 => head.repeat(dice.of(40)) + tail,
        _ => format!("{head}{}{tail}", PARTS[dice.of(PARTS.len())]),
    }
}
