//! A rule resets, and behind it nothing listens.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};

pub(super) static CASE: Case = Case {
    id: "two-reject-and-stopped-service",
    title: "two faults: a reset rule and no listener",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &[],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    let handle = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).counter().reject(Refuse::TcpReset))
        .commit_last(lab.node("server")?)?;
    Ok(Broken::by("fw-reject", locus::nft_rule(Table::Inet, "filter", "input", handle))
        .and("svc-not-listening", locus::missing_listener("tcp", 8080))
        .heal(|lab| {
            lab.node("server")?.nft_delete_table(Table::Inet, "filter")?;
            lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
        }))
}
