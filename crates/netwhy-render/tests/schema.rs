//! Reports of every kind keep the contract, the contract describes every field, and it cannot be kept by accident.

mod common;

use netwhy_render::schema::{report_schema, validate};
use serde_json::{Value, json};

fn as_json(report: &netwhy_causes::Report) -> Value {
    let text = netwhy_render::json::document(report).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_kind_of_report_is_valid() {
    for (name, report) in common::all() {
        let v = as_json(&report);
        assert_eq!(validate(&v), Ok(()), "{name}");
        assert_eq!(serde_json::from_value::<netwhy_causes::Report>(v).unwrap(), report, "{name} comes back");
    }
}

#[test]
fn every_kind_of_object_is_valid_and_has_words() {
    for locus in common::every_locus() {
        let words = netwhy_render::locus::locus_text(&locus);
        assert!(words.len() > 5 && !words.contains("  ") && !words.ends_with(": "), "{words:?}");
        let mut report = common::drop_outbound();
        report.causes[0].locus = locus;
        assert_eq!(validate(&as_json(&report)), Ok(()), "{words}");
    }
}

/// The sample list and the schema know every variant of the type, read from its source.
#[test]
fn no_kind_of_object_is_forgotten() {
    let source = include_str!("../../netwhy-facts/src/locus.rs");
    let body = source.split("pub enum Locus {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let kinds: Vec<String> = body
        .lines()
        .filter_map(|l| l.strip_prefix("    "))
        .filter(|l| l.starts_with(char::is_uppercase))
        .map(|l| l.split([' ', '{', '(', ',']).next().unwrap())
        .map(|name| {
            let mut kebab = String::new();
            for (i, c) in name.chars().enumerate() {
                if c.is_uppercase() && i > 0 {
                    kebab.push('-');
                }
                kebab.push(c.to_ascii_lowercase());
            }
            kebab
        })
        .collect();
    assert!(kinds.len() > 30);
    let sampled: Vec<String> = common::every_locus().iter().map(|l| l.kind()).collect();
    let schema = report_schema();
    let branches = schema["$defs"]["locus"]["oneOf"].as_array().unwrap();
    for kind in kinds {
        assert!(sampled.contains(&kind), "tests/common: no sample of {kind}");
        assert!(
            branches.iter().any(|b| b["properties"]["kind"]["const"] == kind.as_str()),
            "src/schema/loci.rs: no row for {kind}"
        );
    }
}

#[test]
fn a_broken_report_is_refused() {
    let good = as_json(&common::drop_outbound());
    let breaks: &[(&str, Value)] = &[
        ("/verdict", json!("maybe")),
        ("/schema", json!(2)),
        ("/cost/wall_us", json!(-1)),
        ("/cost/wall_us", json!("3 s")),
        ("/causes/0/confidence", json!("certain")),
        ("/causes/0/locus/kind", json!("nonsense")),
        ("/causes/0/locus/handle", json!(null)),
        ("/causes/0/evidence/0/command", json!(null)),
        ("/stages/0/direction", json!("sideways")),
        ("/not_checkable/0/privilege", json!("no")),
    ];
    for (at, value) in breaks {
        let mut bad = good.clone();
        *bad.pointer_mut(at).unwrap() = value.clone();
        assert!(validate(&bad).is_err(), "{at} = {value} was accepted");
    }
    let mut more = good.clone();
    more["causes"][0]["surprise"] = json!(1);
    assert_eq!(validate(&more), Err(vec!["/causes/0/surprise: is not described by the schema".to_string()]));
    for at in ["/question", "/causes/0", "/causes/0/evidence/0", "/ruled_out/0", "/stages/0", "/cost", ""] {
        let fields: Vec<String> = good.pointer(at).unwrap().as_object().unwrap().keys().cloned().collect();
        for field in fields {
            let mut less = good.clone();
            less.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(&field);
            let optional = ["window_us", "hand_off", "from"].contains(&field.as_str())
                || (at, field.as_str()) == ("/question", "command");
            assert_eq!(validate(&less).is_ok(), optional, "{at}/{field} left out");
        }
    }
}

#[test]
fn every_field_is_described_and_numbers_have_a_unit() {
    fn walk(v: &Value, at: &str, fields: &mut usize) {
        let Some(map) = v.as_object() else { return };
        if let Some(properties) = map.get("properties").and_then(Value::as_object) {
            for (name, field) in properties {
                *fields += 1;
                let words = field["description"].as_str().unwrap_or_default();
                assert!(words.len() > 4, "{at}/{name} has no description");
                for (suffix, unit) in [("_us", "microseconds"), ("_bytes", "bytes")] {
                    assert!(!name.ends_with(suffix) || words.contains(unit), "{at}/{name} names no unit");
                }
                walk(field, &format!("{at}/{name}"), fields);
            }
        }
        for (name, inner) in map.iter().filter(|(n, _)| *n != "properties") {
            match inner {
                Value::Array(all) => all.iter().for_each(|i| walk(i, &format!("{at}/{name}"), fields)),
                one => walk(one, &format!("{at}/{name}"), fields),
            }
        }
        if at == "/$defs" || at.is_empty() {
            for (name, inner) in map {
                walk(inner, &format!("{at}/{name}"), fields);
            }
        }
    }
    let mut fields = 0;
    walk(&report_schema(), "", &mut fields);
    assert!(fields > 100, "{fields}");
}
