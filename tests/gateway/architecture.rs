//! The arrows of the house: which module may know which. A compiler cannot refuse an arrow within one crate, so this
//! test does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From each top-level module to those it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("ports", &["domain"]),
    ("flows", &["ports", "domain"]),
    ("config", &["domain"]),
    ("telemetry", &[]),
    ("store", &["ports", "domain", "config"]),
    ("crypto", &["ports", "domain", "config"]),
    ("mail", &["ports", "domain", "config"]),
    ("web", &["flows", "domain", "telemetry"]),
    // The signer is a port that the proxy itself calls, once a request.
    ("proxy", &["web", "flows", "ports", "domain", "config", "telemetry"]),
    ("demo", &["crypto", "domain"]),
    // The composition root knows everyone but those who start it.
    (
        "app",
        &[
            "proxy",
            "web",
            "flows",
            "ports",
            "store",
            "crypto",
            "mail",
            "config",
            "telemetry",
            "domain",
        ],
    ),
    // The command line starts the gateway and, for `sekisho demo`, the demo's helpers; it speaks in the words of flows
    // and ports when it lists.
    (
        "cli",
        &[
            "app",
            "demo",
            "flows",
            "ports",
            "config",
            "telemetry",
            "domain",
            "crypto",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Names that belong to one module: nobody else may write them.
const OWNED: &[(&str, &[&str])] = &[
    ("pingora", &["proxy"]),
    ("sqlx", &["store"]),
    ("argon2::", &["crypto"]),
    // The sample web client verifies assertions as any upstream would, with its own eyes.
    ("jsonwebtoken", &["crypto", "demo"]),
    ("lettre", &["mail"]),
    ("clap", &["cli"]),
    ("minijinja", &["web", "mail", "demo"]),
    // Library code says what went wrong in types; the command line says it in sentences.
    ("anyhow", &["cli", "main"]),
];

/// What the pure domain must not know.
const IMPURE: &[&str] = &[
    "tokio",
    "axum",
    "http::",
    "hyper",
    "pingora",
    "sqlx",
    "std::fs",
    "std::net::Tcp",
    "std::thread",
    "reqwest",
    "async fn",
    "async_trait",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "getrandom",
    "std::env",
    "println!",
];

struct Source {
    path: PathBuf,
    module: String,
    /// Without comments, texts and the tests at its end.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
                let inside = path.strip_prefix(&root).unwrap();
                if inside.iter().any(|part| part == "tests") {
                    continue;
                }
                let module = inside
                    .iter()
                    .next()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .trim_end_matches(".rs")
                    .to_owned();
                let code = code_of(&fs::read_to_string(&path).unwrap());
                found.push(Source { path, module, code });
            }
        }
    }
    assert!(found.len() > 50, "the sources are there");
    found
}

/// The code of a file: tests may use anything, and comments and texts name what they like.
fn code_of(text: &str) -> String {
    let mut rest = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let mut code = String::new();
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => text_length(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_text_length(rest),
            // A quotation mark as a character does not begin a text.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\") => 4,
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = rest.get(skipped..).unwrap_or_default();
        }
    }
    code
}

/// The length of a text in quotation marks, with them.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// The length of a raw text, with its hashes; 0 when this is none.
fn raw_text_length(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
    let Some(inside) = rest[1 + hashes..].strip_prefix('"') else {
        return 0;
    };
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    2 + hashes + length
}

/// The top-level modules a piece of code names: `crate::x`, and each name of a `crate::{x, y}`.
fn named(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    for prefix in ["crate::", "sekisho::"] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut piece = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.insert(word(piece.trim()));
                            piece.clear();
                            continue;
                        }
                        _ => {}
                    }
                    piece.push(c);
                }
                found.insert(word(piece.trim()));
            } else {
                found.insert(word(rest));
            }
        }
    }
    found.retain(|name| !name.is_empty() && name.chars().next().is_some_and(char::is_lowercase));
    found
}

#[test]
fn no_arrow_goes_up() {
    let table: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(allowed) = table.get(source.module.as_str()) else {
            panic!(
                "{} is in no known module: give {} a line in the table",
                source.path.display(),
                source.module
            );
        };
        for name in named(&source.code) {
            if name != source.module && !allowed.contains(&name.as_str()) {
                wrong.push(format!(
                    "{} names {name}, which {} must not know",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_library_has_one_owner() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, owners) in OWNED {
            if !owners.contains(&source.module.as_str()) && uses(&source.code, name) {
                wrong.push(format!(
                    "{} names {name}, which belongs to {owners:?}",
                    source.path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_domain_is_pure() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().filter(|source| source.module == "domain") {
        for name in IMPURE {
            if uses(&source.code, name) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether code uses a name: as a word of its own, not as a part of another or of a module of ours.
fn uses(code: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let whole = !name.ends_with(char::is_alphanumeric) || !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        whole && !before.is_some_and(part_of_word)
    })
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} opens with a sentence",
            source.path.display()
        );
    }
}

#[test]
fn names_are_found_however_they_are_written() {
    let code = code_of(
        "use crate::domain::account::Account;\nuse crate::{flows::{A, B}, ports, web::C};\n// crate::store\nlet x = \"crate::mail\";\nsekisho::cli::run();\n#[cfg(test)]\nmod tests { use crate::proxy; }",
    );
    let found = named(&code);
    let wanted: BTreeSet<String> = ["domain", "flows", "ports", "web", "cli"].map(str::to_owned).into();
    assert_eq!(found, wanted);
    assert!(
        uses("use pingora::x", "pingora")
            && !uses("use crate::pingora_x", "pingora")
            && !uses("super::http::x", "http::")
    );
}
