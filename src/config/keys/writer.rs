//! Writes the configuration as TOML: bare, as it is in effect, or documented, as operators get it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::forms::Form;
use super::{Family, Slot, Walker};

/// The widest a line of documentation becomes.
const WIDTH: usize = 96;

/// TOML being written.
pub struct Writer {
    text: String,
    documented: bool,
    /// Within an example that is commented out as a whole.
    aside: bool,
    /// Explanations already given: none is given twice.
    given: BTreeSet<&'static str>,
}

impl Writer {
    /// Only keys and values.
    pub const fn bare() -> Self {
        Self {
            text: String::new(),
            documented: false,
            aside: false,
            given: BTreeSet::new(),
        }
    }

    /// Every key under its explanation; what need not be written is commented out as `#key = value`.
    pub fn documented(preface: &str) -> Self {
        let mut writer = Self {
            text: String::new(),
            documented: true,
            aside: false,
            given: BTreeSet::new(),
        };
        for paragraph in preface.split('\n') {
            writer.comment(paragraph);
        }
        writer
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.text
    }

    fn comment(&mut self, text: &str) {
        self.text.push_str(&wrapped(text));
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn rule(&mut self) {
        self.text.push_str(&rule_line());
    }

    fn assign(&mut self, mark: &str, name: &str, value: &toml::Value) {
        let mark = if self.aside { "#" } else { mark };
        let _infallible = writeln!(self.text, "{mark}{name} = {value}");
    }
}

/// Words as comment lines, none longer than the others.
pub fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

/// What stands between two parts of a file.
pub fn rule_line() -> String {
    format!("# {}\n", "-".repeat(WIDTH - 2))
}

impl Walker for Writer {
    fn section(&mut self, name: &str, doc: &'static str) {
        if !self.text.is_empty() {
            self.push("");
        }
        if self.documented && !self.aside {
            self.rule();
        }
        if self.documented && self.given.insert(doc) {
            self.comment(doc);
        }
        let mark = if self.aside { "#" } else { "" };
        self.push(&format!("{mark}[{name}]"));
    }

    fn family(&mut self, family: &Family, known: &[String], mut member: impl FnMut(&mut Self, &str)) {
        if !self.documented {
            return known.iter().for_each(|name| member(self, name));
        }
        self.push("");
        self.rule();
        self.comment(family.doc);
        self.aside = true;
        member(self, family.example);
        self.aside = false;
    }

    fn key<F: Form>(&mut self, name: &'static str, doc: &'static str, form: &F, slot: Slot<'_, F::Value>) {
        if self.documented && self.given.insert(doc) {
            self.push("");
            self.comment(doc);
        }
        match slot {
            Slot::Required(value) | Slot::Default(value) | Slot::Optional(Some(value), _) => {
                self.assign("", name, &form.write(value));
            }
            Slot::Derived(value, _) => {
                let mark = if self.documented { "#" } else { "" };
                self.assign(mark, name, &form.write(value));
            }
            Slot::Optional(None, example) if self.documented => self.assign("#", name, &form.write(&example)),
            Slot::Optional(None, _) => {}
        }
    }
}
