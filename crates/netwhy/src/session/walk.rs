//! A walk: the facts about one flow and its two predicted paths. Nothing is sent.

use netwhy_collect::neigh::NeighFilter;
use netwhy_facts::Flow;
use netwhy_walk::Path;

use super::Session;

/// Both directions of a flow.
pub(crate) struct Walked {
    pub(crate) forward: Path,
    pub(crate) reply: Path,
}

impl Session {
    /// Collects what the flow's path depends on, then predicts. The flow's source stays as given.
    pub(crate) fn walk(mut self, flow: Flow) -> Walked {
        self.gather_host();
        self.question.flows = vec![flow.clone()];
        self.gather_path();
        self.facts.put(self.collector.neighbours(NeighFilter::All));
        // Gathering asks the kernel which source it would choose; a source the user chose is kept.
        let chosen = self.question.flows.first().and_then(|f| f.src);
        let flow = Flow { src: flow.src.or(chosen), ..flow };
        let keys = netwhy_walk::keys_needed(&self.facts, &self.question, &flow);
        if !keys.is_empty() {
            self.facts.put(self.collector.fib(&keys));
        }
        let forward = netwhy_walk::forward(&self.facts, &self.question, &flow);
        let reply = netwhy_walk::reply(&self.facts, &self.question, &flow, &forward);
        Walked { forward, reply }
    }
}
