//! A BPF program linked to the IPv4 output hook drops everything; no table shows it.

use serde_json::json;

use crate::bpf;
use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "netfilter-bpf-drop",
    title: "a BPF program at a netfilter hook drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-outbound", "path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let program = bpf::dropper(bpf::Place::Netfilter, 0)?;
    let link = lab.node("client")?.netfilter_bpf(3, &program)?;
    lab.keep_link(link);
    Ok(Broken::by("bpf-drop", json!({"kind": "bpf"})).heal(|lab| {
        lab.drop_links();
        Ok(())
    }))
}
