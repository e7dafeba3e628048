//! A more specific route leads out of a second device, where nobody is.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "route-wrong-egress",
    title: "a more specific route leads to the wrong device",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.add_node("nowhere")?;
    lab.cable(("client", "eth1"), ("nowhere", "eth0"))?;
    let client = lab.node("client")?;
    client.addr_add("eth1", "192.0.2.1/24")?;
    client.route_add(Route::to("203.0.113.0/25")?.via("192.0.2.254")?)?;
    Ok(Broken::by("route-wrong-egress", locus::route("203.0.113.0", 25, "unicast"))
        .heal(|lab| lab.node("client")?.route_del(Route::to("203.0.113.0/25")?)))
}
