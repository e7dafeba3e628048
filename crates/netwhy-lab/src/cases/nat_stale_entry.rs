//! The rule was corrected, but a client that keeps sending from one port is held to the old backend by its entry.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Table};

pub(super) static CASE: Case = Case {
    id: "nat-stale-entry",
    title: "an old tracking entry pins the flow to a dead backend",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "udp://198.51.100.1:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "udp-from-5060://198.51.100.1:8080", sees: &["hello timeout"] },
    fault,
    ruled_out: &["dnat-dead-backend"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let router = lab.node("router")?;
    Nft::new(Table::Ip, "nat")
        .nat("prerouting", Hook::Prerouting, -100)
        .rule("prerouting", |r| r.iif("eth0").udp_dport(8080).dnat("203.0.113.66", Some(8080)))
        .commit(router)?;
    router.neigh_set("eth1", "203.0.113.66", "02:00:5e:00:53:66", "permanent")?;
    lab.try_from("client", "udp-from-5060://198.51.100.1:8080")?;
    let router = lab.node("router")?;
    router.nft_flush_chain(Table::Ip, "nat", "prerouting")?;
    Nft::existing(Table::Ip, "nat")
        .rule("prerouting", |r| r.iif("eth0").udp_dport(8080).dnat("203.0.113.2", Some(8080)))
        .commit(router)?;
    Ok(Broken::by("nat-stale-entry", json!({"kind": "conntrack"}))
        .heal(|lab| lab.node("router")?.conntrack_flush()))
}
