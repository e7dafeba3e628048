//! Drop rules, rejects, blackhole routes and idle listeners that do not concern the flow surround it.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};
use netwhy_change::route::Route;

pub(super) static CASE: Case = Case {
    id: "control-decoys",
    title: "healthy among drop rules and blackhole routes for others",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &[] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let client = lab.node("client")?;
    Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Drop)
        .rule("output", |r| r.tcp_dport(8081).counter().drop())
        .rule("output", |r| r.daddr("203.0.113.3").counter().drop())
        .rule("output", |r| r.udp_dport(8080).reject(Refuse::Icmpx(1)))
        .rule("output", |r| r.tcp_dport_range(8000, 8100).accept())
        .rule("output", |r| r.tcp().reject(Refuse::TcpReset))
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.ct_state(2 | 4).accept())
        .rule("input", |r| r.tcp_dport(8080).drop())
        .commit(client)?;
    client.route_add(Route::to("203.0.113.128/25")?.kind("blackhole")?)?;
    client.route_add(Route::to("0.0.0.0/0")?.kind("unreachable")?.metric(4000))?;
    lab.serve("client", "idle", "never-accept", &["127.0.0.1:8080,backlog=1"])?;
    Ok(Broken::healthy())
}
