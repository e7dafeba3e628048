//! The route refers to a nexthop object, and the object is a blackhole.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "nexthop-dead",
    title: "the nexthop object of the route is a blackhole",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect EINVAL"] },
    fault,
    ruled_out: &["route-missing"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.nexthop_blackhole(7)?;
    client.route_add(Route::to("203.0.113.0/24")?.nexthop(7))?;
    Ok(Broken::by("nexthop-dead", json!({"kind": "nexthop", "id": 7}))
        .heal(|lab| lab.node("client")?.route_del(Route::to("203.0.113.0/24")?)))
}
