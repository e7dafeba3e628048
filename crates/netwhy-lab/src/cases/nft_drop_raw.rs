//! The drop is at raw priority in prerouting, before connection tracking.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-raw",
    title: "a rule at raw priority in prerouting drops the connection",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Ip, "raw")
        .base("pre", Hook::Prerouting, -300, Policy::Accept)
        .rule("pre", |r| r.saddr("203.0.113.1").tcp_dport(8080).drop())
        .commit_last(lab.node("server")?)?;
    let locus = locus::nft_rule(Table::Ip, "raw", "pre", handle);
    Ok(Broken::by("fw-drop-inbound", locus)
        .heal(move |lab| lab.node("server")?.nft_delete_rule(Table::Ip, "raw", "pre", handle)))
}
