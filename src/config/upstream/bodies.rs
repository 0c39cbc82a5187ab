//! How large the bodies of requests to the web client may be.

use serde_json::json;

use crate::config::keys::forms::{List, Text};
use crate::config::keys::{Slot, Walker, units};
use crate::domain::body::{BodyCap, BodyCaps, CapLine};
use crate::domain::pattern::Pattern;

const UNLIMITED: &str = "unlimited";

pub(super) fn walk(bodies: &mut BodyCaps, walker: &mut impl Walker) {
    walker.key(
        "max_body",
        "The largest body of a request to the web client, such as \"100 MiB\"; whoever sends more is answered 413. \
         \"unlimited\": any. Bodies are counted as they pass and never held back.",
        &Text {
            parse: parse_cap,
            print: |cap| print_cap(*cap),
            schema: json!({ "examples": [UNLIMITED, "100 MiB"] }),
        },
        Slot::Default(&mut bodies.usual),
    );
    walker.key(
        "max_body_paths",
        "Paths with another largest body: \"SIZE PATH\", of which the first that speaks of a path decides, such as \
         [\"4 GiB /uploads/*\", \"64 KiB /api/*\"]. Paths are written as in access.rules. Where a web client might read a path \
         in several ways, the smallest of their sizes counts.",
        &List {
            of: Text {
                parse: parse_line,
                print: print_line,
                schema: json!({ "examples": ["4 GiB /uploads/*", "unlimited /backup"] }),
            },
            least: 0,
        },
        Slot::Default(&mut bodies.lines),
    );
}

fn parse_cap(text: &str) -> Result<BodyCap, String> {
    if text == UNLIMITED {
        return Ok(BodyCap::Unlimited);
    }
    let bytes = units::parse_size(text).ok_or_else(|| {
        format!("{text:?} is not a size; write it with a unit, such as \"100 MiB\", or \"{UNLIMITED}\"")
    })?;
    Ok(BodyCap::Bytes(bytes))
}

/// As it is written.
pub(super) fn print_cap(cap: BodyCap) -> String {
    match cap {
        BodyCap::Bytes(bytes) => units::size(bytes),
        BodyCap::Unlimited => UNLIMITED.to_owned(),
    }
}

/// As it is written.
pub(super) fn print_line(line: &CapLine) -> String {
    format!("{} {}", print_cap(line.cap), line.path.as_str())
}

fn parse_line(text: &str) -> Result<CapLine, String> {
    let wrong = |why: String| format!("{text:?}: {why}");
    let (size, path) = text
        .find('/')
        .and_then(|slash| text.split_at_checked(slash))
        .filter(|(size, _)| size.ends_with(' '))
        .ok_or_else(|| wrong("a size and a path are expected, as in \"4 GiB /uploads/*\"".to_owned()))?;
    Ok(CapLine {
        cap: parse_cap(size.trim()).map_err(wrong)?,
        path: Pattern::parse(path).map_err(wrong)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_and_a_path_are_read_and_written_alike() {
        for text in ["4 GiB /uploads/*", "unlimited /backup", "0 B /read-only/*"] {
            let line = parse_line(text).unwrap();
            assert_eq!(print_line(&line), text);
        }
        assert_eq!(parse_line("1GiB  /up").unwrap().cap, BodyCap::Bytes(1 << 30));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (bad, reason) in [
            ("", "a size and a path"),
            ("4 GiB", "a size and a path"),
            ("/up", "a size and a path"),
            ("4 GiB/up", "a size and a path"),
            ("4 /up", "not a size"),
            ("4 bananas /up", "not a size"),
            ("4 GiB /Up", "plainly"),
            ("4 GiB /up*", "a star"),
        ] {
            let why = parse_line(bad).unwrap_err();
            assert!(why.contains(reason), "{bad:?}: {why}");
        }
        assert!(parse_cap("100").unwrap_err().contains("unit"));
    }
}
