//! A classic BPF filter at clsact egress drops the SYN.

use serde_json::json;

use crate::bpf;
use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::tc;

pub(super) static CASE: Case = Case {
    id: "tc-filter-drop",
    title: "a tc filter drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-outbound", "path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let program = bpf::dropper(bpf::Place::Tc, 8080)?;
    let client = lab.node("client")?;
    client.clsact_add("eth0")?;
    client.filter_bpf_add("eth0", tc::EGRESS, 1, &program)?;
    Ok(Broken::by("bpf-drop", json!({})).heal(|lab| lab.node("client")?.filter_del("eth0", tc::EGRESS, 1)))
}
