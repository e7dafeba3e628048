//! An output rule redirects the connection to a proxy on this host that is not running.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Table};

pub(super) static CASE: Case = Case {
    id: "redirect-to-nothing",
    title: "a rule redirects to a proxy that is not running",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Ip, "nat")
        .nat("output", Hook::Output, -100)
        .rule("output", |r| r.tcp_dport(8080).redirect(3128))
        .commit_last(lab.node("client")?)?;
    Ok(Broken::by("tproxy-or-redirect-to-nothing", locus::nft_rule(Table::Ip, "nat", "output", handle))
        .heal(move |lab| lab.node("client")?.nft_delete_rule(Table::Ip, "nat", "output", handle)))
}
