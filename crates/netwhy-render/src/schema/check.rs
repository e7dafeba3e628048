//! A validator for the keywords the contract uses: type, const, enum, required, properties, items, minimum, oneOf, $ref.
//! Stricter than the draft in one point: a property without a schema is a problem.

use serde_json::Value;

/// One place where a document does not keep the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer of the place.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = if self.at.is_empty() { "the document" } else { &self.at };
        write!(f, "{at}: {}", self.what)
    }
}

/// Every problem of a document. The schema is trusted; a keyword it does not know is a problem of the schema and said.
pub(super) fn check(schema: &Value, document: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    Checker { root: schema }.value(schema, document, "", &mut problems);
    problems
}

const KNOWN: [&str; 14] = [
    "$schema",
    "$defs",
    "$ref",
    "title",
    "description",
    "type",
    "const",
    "enum",
    "required",
    "properties",
    "items",
    "minimum",
    "maximum",
    "oneOf",
];

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn value(&self, schema: &Value, v: &Value, at: &str, out: &mut Vec<Problem>) {
        let mut say = |what: String| out.push(Problem { at: at.to_string(), what });
        let Some(keywords) = schema.as_object() else { return say("the schema here is no object".into()) };
        for k in keywords.keys().filter(|k| !KNOWN.contains(&k.as_str())) {
            say(format!("the schema uses {k}, which this validator does not know"));
        }
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
            match target.strip_prefix('#').and_then(|p| self.root.pointer(p)) {
                Some(target) => self.value(target, v, at, out),
                None => say(format!("the schema refers to {target}, which does not exist")),
            }
            return;
        }
        if let Some(expected) = keywords.get("type") {
            let names: Vec<&str> = match expected {
                Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            if !names.iter().any(|n| is_type(v, n)) {
                return say(format!("must be {}, is {}", names.join(" or "), type_name(v)));
            }
        }
        if let Some(only) = keywords.get("const")
            && only != v
        {
            say(format!("must be {only}, is {v}"));
        }
        if let Some(Value::Array(words)) = keywords.get("enum")
            && !words.contains(v)
        {
            say(format!("{v} is none of {}", Value::Array(words.clone())));
        }
        for (bound, ok) in [("minimum", (|v, b| v >= b) as fn(f64, f64) -> bool), ("maximum", |v, b| v <= b)]
        {
            if let (Some(v), Some(b)) = (v.as_f64(), keywords.get(bound).and_then(Value::as_f64))
                && !ok(v, b)
            {
                say(format!("{v} is beyond the {bound} {b}"));
            }
        }
        if let Some(Value::Array(branches)) = keywords.get("oneOf") {
            self.one_of(branches, v, at, out);
        }
        if let (Some(Value::Object(properties)), Some(map)) = (keywords.get("properties"), v.as_object()) {
            for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten() {
                if let Some(name) = name.as_str().filter(|n| !map.contains_key(*n)) {
                    out.push(Problem { at: at.to_string(), what: format!("{name} is missing") });
                }
            }
            for (name, value) in map {
                let at = format!("{at}/{name}");
                match properties.get(name) {
                    Some(schema) => self.value(schema, value, &at, out),
                    None => out.push(Problem { at, what: "is not described by the schema".into() }),
                }
            }
        }
        if let (Some(items), Some(list)) = (keywords.get("items"), v.as_array()) {
            for (i, item) in list.iter().enumerate() {
                self.value(items, item, &format!("{at}/{i}"), out);
            }
        }
    }

    /// Branches differ in a constant `kind`: a wrong field is then told for the branch that was meant.
    fn one_of(&self, branches: &[Value], v: &Value, at: &str, out: &mut Vec<Problem>) {
        let kind = |b: &Value| b.pointer("/properties/kind/const").cloned();
        if let Some(meant) = branches.iter().find(|b| kind(b).is_some() && kind(b).as_ref() == v.get("kind"))
        {
            return self.value(meant, v, at, out);
        }
        let fitting = branches
            .iter()
            .filter(|b| {
                let mut problems = Vec::new();
                self.value(b, v, at, &mut problems);
                problems.is_empty()
            })
            .count();
        if fitting != 1 {
            out.push(Problem {
                at: at.to_string(),
                what: format!("fits {fitting} of the alternatives, not one"),
            });
        }
    }
}

fn is_type(v: &Value, name: &str) -> bool {
    match name {
        "integer" => v.is_i64() || v.is_u64(),
        "number" => v.is_number(),
        other => type_name(v) == other,
    }
}

fn type_name(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(schema: Value, v: Value) -> Vec<String> {
        check(&schema, &v).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn each_keyword_can_fail() {
        assert_eq!(
            problems(json!({"type": "integer"}), json!(1.5)),
            ["the document: must be integer, is number"]
        );
        assert_eq!(problems(json!({"type": ["string", "null"]}), json!(null)), [""; 0]);
        assert_eq!(problems(json!({"const": 1}), json!(2)), ["the document: must be 1, is 2"]);
        assert_eq!(problems(json!({"enum": ["a"]}), json!("b")).len(), 1);
        assert_eq!(problems(json!({"minimum": 0}), json!(-1)), ["the document: -1 is beyond the minimum 0"]);
        assert_eq!(problems(json!({"maximum": 5}), json!(6)).len(), 1);
        let object = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}});
        assert_eq!(problems(object.clone(), json!({})), ["the document: a is missing"]);
        assert_eq!(problems(object.clone(), json!({"a": 1})), ["/a: must be string, is number"]);
        assert_eq!(problems(object, json!({"a": "", "b": 1})), ["/b: is not described by the schema"]);
        assert_eq!(
            problems(json!({"items": {"type": "null"}}), json!([null, 0])),
            ["/1: must be null, is number"]
        );
        assert_eq!(problems(json!({"pattern": "x"}), json!("y")).len(), 1);
        assert_eq!(problems(json!({"$ref": "#/$defs/none"}), json!(0)).len(), 1);
    }

    #[test]
    fn the_meant_alternative_is_the_one_of_the_kind() {
        let branch = |k: &str, f: &str| {
            json!({"type": "object", "required": ["kind", f],
                "properties": {"kind": {"const": k}, (f): {"type": "string"}}})
        };
        let schema = json!({"oneOf": [branch("a", "x"), branch("b", "y")]});
        assert_eq!(problems(schema.clone(), json!({"kind": "b"})), ["the document: y is missing"]);
        assert_eq!(problems(schema.clone(), json!({"kind": "a", "x": ""})), [""; 0]);
        assert_eq!(problems(schema, json!({"kind": "c"})).len(), 1);
    }
}
