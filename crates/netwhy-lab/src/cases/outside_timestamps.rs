//! A middlebox drops every SYN that carries timestamps.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "outside-timestamps",
    title: "outside: SYNs with timestamps are dropped on the way",
    topology: Topology::ClientRouterServer,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-outbound", "one-bad-path"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    // RFC 7323: option 8.
    Nft::new(Table::Inet, "filter")
        .base("forward", Hook::Forward, 0, Policy::Accept)
        .rule("forward", |r| r.tcp_option(8).drop())
        .commit(lab.node("router")?)?;
    Ok(Broken::outside("option-intolerance"))
}
