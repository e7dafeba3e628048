//! A rule of the bridge family on the switch drops the frames; asked on the switch.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "nft-drop-bridge",
    title: "a bridge family rule of the switch drops the connection",
    topology: Topology::Bridge,
    ask: Ask { node: "switch", args: &["connect", "203.0.113.2:8080", "--transit", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let handle = Nft::new(Table::Bridge, "l2")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.daddr("203.0.113.2").tcp_dport(8080).counter().drop())
        .commit_last(lab.node("switch")?)?;
    let locus = locus::nft_rule(Table::Bridge, "l2", "forward", handle);
    Ok(Broken::by("fw-drop-forward", locus)
        .heal(move |lab| lab.node("switch")?.nft_delete_rule(Table::Bridge, "l2", "forward", handle)))
}
