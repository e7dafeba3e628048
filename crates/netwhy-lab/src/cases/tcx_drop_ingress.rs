//! A BPF program at the tcx ingress point of the server's device drops the SYN: capture sees it, the stack does not.

use crate::bpf;
use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tcx-drop-ingress",
    title: "a BPF program at tcx ingress drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let program = bpf::dropper(bpf::Place::Tc, 8080)?;
    let link = lab.node("server")?.tcx("eth0", false, &program)?;
    lab.keep_link(link);
    Ok(Broken::by("bpf-drop", locus::bpf("eth0")).heal(|lab| {
        lab.drop_links();
        Ok(())
    }))
}
