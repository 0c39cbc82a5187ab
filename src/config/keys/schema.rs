//! The JSON Schema of the file, for editors that complete and check while the operator types.

use serde_json::{Map, Value as Json, json};

use super::forms::Form;
use super::{Family, Slot, Walker};

/// The schema being built.
#[derive(Default)]
pub struct Schema {
    sections: Vec<Section>,
}

struct Section {
    name: String,
    doc: &'static str,
    keys: Map<String, Json>,
    required: Vec<&'static str>,
}

impl Schema {
    /// The finished schema (draft 2020-12).
    pub fn finish(self) -> Json {
        let mut root = object("Configuration of Sekisho");
        for section in self.sections {
            add(&mut root, section);
        }
        let head = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "sekisho.toml" });
        if let (Some(root), Json::Object(head)) = (root.as_object_mut(), head) {
            root.extend(head);
        }
        root
    }
}

fn object(doc: &str) -> Json {
    json!({ "type": "object", "description": doc, "additionalProperties": false, "properties": {}, "required": [] })
}

/// Stands for every name that an operator might choose.
const ANY: &str = "*";

/// Puts a section in its place; `a.b` goes into `a`, which comes before it.
fn add(root: &mut Json, section: Section) {
    let mut parent = root;
    let mut name = section.name.as_str();
    while let Some((outer, inner)) = name.split_once('.') {
        parent = if outer == ANY {
            &mut parent["additionalProperties"]
        } else {
            &mut parent["properties"][outer]
        };
        name = inner;
    }
    let must_be_written = !section.required.is_empty();
    let mut schema = object(section.doc);
    schema["properties"] = Json::Object(section.keys);
    schema["required"] = json!(section.required);
    if name == ANY {
        parent["additionalProperties"] = schema;
        return;
    }
    parent["properties"][name] = schema;
    if let (true, Some(required)) = (must_be_written, parent["required"].as_array_mut()) {
        required.push(json!(name));
    }
}

impl Walker for Schema {
    fn section(&mut self, name: &str, doc: &'static str) {
        self.sections.push(Section {
            name: name.to_owned(),
            doc,
            keys: Map::new(),
            required: Vec::new(),
        });
    }

    fn family(&mut self, family: &Family, _known: &[String], mut member: impl FnMut(&mut Self, &str)) {
        self.section(family.kind, family.doc);
        member(self, ANY);
    }

    fn key<F: Form>(&mut self, name: &'static str, doc: &'static str, form: &F, slot: Slot<'_, F::Value>) {
        let Some(section) = self.sections.last_mut() else {
            return;
        };
        let mut schema = form.schema();
        schema["description"] = doc.into();
        match slot {
            Slot::Required(example) => {
                section.required.push(name);
                schema["examples"] = json!([form.write(example)]);
            }
            Slot::Default(default) => schema["default"] = json!(form.write(default)),
            Slot::Derived(value, _) => schema["examples"] = json!([form.write(value)]),
            Slot::Optional(_, example) => schema["examples"] = json!([form.write(&example)]),
        }
        section.keys.insert(name.to_owned(), schema);
    }
}
