//! A rule on the server resets: from the client it cannot be told from a closed port.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};

pub(super) static CASE: Case = Case {
    id: "outside-reset-rule",
    title: "outside: a rule on the server resets",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["fw-drop-outbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).reject(Refuse::TcpReset))
        .commit(lab.node("server")?)?;
    Ok(Broken::outside("svc-not-listening"))
}
