//! Paths with stars in them: of which paths a line of the configuration speaks.

use super::target::RequestPath;

/// Which paths the operator speaks of. A star stands for one segment or a part of one, and as the last segment for
/// everything below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Reads a path with stars in it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if !text.starts_with('/') {
            return Err("a path starts with a slash".into());
        }
        if text.contains("**") {
            return Err(
                "one star stands for a segment, and as the last segment for everything below: /a/*/b, /a/*".into(),
            );
        }
        let plain = text.replace('*', "x");
        let path = RequestPath::parse(&plain).map_err(|_| "it is not a path a browser could send".to_owned())?;
        if path.readings().len() > 1 {
            return Err("write the path plainly: lower case, no percent-encoding, no `;`, no `//`".into());
        }
        let last = text.rsplit('/').next().unwrap_or_default();
        if last.contains('*') && last != "*" && !last.starts_with('*') {
            // `/admin*` would be taken for everything that starts so, or for one segment alone.
            return Err("a star at the end stands after a slash, or before an ending: /assets/*, /files/*.css".into());
        }
        Ok(Self { text })
    }

    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it speaks of a path, whatever way an upstream reads that: for what a match opens.
    pub fn holds(&self, path: &RequestPath<'_>) -> bool {
        path.readings().iter().all(|reading| self.matches(reading))
    }

    /// Whether it speaks of a path, when the upstream reads it so.
    pub(super) fn matches(&self, reading: &str) -> bool {
        if !self.text.contains('*') {
            return self.text == reading;
        }
        let (pattern, below) = self.below();
        let mut segments = reading.split('/');
        for wanted in pattern.split('/') {
            let Some(segment) = segments.next() else { return false };
            if !is_like(wanted, segment) {
                return false;
            }
        }
        // `/a/*` is what lies below `/a/`, and `/a/` itself, not `/a`.
        segments.next().is_some() == below
    }

    /// Without a last star, and whether there was one.
    fn below(&self) -> (&str, bool) {
        self.text
            .strip_suffix("/*")
            .map_or((&self.text, false), |rest| (rest, true))
    }

    /// Whether every path of `other` is one of these.
    pub(super) fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let (mine, below) = self.below();
        if mine.contains('*') {
            return !other.text.contains('*') && self.matches(&other.text);
        }
        if below {
            other.text.starts_with(mine) && other.text.as_bytes().get(mine.len()) == Some(&b'/')
        } else {
            false
        }
    }
}

/// A segment with at most a few stars, each of which stands for any part of a segment.
fn is_like(pattern: &str, segment: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = segment.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}
