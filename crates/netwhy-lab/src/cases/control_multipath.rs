//! Both members of a multipath route are one gateway with two addresses, and both work.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "control-multipath",
    title: "healthy: a multipath route",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("router")?.addr_add("eth0", "198.51.100.3/24")?;
    let client = lab.node("client")?;
    client.route_del(Route::to("0.0.0.0/0")?)?;
    let both =
        Route::to("0.0.0.0/0")?.hop(Some("198.51.100.1"), "eth0")?.hop(Some("198.51.100.3"), "eth0")?;
    client.route_add(both)?;
    Ok(Broken::healthy())
}
