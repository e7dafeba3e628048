//! The server answers TCP with ICMP port unreachable: a rule, not its stack.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};

pub(super) static CASE: Case = Case {
    id: "outside-port-unreachable",
    title: "outside: the other host rejects with ICMP",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).reject(Refuse::Icmpx(1)))
        .commit(lab.node("server")?)?;
    Ok(Broken::outside("fw-reject"))
}
