//! The server's output chain drops the SYN-ACK.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-server-reply",
    title: "an output rule of the server's host drops the answers",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-inbound", "svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Inet, "filter")
        .base("output", Hook::Output, 0, Policy::Accept)
        .rule("output", |r| r.tcp_sport(8080).counter().drop())
        .commit_last(lab.node("server")?)?;
    let locus = locus::nft_rule(Table::Inet, "filter", "output", handle);
    Ok(Broken::by("fw-drop-reply", locus)
        .heal(move |lab| lab.node("server")?.nft_delete_rule(Table::Inet, "filter", "output", handle)))
}
