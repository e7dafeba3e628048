//! Predicted paths of every flow, and what would stop each next if the first blocker were gone.

use netwhy_facts::{Facts, Question};
use netwhy_walk::Path;

use crate::engine::{self, FlowPaths};

/// How many blockers in a row are looked for.
const MAX_BLOCKERS: usize = 4;

/// Walks every flow of the question both ways.
pub fn predict(facts: &Facts, question: &Question) -> Vec<FlowPaths> {
    question
        .flows
        .iter()
        .map(|flow| {
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
