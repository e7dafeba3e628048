//! Suspected BPF programs are run on a packet of the flow: the kernel says what they do with it.

use netwhy_causes::case::{Case, Seen};
use netwhy_causes::causes::bpf_drop::{self, Suspect};
use netwhy_causes::engine::FlowPaths;
use netwhy_collect::bpf::TrialPacket;
use netwhy_facts::Reading;
use netwhy_facts::bpf::{BpfTrial, BpfTrials};

use super::Session;

/// Programs run for one question at most.
const MAX: usize = 16;

impl Session {
    /// Runs every suspect once. Tells whether anything was learnt.
    pub(super) fn try_programs(&mut self, paths: &[FlowPaths]) -> bool {
        if self.options.passive || self.is_interrupted() {
            return false;
        }
        let mut trials: Vec<BpfTrial> = Vec::new();
        for p in paths {
            let seen = Seen::of(&self.facts, &p.flow, &p.forward, self.question.role, self.question.from);
            let case = Case {
                facts: &self.facts,
                question: &self.question,
                flow: &p.flow,
                forward: &p.forward,
                reply: &p.reply,
                beyond: &p.beyond,
                seen,
            };
            for suspect in bpf_drop::suspects(&case).into_iter().filter(bpf_drop::can_be_run) {
                let Some(program) = suspect.program else { continue };
                let known =
                    trials.iter().any(|t| t.prog_id == program.prog_id && t.request == suspect.request);
                if known || trials.len() >= MAX {
                    continue;
                }
                let packet = packet(&suspect);
                if let Reading::Known { value: result, .. } =
                    self.collector.bpf_trial(program.prog_id, &packet)
                {
                    trials.push(BpfTrial { prog_id: program.prog_id, request: suspect.request, result });
                }
            }
        }
        if trials.is_empty() {
            return false;
        }
        let at = netwhy_sys::clock::monotonic();
        self.facts.put(Reading::known(BpfTrials(trials), "BPF_PROG_TEST_RUN", at));
        true
    }
}

fn packet(suspect: &Suspect<'_>) -> TrialPacket {
    let p = suspect.packet;
    let mac =
        |m: &Option<Vec<u8>>| m.as_deref().and_then(|b| <[u8; 6]>::try_from(b).ok()).unwrap_or_default();
    TrialPacket {
        src: p.src,
        dst: p.dst,
        proto: p.proto,
        sport: p.sport,
        dport: p.dport,
        tcp_flags: p.tcp_flags,
        icmp_type: p.icmp_type,
        ttl: p.ttl,
        mac_src: mac(&p.mac_src),
        mac_dst: mac(&p.mac_dst),
    }
}
