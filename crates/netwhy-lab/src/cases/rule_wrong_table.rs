//! A policy rule sends the flow to a table whose gateway is dead, as a VPN that went away leaves it.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;
use netwhy_change::rule::Rule;

pub(super) static CASE: Case = Case {
    id: "rule-wrong-table",
    title: "a policy rule leads to a table with a dead gateway",
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
    client.route_add(Route::to("0.0.0.0/0")?.via("192.0.2.254")?.table(100))?;
    client.rule_add(&Rule::lookup(500, 100).to("203.0.113.0/24")?)?;
    Ok(Broken::by("route-wrong-egress", locus::rule(500))
        .heal(|lab| lab.node("client")?.rule_del(&Rule::lookup(500, 100).to("203.0.113.0/24")?)))
}
