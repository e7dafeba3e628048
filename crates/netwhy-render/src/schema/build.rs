//! Small builders: every field says what it means, in which unit.

use serde_json::{Map, Value, json};

/// A field of an object.
pub(super) struct Field {
    name: &'static str,
    required: bool,
    schema: Value,
}

pub(super) fn required(name: &'static str, schema: Value) -> Field {
    Field { name, required: true, schema }
}

pub(super) fn optional(name: &'static str, schema: Value) -> Field {
    Field { name, required: false, schema }
}

pub(super) fn object(description: &str, fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|f| (f.name.to_string(), f.schema.clone())).collect();
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    json!({"type": "object", "description": description, "required": required, "properties": properties})
}

pub(super) fn string(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

pub(super) fn integer(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

pub(super) fn array(description: &str, items: Value) -> Value {
    json!({"type": "array", "description": description, "items": items})
}

/// An enumeration; each word is explained in the description.
pub(super) fn enumeration(description: &str, words: &[(&str, &str)]) -> Value {
    let meaning: Vec<String> = words.iter().map(|(w, m)| format!("{w}: {m}")).collect();
    let names: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
    json!({"type": "string", "enum": names, "description": format!("{description} {}.", meaning.join("; "))})
}

pub(super) fn reference(definition: &str, description: &str) -> Value {
    json!({"$ref": format!("#/$defs/{definition}"), "description": description})
}
