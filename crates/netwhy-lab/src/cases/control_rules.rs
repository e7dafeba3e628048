//! Policy rules and tables for other marks, users and sources surround the flow.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::route::Route;
use netwhy_change::rule::Rule;

pub(super) static CASE: Case = Case {
    id: "control-rules",
    title: "healthy among policy rules for others",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    client.rule_add(&Rule::lookup(100, 0).action("prohibit")?.mark(7, 0xff))?;
    client.rule_add(&Rule::lookup(110, 0).action("blackhole")?.uid(4000, 4100))?;
    client.rule_add(&Rule::lookup(120, 0).action("unreachable")?.from("192.0.2.0/24")?)?;
    client.rule_add(&Rule::lookup(130, 0).action("prohibit")?.proto(6).dport(8081, 9000))?;
    client.route_add(Route::to("203.0.113.0/24")?.kind("blackhole")?.table(200))?;
    client.rule_add(&Rule::lookup(140, 200).mark(9, 0xff))?;
    Ok(Broken::healthy())
}
