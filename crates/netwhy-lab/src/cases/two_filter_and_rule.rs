//! Strict reverse path filtering drops the SYN, and an input rule would.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "two-filter-and-rule",
    title: "two faults: reverse path filter and input rule",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "198.51.100.2"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.cable(("router", "eth2"), ("server", "eth1"))?;
    lab.node("router")?.addr_add("eth2", "192.0.2.1/24")?;
    let server = lab.node("server")?;
    server.addr_add("eth1", "192.0.2.2/24")?;
    server.sysctl("net.ipv4.conf.eth0.rp_filter", "1")?;
    server.route_add(Route::to("198.51.100.0/24")?.via("192.0.2.1")?)?;
    let handle = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).counter().drop())
        .commit_last(server)?;
    Ok(Broken::by("rp-filter", json!({"kind": "sysctl"}))
        .and("fw-drop-inbound", locus::nft_rule(Table::Inet, "filter", "input", handle))
        .heal(|lab| {
            let server = lab.node("server")?;
            server.nft_delete_table(Table::Inet, "filter")?;
            server.sysctl("net.ipv4.conf.eth0.rp_filter", "2")
        }))
}
