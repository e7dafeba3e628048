//! A generic XDP program on the server's device drops the SYN before anything counts it.

use crate::bpf;
use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "xdp-drop",
    title: "an XDP program drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let program = bpf::dropper(bpf::Place::Xdp, 8080)?;
    lab.node("server")?.xdp_set("eth0", Some(&program))?;
    Ok(Broken::by("bpf-drop", locus::bpf("eth0")).heal(|lab| lab.node("server")?.xdp_set("eth0", None)))
}
