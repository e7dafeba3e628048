//! A BPF program at the tcx egress point of the client's device drops the SYN.

use crate::bpf;
use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "tcx-drop-egress",
    title: "a BPF program at tcx egress drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-outbound", "path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let program = bpf::dropper(bpf::Place::Tc, 8080)?;
    let link = lab.node("client")?.tcx("eth0", true, &program)?;
    lab.keep_link(link);
    Ok(Broken::by("bpf-drop", locus::bpf("eth0")).heal(|lab| {
        lab.drop_links();
        Ok(())
    }))
}
