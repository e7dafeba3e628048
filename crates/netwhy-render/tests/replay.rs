//! Answers to the lab's recordings, written down: each keeps the contract, fits a screen and cannot steer a terminal.
#![allow(clippy::disallowed_methods, reason = "the test reads the recordings")]

use std::path::Path;

use netwhy_causes::engine;
use netwhy_causes::predict::predict;
use netwhy_causes::report::{Cost, QuestionOut, Report, SCHEMA};
use netwhy_facts::{Facts, Question, Role};
use netwhy_render::{TextOptions, report_text};

fn report(question: &Question, facts: &Facts) -> Report {
    let judged = engine::judge(facts, question, &predict(facts, question));
    Report {
        schema: SCHEMA,
        question: QuestionOut {
            scenario: "connect".into(),
            target: question.target_text.clone(),
            addresses: question.flows.iter().map(|f| f.target()).collect(),
            netns: "net:[4026531840]".into(),
            role: match question.role {
                Role::Client => "client",
                Role::Inbound => "inbound",
                Role::Transit => "transit",
            }
            .into(),
            from: question.from.map(|f| f.to_string()),
            command: netwhy_causes::case::ask_again(question),
            started: "2026-03-01T09:14:07Z".into(),
            duration_us: 3_000_000,
        },
        verdict: judged.verdict,
        headline: judged.headline,
        causes: judged.causes,
        ruled_out: judged.ruled_out,
        not_checkable: judged.not_checkable,
        stages: judged.stages,
        disagreements: judged.disagreements,
        hand_off: None,
        cost: Cost::default(),
    }
}

#[test]
fn every_recorded_answer_can_be_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings");
    let mut seen = 0;
    for case in std::fs::read_dir(&root).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(case.path()).into_iter().flatten().flatten() {
            let name = case.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(file.path()).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let question: Question = serde_json::from_value(value["question"].clone()).unwrap();
            let facts = Facts::from_json(&value["facts"]).unwrap_or_else(|e| panic!("{name}: {e}"));
            let report = report(&question, &facts);
            let json = serde_json::to_value(&report).unwrap();
            netwhy_render::schema::validate(&json).unwrap_or_else(|p| panic!("{name}: {}", p.join("\n")));
            for verbosity in 0..=2 {
                let text = report_text(&report, &TextOptions { verbosity, ..TextOptions::default() });
                assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{name}:\n{text}");
                // A cause more takes its lines more.
                let most = 27 + 14 * report.causes.len().saturating_sub(1);
                assert!(verbosity > 0 || text.lines().count() <= most, "{name}:\n{text}");
            }
            seen += 1;
        }
    }
    if seen == 0 {
        eprintln!("skipped: there are no recordings");
    }
}
