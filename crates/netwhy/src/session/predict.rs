//! Predicted paths of every flow, and what would stop each next if the first blocker were gone.

use netwhy_causes::engine::{self, FlowPaths};
use netwhy_walk::Path;

use super::Session;

/// How many blockers in a row are looked for.
const MAX_BLOCKERS: usize = 4;

impl Session {
    /// Walks every flow both ways.
    pub(super) fn predict(&self) -> Vec<FlowPaths> {
        self.question
            .flows
            .iter()
            .map(|flow| {
                let forward = netwhy_walk::forward(&self.facts, &self.question, flow);
                let reply = netwhy_walk::reply(&self.facts, &self.question, flow, &forward);
                let mut beyond = Vec::new();
                let mut facts = None;
                let mut path: Path = forward.clone();
                for _ in 0..MAX_BLOCKERS {
                    let Some(blocker) = path.blocker() else { break };
                    let Some(next) = engine::without(facts.as_ref().unwrap_or(&self.facts), blocker) else {
                        break;
                    };
                    path = netwhy_walk::forward(&next, &self.question, flow);
                    beyond.push(path.clone());
                    facts = Some(next);
                }
                // The way back is only worth predicting once the way there is open.
                if path.passes() && !beyond.is_empty() {
                    let facts = facts.as_ref().unwrap_or(&self.facts);
                    beyond.push(netwhy_walk::reply(facts, &self.question, flow, &path));
                }
                FlowPaths { flow: flow.clone(), forward, reply, beyond }
            })
            .collect()
    }
}
