//! The description of a section, walked under another name: what `[upstream]` says of itself holds for
//! `[sites.wiki.upstream]` as well.

use super::forms::Form;
use super::{Family, Slot, Walker};

/// A walker that puts every section below another one.
pub struct Within<'w, W> {
    walker: &'w mut W,
    outer: String,
    inside: Vec<String>,
}

impl<'w, W: Walker> Within<'w, W> {
    /// Below `[outer]`.
    pub const fn new(walker: &'w mut W, outer: String) -> Self {
        Self {
            walker,
            outer,
            inside: Vec::new(),
        }
    }

    fn place(&self, path: &str) -> String {
        format!("{}.{path}", self.outer)
    }
}

impl<W: Walker> Walker for Within<'_, W> {
    fn section(&mut self, name: &str, doc: &'static str) {
        self.inside.push(name.to_owned());
        self.walker.section(&self.place(name), doc);
    }

    fn family(&mut self, _family: &Family, _known: &[String], _member: impl FnMut(&mut Self, &str)) {
        // A family within a family would need names of two levels; no section has one.
    }

    fn key<F: Form>(&mut self, name: &'static str, doc: &'static str, form: &F, slot: Slot<'_, F::Value>) {
        self.walker.key(name, doc, form, slot);
    }

    fn check(&mut self, keys: &[&str], rule: impl FnOnce() -> Result<(), String>) {
        let here = |key: &&str| {
            let section = key.rsplit_once('.').map_or("", |(section, _)| section);
            if self.inside.iter().any(|inside| inside == section) {
                self.place(key)
            } else {
                (*key).to_owned()
            }
        };
        let placed: Vec<String> = keys.iter().map(here).collect();
        let placed: Vec<&str> = placed.iter().map(String::as_str).collect();
        self.walker.check(&placed, rule);
    }
}
