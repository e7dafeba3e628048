//! Forwarding is off, and the forward chain would drop by policy.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "two-forwarding-and-policy",
    title: "two faults: forwarding off and forward policy",
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
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let router = lab.node("router")?;
    router.sysctl("net.ipv4.ip_forward", "0")?;
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Drop)
        .rule("forward", |r| r.tcp_dport(22).accept())
        .commit(router)?;
    Ok(Broken::by("forwarding-off", json!({"kind": "sysctl"}))
        .and("forward-policy-drop", locus::nft_chain(Table::Inet, "filter", "forward"))
        .heal(|lab| {
            let router = lab.node("router")?;
            router.nft_delete_table(Table::Inet, "filter")?;
            router.sysctl("net.ipv4.ip_forward", "1")
        }))
}
