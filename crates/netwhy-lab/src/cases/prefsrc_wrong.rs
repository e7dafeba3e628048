//! The route prefers a source address that nobody can answer to.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "prefsrc-wrong",
    title: "the route prefers a source nobody can answer",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.addr_add("eth0", "192.0.2.77/32")?;
    client.route_replace(Route::to("0.0.0.0/0")?.via("198.51.100.1")?.src("192.0.2.77")?)?;
    Ok(Broken::by("source-address-wrong", locus::route("0.0.0.0", 0, "unicast"))
        .heal(|lab| lab.node("client")?.route_replace(Route::to("0.0.0.0/0")?.via("198.51.100.1")?)))
}
