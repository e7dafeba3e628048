//! What the capture tells about the question itself: by which device the client's packets come, from which address,
//! and which of this host's addresses it means. The prediction is then made for the packets as they were seen.

use netwhy_facts::Flow;
use netwhy_facts::capture::{CapturedPacket, FlowCapture};
use netwhy_facts::link::Links;
use netwhy_facts::question::Role;

use super::Session;

impl Session {
    /// Takes over from the capture what the user left open.
    pub(super) fn reframe(&mut self) {
        if self.question.role == Role::Client {
            return;
        }
        let Some(capture) = self.facts.latest::<FlowCapture>().value().cloned() else { return };
        let from = self.question.from;
        let first = |flow: &Flow| {
            let toward = |p: &&CapturedPacket| {
                !p.out
                    && p.icmp.is_none()
                    && p.arp.is_none()
                    && p.dst == flow.dst
                    && (flow.dport == 0 || p.dport == flow.dport)
                    && from.is_none_or(|f| f == p.src)
            };
            capture.packets.iter().find(toward).cloned()
        };
        let seen: Vec<Option<CapturedPacket>> = self.question.flows.iter().map(first).collect();
        // `:PORT` stands for every address of this host until a packet says which one is meant.
        if self.question.target.host.is_empty() && self.question.flows.len() > 1 {
            let mut keep = seen.iter().map(Option::is_some);
            if seen.iter().any(Option::is_some) {
                self.question.flows.retain(|_| keep.next().unwrap_or(true));
            } else if from.is_some() {
                self.question.flows.truncate(1);
            }
        }
        let links = self.facts.value::<Links>().cloned().unwrap_or_default();
        let mut changed = false;
        for flow in &mut self.question.flows {
            let Some(packet) = first(flow) else { continue };
            if self.options.dev.is_none()
                && let Some(link) = links.by_index(packet.ifindex)
            {
                changed |= flow.dev.as_ref() != Some(&link.name);
                flow.dev = Some(link.name.clone());
            }
            changed |= flow.src.is_none();
            flow.src.get_or_insert(packet.src);
            flow.sport.get_or_insert(packet.sport);
        }
        if changed {
            self.gather_more_fib();
        }
    }
}
