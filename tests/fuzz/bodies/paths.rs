//! What the fuzz target `paths` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use sekisho::domain::target::RequestPath;

/// No text panics the reader of request paths; what is taken is harmless in every reading, and the readings are all that
/// a server makes of it that does these things in whatever order.
pub fn paths(text: &str) {
    let Ok(path) = RequestPath::parse(text) else { return };
    assert_eq!(path.raw(), text, "what goes on is what came");
    assert!(path.readings().len() <= 64, "too many readings");
    for reading in path.readings() {
        assert!(reading.starts_with('/'), "{reading:?} is no path");
        assert!(
            !reading.bytes().any(|b| b < b' ' || b == 0x7f || b == b'\\'),
            "{reading:?} has a byte that no path has"
        );
        assert!(
            !reading.split('/').any(|segment| segment == "." || segment == ".."),
            "{reading:?} has dot segments"
        );
    }
    walk(&path, text, 3, 2);
}

/// Takes every step that a server might from here, and so on, and looks for where it comes among the readings.
fn walk(path: &RequestPath<'_>, from: &str, steps: usize, decodings: usize) {
    assert!(
        path.readings().iter().any(|reading| reading == from),
        "{from:?} is no reading of {:?}",
        path.raw()
    );
    if steps == 0 {
        return;
    }
    let plain = [from.to_lowercase(), merged(from), without_parameters(from)];
    for next in plain.iter().filter(|next| *next != from) {
        walk(path, next, steps - 1, decodings);
    }
    if decodings > 0
        && let Some(decoded) = decoded(from).filter(|decoded| decoded != from)
    {
        walk(path, &decoded, steps - 1, decodings - 1);
    }
}

fn merged(path: &str) -> String {
    let mut merged = path.to_owned();
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    merged
}

/// As servlet containers do.
fn without_parameters(path: &str) -> String {
    let names = path
        .split('/')
        .map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name));
    names.collect::<Vec<_>>().join("/")
}

/// As lenient servers do: what is no encoding stands for itself. `None` where it is no text any more.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match tail {
            [high, low, after @ ..] if *first == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}
