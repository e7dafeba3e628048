//! The router forwards; the server does not answer. Asked on the router.

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "outside-transit-server",
    title: "outside: forwarded, and no answer comes back",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "203.0.113.2:8080", "--transit", "--from", "198.51.100.2"],
    },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["fw-drop-forward"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_dport(8080).drop())
        .commit(lab.node("server")?)?;
    Ok(Broken::outside("path-or-remote-drop"))
}
