//! The default route has two members; the gateway of the heavier one does not exist.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "multipath-dead-member",
    title: "one member of a multipath route is dead",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim {
        node: "client",
        target: "tcp16://203.0.113.2:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    // By ports, so that each connection is a new choice.
    client.sysctl("net.ipv4.fib_multipath_hash_policy", "1")?;
    client.route_del(Route::to("0.0.0.0/0")?)?;
    client.route_add(
        Route::to("0.0.0.0/0")?.weighted_hop(Some("198.51.100.1"), "eth0", 1)?.weighted_hop(
            Some("198.51.100.77"),
            "eth0",
            255,
        )?,
    )?;
    Ok(Broken::by("multipath-dead-member", locus::route("0.0.0.0", 0, "unicast"))
        .heal(|lab| lab.node("client")?.route_replace(Route::to("0.0.0.0/0")?.via("198.51.100.1")?)))
}
