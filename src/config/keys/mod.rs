//! The one description of the file: every section names its keys here once, and reading, showing,
//! documenting and the JSON Schema are four walks over that same description.

pub mod forms;
pub mod reader;
pub mod schema;
pub mod units;
pub mod values;
pub mod within;
pub mod writer;

use forms::Form;

/// Where the value of a key goes to and comes from.
pub enum Slot<'a, T> {
    /// The operator must write it. What the slot holds before reading is the example.
    Required(&'a mut T),
    /// What the slot holds before reading is the default.
    Default(&'a mut T),
    /// Without it, the value follows from other keys.
    Derived(&'a mut T, T),
    /// May be left out. The second value is an example.
    Optional(&'a mut Option<T>, T),
}

/// Sections of one kind, `[kind.NAME]`, as many as the operator likes and under names of his own.
pub struct Family {
    /// What they are.
    pub kind: &'static str,
    /// For the documentation of all of them.
    pub doc: &'static str,
    /// A name, for the example that stands for all.
    pub example: &'static str,
    /// Says what is wrong with a name.
    pub check_name: fn(&str) -> Result<(), String>,
}

/// Walks over the keys of all sections, in the order of the file.
pub trait Walker {
    /// The keys that follow belong to `[name]`. Named once for each section.
    fn section(&mut self, name: &str, doc: &'static str);

    /// Calls `member` for each section of the family, with its name. `known` are the names that are there when nothing
    /// is read.
    fn family(&mut self, family: &Family, known: &[String], member: impl FnMut(&mut Self, &str));

    /// A key of the current section.
    fn key<F: Form>(&mut self, name: &'static str, doc: &'static str, form: &F, slot: Slot<'_, F::Value>);

    /// A key of former versions. Whoever still writes it is told what to write `instead`.
    fn moved(&mut self, _name: &'static str, _instead: &str) {}

    /// A rule between keys, given with their sections. `rule` says what breaks it; it is not asked
    /// when one of the keys could not be read, so that one mistake is one line.
    fn check(&mut self, _keys: &[&str], _rule: impl FnOnce() -> Result<(), String>) {}
}
