//! Requests take another way than answers: the router sees only SYN-ACKs, finds them invalid and a rule drops them.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "ct-invalid-drop",
    title: "the router sees one direction only and drops it as invalid",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["forwarding-off"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.cable(("client", "eth1"), ("server", "eth1"))?;
    lab.node("server")?.addr_add("eth1", "192.0.2.2/24")?;
    let client = lab.node("client")?;
    client.addr_add("eth1", "192.0.2.1/24")?;
    client.route_add(Route::to("203.0.113.2/32")?.via("192.0.2.2")?.src("198.51.100.2")?)?;
    let handles = Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.ct_state(1).counter().drop())
        .rule("forward", |r| r.ct_state(2 | 4).accept())
        .commit(lab.node("router")?)?;
    let handle = handles.first().copied().unwrap_or(0);
    Ok(Broken::by("ct-invalid-drop", locus::nft_rule(Table::Inet, "filter", "forward", handle))
        .heal(|lab| lab.node("client")?.route_del(Route::to("203.0.113.2/32")?)))
}
