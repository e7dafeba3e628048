//! The server refuses a second connection from anybody, and one is already open.

use netwhy_change::nft::{Hook, Nft, Policy, Refuse, Table};

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "nft-connlimit-reject",
    title: "a rule with a limit of connections refuses the client",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| {
            r.tcp_dport(8080).ct_state(8).connections_over(1).counter().reject(Refuse::TcpReset)
        })
        .commit_last(lab.node("server")?)?;
    lab.serve("client", "crowd", "hold-open", &["1", "203.0.113.2:8080"])?;
    Ok(Broken::by("limit-rule", locus::nft_rule(Table::Inet, "filter", "input", handle))
        .heal(move |lab| lab.node("server")?.nft_delete_rule(Table::Inet, "filter", "input", handle)))
}
