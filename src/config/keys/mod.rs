//! The one description of the file: every section names its keys here once, and reading, showing,
//! documenting and the JSON Schema are four walks over that same description.

pub mod forms;
pub mod reader;
pub mod schema;
pub mod units;
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

/// Walks over the keys of all sections, in the order of the file.
pub trait Walker {
    /// The keys that follow belong to `[name]`. Named once for each section.
    fn section(&mut self, name: &'static str, doc: &'static str);

    /// A key of the current section.
    fn key<F: Form>(&mut self, name: &'static str, doc: &'static str, form: &F, slot: Slot<'_, F::Value>);

    /// A rule between keys, given with their sections. `rule` says what breaks it; it is not asked
    /// when one of the keys could not be read, so that one mistake is one line.
    fn check(&mut self, _keys: &[&'static str], _rule: impl FnOnce() -> Result<(), String>) {}
}
