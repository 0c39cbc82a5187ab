//! The values in effect, key by key, so that two configurations can be compared.

use std::collections::BTreeMap;

use super::forms::Form;
use super::{Family, Slot, Walker};

/// Values being collected.
#[derive(Default)]
pub struct Values {
    section: String,
    values: BTreeMap<String, String>,
}

impl Values {
    /// Each key that has a value, as it would be written in the file.
    pub fn finish(self) -> BTreeMap<String, String> {
        self.values
    }
}

impl Walker for Values {
    fn section(&mut self, name: &str, _doc: &'static str) {
        name.clone_into(&mut self.section);
    }

    fn family(&mut self, _family: &Family, known: &[String], mut member: impl FnMut(&mut Self, &str)) {
        for name in known {
            member(self, name);
        }
    }

    fn key<F: Form>(&mut self, name: &'static str, _doc: &'static str, form: &F, slot: Slot<'_, F::Value>) {
        let value = match slot {
            Slot::Required(value) | Slot::Default(value) | Slot::Derived(value, _) | Slot::Optional(Some(value), _) => {
                form.write(value)
            }
            Slot::Optional(None, _) => return,
        };
        self.values
            .insert(format!("{}.{name}", self.section), value.to_string());
    }
}
