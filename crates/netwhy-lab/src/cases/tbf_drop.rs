//! A token bucket smaller than a SYN sits on the client's device: nothing ever passes it.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::tc;

pub(super) static CASE: Case = Case {
    id: "tbf-drop",
    title: "a token bucket on the device passes nothing",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["fw-drop-outbound", "path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("client")?.tbf_add("eth0", 1000, 40, 3000)?;
    Ok(Broken::by("qdisc-drop", json!({"kind": "qdisc", "dev": "eth0"}))
        .heal(|lab| lab.node("client")?.qdisc_del("eth0", tc::ROOT)))
}
