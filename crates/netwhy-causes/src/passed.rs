//! The rules a predicted path went through without ending there: marks, notrack, translation, counters.
//!
//! The walker writes them into its steps as text (`notrack by rule handle 4 (…)`); here they become objects again.

use netwhy_facts::Locus;
use netwhy_walk::{Path, Step};

/// Rules a step names: the one that decided it, and those it passed.
pub fn rules_of(step: &Step) -> Vec<Locus> {
    let mut out = Vec::new();
    for words in &step.passed {
        out.extend(rule_in(&step.text, words));
    }
    if let Some(locus @ (Locus::NftRule { .. } | Locus::IptRule { .. })) = &step.locus
        && !out.contains(locus)
    {
        out.push(locus.clone());
    }
    out
}

/// Rules of the steps of a path, each once.
pub fn rules_on(path: &Path) -> Vec<Locus> {
    let mut out: Vec<Locus> = Vec::new();
    for locus in path.steps.iter().flat_map(rules_of) {
        if !out.contains(&locus) {
            out.push(locus);
        }
    }
    out
}

/// Rules whose passing words begin with a phrase, such as `notrack by`.
pub fn rules_saying(path: &Path, phrase: &str) -> Vec<Locus> {
    path.steps
        .iter()
        .flat_map(|s| s.passed.iter().filter(|w| w.starts_with(phrase)).filter_map(|w| rule_in(&s.text, w)))
        .collect()
}

/// The rule that `words` name, in the table a step's text begins with (`inet filter input: …`).
fn rule_in(step_text: &str, words: &str) -> Option<Locus> {
    let (place, _) = step_text.split_once(": ")?;
    let mut place = place.split(' ');
    let (engine, table, base) = (place.next()?, place.next()?, place.next()?);
    if let Some((_, rest)) = words.split_once("rule handle ") {
        let (handle, text) = number_and_text(rest)?;
        return Some(Locus::NftRule {
            family: engine.into(),
            table: table.into(),
            chain: base.into(),
            handle: handle.into(),
            text,
        });
    }
    let (_, rest) = words.split_once("rule ")?;
    let (number, rest) = rest.split_once(" of ")?;
    let (chain, text) = rest.split_once(" (")?;
    Some(Locus::IptRule {
        command: engine.into(),
        table: table.into(),
        chain: chain.into(),
        number: number.parse().ok()?,
        text: text.trim_end_matches(')').into(),
    })
}

fn number_and_text(rest: &str) -> Option<(u32, String)> {
    let (number, text) = rest.split_once(" (")?;
    Some((number.parse().ok()?, text.strip_suffix(')').unwrap_or(text).into()))
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{Action, Stage};

    use super::*;

    fn step(text: &str, passed: &[&str]) -> Step {
        Step {
            stage: Stage::Raw,
            text: text.into(),
            locus: None,
            action: Action::Pass,
            passed: passed.iter().map(|p| p.to_string()).collect(),
        }
    }

    #[test]
    fn both_engines_rules_are_read_back() {
        let s = step("inet raw output: policy accept", &["notrack by rule handle 4 (tcp dport 80 notrack)"]);
        let Some(Locus::NftRule { family, table, handle, text, .. }) = rules_of(&s).pop() else { panic!() };
        assert_eq!((family.as_str(), table.as_str(), handle), ("inet", "raw", 4));
        assert_eq!(text, "tcp dport 80 notrack");
        let s =
            step("iptables raw PREROUTING: policy ACCEPT", &["notrack by rule 2 of PREROUTING (-j NOTRACK)"]);
        let Some(Locus::IptRule { chain, number, .. }) = rules_of(&s).pop() else { panic!() };
        assert_eq!((chain.as_str(), number), ("PREROUTING", 2));
    }

    #[test]
    fn words_that_name_no_rule_are_skipped() {
        assert!(rules_of(&step("local, dev lo", &["something else"])).is_empty());
        assert!(rules_of(&step("inet t c: policy accept", &["rule handle x (y)", "rule of (z)"])).is_empty());
    }
}
