//! The gateway lost its masquerade rule: private sources leave it and nobody can answer. Asked on the gateway.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Nft, Table};

pub(super) static CASE: Case = Case {
    id: "nat-missing",
    title: "the gateway does not translate the source",
    topology: Topology::NatGateway,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-forward", "forwarding-off"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("router")?.nft_flush_chain(Table::Ip, "nat", "postrouting")?;
    Ok(Broken::by("snat-missing", json!({})).heal(|lab| {
        Nft::existing(Table::Ip, "nat")
            .rule("postrouting", |r| r.oif("eth1").masquerade())
            .commit(lab.node("router")?)
            .map(drop)
    }))
}
