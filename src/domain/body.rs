//! How large the body of a request to the web client may be.

use super::pattern::Pattern;
use super::target::RequestPath;

/// The most bytes of a body. The smaller one is the stricter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyCap {
    /// So many.
    Bytes(u64),
    /// Any number.
    Unlimited,
}

impl BodyCap {
    /// Whether a body may have so many bytes.
    pub const fn admits(self, bytes: u64) -> bool {
        match self {
            Self::Bytes(most) => bytes <= most,
            Self::Unlimited => true,
        }
    }
}

/// What holds for some paths instead of what holds for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapLine {
    /// The most bytes there.
    pub cap: BodyCap,
    /// Which paths.
    pub path: Pattern,
}

/// How large bodies may be, path by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyCaps {
    /// Where no line says otherwise.
    pub usual: BodyCap,
    /// Lines, of which the first that speaks of a path decides.
    pub lines: Vec<CapLine>,
}

impl BodyCaps {
    /// The cap at this path: the strictest one among the ways in which a web client might read it.
    pub fn at(&self, path: &RequestPath<'_>) -> BodyCap {
        if self.lines.is_empty() {
            return self.usual;
        }
        let caps = path.readings().iter().map(|reading| self.of(reading));
        caps.min().unwrap_or(self.usual)
    }

    /// Lines that never decide, each with the earlier one that keeps it from that.
    pub fn hidden(&self) -> Vec<(&CapLine, &CapLine)> {
        let hidden = self.lines.iter().enumerate().filter_map(|(index, line)| {
            let mut earlier = self.lines.iter().take(index);
            Some((line, earlier.find(|earlier| earlier.path.covers(&line.path))?))
        });
        hidden.collect()
    }

    fn of(&self, reading: &str) -> BodyCap {
        let line = self.lines.iter().find(|line| line.path.matches(reading));
        line.map_or(self.usual, |line| line.cap)
    }
}

impl Default for BodyCaps {
    fn default() -> Self {
        Self {
            usual: BodyCap::Unlimited,
            lines: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(usual: BodyCap, lines: &[(BodyCap, &str)]) -> BodyCaps {
        let line = |(cap, path): &(BodyCap, &str)| CapLine {
            cap: *cap,
            path: Pattern::parse(*path).unwrap(),
        };
        BodyCaps {
            usual,
            lines: lines.iter().map(line).collect(),
        }
    }

    fn at(caps: &BodyCaps, path: &str) -> BodyCap {
        caps.at(&RequestPath::parse(path).unwrap())
    }

    #[test]
    fn without_a_word_bodies_may_have_any_size() {
        assert_eq!(at(&BodyCaps::default(), "/x"), BodyCap::Unlimited);
        assert!(BodyCap::Unlimited.admits(u64::MAX));
        assert!(BodyCap::Bytes(10).admits(10) && !BodyCap::Bytes(10).admits(11));
    }

    #[test]
    fn the_first_line_that_speaks_of_a_path_decides() {
        let (small, large) = (BodyCap::Bytes(10), BodyCap::Bytes(1000));
        let lines = [
            (BodyCap::Unlimited, "/up/big/*"),
            (large, "/up/*"),
            (small, "/up/big/x"),
        ];
        let caps = caps(small, &lines);
        assert_eq!(at(&caps, "/up/big/x"), BodyCap::Unlimited);
        assert_eq!(at(&caps, "/up/x"), large);
        assert_eq!(at(&caps, "/x"), small);
    }

    #[test]
    fn the_strictest_of_the_readings_counts() {
        let (small, large) = (BodyCap::Bytes(10), BodyCap::Bytes(1000));
        let wide = caps(small, &[(large, "/up/*")]);
        assert_eq!(at(&wide, "/up//x"), large, "every reading is below /up/");
        for doubtful in ["/UP/x", "/a;/up/x", "/%75p/x", "//up/x"] {
            assert_eq!(at(&wide, doubtful), small, "{doubtful}");
        }
        let narrow = caps(large, &[(small, "/api/*")]);
        for doubtful in ["/API/x", "/%61pi/x", "/api;v=1/x"] {
            assert_eq!(at(&narrow, doubtful), small, "{doubtful}");
        }
    }
}
