//! Predicted paths of every flow, and what would stop each next if the first blocker were gone.

use netwhy_facts::nft::Nft;
use netwhy_facts::xtables::Xtables;
use netwhy_facts::{Facts, Flow, Question, Reading};
use netwhy_walk::Path;

use crate::case::rule_counter;
use crate::engine::{self, FlowPaths};

/// How many blockers in a row are looked for.
const MAX_BLOCKERS: usize = 4;

/// Walks every flow of the question both ways.
pub fn predict(facts: &Facts, question: &Question) -> Vec<FlowPaths> {
    let other_order = legacy_first(facts);
    question
        .flows
        .iter()
        .map(|flow| {
            let facts = match &other_order {
                Some(other) if stops_first(facts, other, question, flow) => other,
                _ => facts,
            };
            let forward = netwhy_walk::forward(facts, question, flow);
            let reply = netwhy_walk::reply(facts, question, flow, &forward);
            let mut beyond = Vec::new();
            let mut fewer = None;
            let mut path: Path = forward.clone();
            for _ in 0..MAX_BLOCKERS {
                let Some(blocker) = path.blocker() else { break };
                let Some(next) = engine::without(fewer.as_ref().unwrap_or(facts), blocker) else { break };
                path = netwhy_walk::forward(&next, question, flow);
                beyond.push(path.clone());
                fewer = Some(next);
            }
            // The way back is only worth predicting once the way there is open.
            if path.passes() {
                let there = path;
                let mut back = if beyond.is_empty() {
                    reply.clone()
                } else {
                    let back = netwhy_walk::reply(fewer.as_ref().unwrap_or(facts), question, flow, &there);
                    beyond.push(back.clone());
                    back
                };
                for _ in 0..MAX_BLOCKERS {
                    let Some(blocker) = back.blocker() else { break };
                    let Some(next) = engine::without(fewer.as_ref().unwrap_or(facts), blocker) else { break };
                    back = netwhy_walk::reply(&next, question, flow, &there);
                    beyond.push(back.clone());
                    fewer = Some(next);
                }
            }
            FlowPaths { flow: flow.clone(), forward, reply, beyond }
        })
        .collect()
}

/// The facts with legacy tables before nftables chains of the same priority; `None` where there are not both.
///
/// Which of the two runs first depends on which was registered last, and the kernel tells that only where it lists its
/// hooks (nfnetlink_hook).
fn legacy_first(facts: &Facts) -> Option<Facts> {
    let Reading::Known { value, source, at } = facts.get::<Nft>() else { return None };
    let both = value.chains.iter().any(|c| c.hook.is_some())
        && facts.value::<Xtables>().is_some_and(|x| !x.0.is_empty());
    both.then(|| {
        let mut other = facts.clone();
        other.put(Reading::known(Nft { legacy_first: true, ..value.clone() }, source.clone(), *at));
        other
    })
}

/// Whether the counters show that the legacy table comes first: what stops the flow in that order has counted in the
/// window, and what stops it in the other has not.
fn stops_first(facts: &Facts, other: &Facts, question: &Question, flow: &Flow) -> bool {
    let counted = |facts: &Facts| {
        let path = netwhy_walk::forward(facts, question, flow);
        let blocker = path.blocker()?.clone();
        let count = rule_counter(facts, &blocker);
        Some((blocker, count))
    };
    let Some((there, Some(1..))) = counted(other) else { return false };
    counted(facts).is_some_and(|(here, count)| here != there && count.is_none_or(|n| n == 0))
}
