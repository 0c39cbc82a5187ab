//! Writes the configuration as TOML: bare, as it is in effect, or documented, as operators get it.

use std::fmt::Write as _;

use super::forms::Form;
use super::{Slot, Walker};

/// The widest a line of documentation becomes.
const WIDTH: usize = 96;

/// TOML being written.
pub struct Writer {
    text: String,
    documented: bool,
}

impl Writer {
    /// Only keys and values.
    pub const fn bare() -> Self {
        Self {
            text: String::new(),
            documented: false,
        }
    }

    /// Every key under its explanation; what need not be written is commented out as `#key = value`.
    pub fn documented(preface: &str) -> Self {
        let mut writer = Self {
            text: String::new(),
            documented: true,
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
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.push(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.push(&line);
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn assign(&mut self, mark: &str, name: &str, value: &toml::Value) {
        let _infallible = writeln!(self.text, "{mark}{name} = {value}");
    }
}

impl Walker for Writer {
    fn section(&mut self, name: &'static str, doc: &'static str) {
        if !self.text.is_empty() {
            self.push("");
        }
        if self.documented {
            self.push(&format!("# {}", "-".repeat(WIDTH - 2)));
            self.comment(doc);
        }
        self.push(&format!("[{name}]"));
    }

    fn key<F: Form>(&mut self, name: &'static str, doc: &'static str, form: &F, slot: Slot<'_, F::Value>) {
        if self.documented {
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
