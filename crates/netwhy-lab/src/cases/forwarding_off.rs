//! The router does not forward IPv4.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "forwarding-off",
    title: "forwarding is switched off",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["forward-policy-drop", "fw-drop-forward"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("router")?.sysctl("net.ipv4.ip_forward", "0")?;
    Ok(Broken::by("forwarding-off", json!({"kind": "sysctl"}))
        .heal(|lab| lab.node("router")?.sysctl("net.ipv4.ip_forward", "1")))
}
