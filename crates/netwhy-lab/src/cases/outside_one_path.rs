//! A router on the way spreads connections by their source port, and one of its two paths is dead: the one that takes
//! the even ports, from which connect(2) chooses first.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "outside-one-path",
    title: "outside: one of two equal paths is dead",
    topology: Topology::TwoRouters,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-outbound", "option-intolerance", "neigh-unresolved"],
    budget_ms: 6000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.iif("eth0").tcp_sport_bits(1, 0).drop())
        .commit(lab.node("far")?)?;
    Ok(Broken::outside("one-bad-path"))
}
