//! What is wrong with a configuration, one line for each thing, in words an operator can act on.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong: where, with which key, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The configuration file, where the problem is in its text.
    pub file: Option<PathBuf>,
    /// The line in it, counted from 1, where there is one to point at.
    pub line: Option<usize>,
    /// The key with its section, such as `sessions.idle`; empty for the file as a whole.
    pub key: String,
    /// A sentence for the operator.
    pub message: String,
}

impl Problem {
    /// A problem with the file as a whole.
    pub(super) fn of_file(file: &Path, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            file: Some(file.to_owned()),
            line,
            key: String::new(),
            message: message.into(),
        }
    }

    /// A problem of the machine with what a key names.
    pub(super) fn of_key(key: &str, message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        } else if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration file. Prints one line for each problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
