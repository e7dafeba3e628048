//! The replay matrix: every recording against every cause, without kernel, root or network.
//!
//! A recording is a question with all its facts as one kernel gave them, and the causes a person found right
//! (`recordings/CASE/KERNEL.json`, written by `netwhy connect --record`). Each must give exactly those causes.
#![allow(clippy::disallowed_methods, reason = "the test reads the recordings")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use netwhy_causes::engine;
use netwhy_causes::predict::predict;
use netwhy_facts::{Facts, Question};

fn recordings() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings");
    let mut files = Vec::new();
    for case in std::fs::read_dir(&root).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(case.path()).into_iter().flatten().flatten() {
            files.push(file.path());
        }
    }
    files.sort();
    files
}

#[test]
fn every_recording_gives_its_causes_and_no_other() {
    let files = recordings();
    assert!(!files.is_empty(), "there are no recordings");
    let mut wrong = BTreeMap::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let question: Question = serde_json::from_value(value["question"].clone()).unwrap();
        let facts = Facts::from_json(&value["facts"]).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let expect: Vec<String> = serde_json::from_value(value["expect"].clone()).unwrap();
        let judged = engine::judge(&facts, &question, &predict(&facts, &question));
        let got: Vec<String> = judged.causes.iter().map(|c| c.id.clone()).collect();
        println!("{:60} {}", file.parent().unwrap().file_name().unwrap().to_string_lossy(), got.join(", "));
        if got != expect {
            wrong.insert(file.display().to_string(), (expect, got));
        }
    }
    assert!(wrong.is_empty(), "expected, got: {wrong:#?}");
}
