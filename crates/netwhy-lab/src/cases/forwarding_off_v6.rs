//! The router forwards IPv4 and not IPv6.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "forwarding-off-v6",
    title: "IPv6 forwarding is switched off",
    topology: Topology::ClientRouterServer,
    ask: Ask {
        node: "router",
        args: &["connect", "[2001:db8:2::2]:8080", "--transit", "--from", "2001:db8:1::2"],
    },
    victim: Victim {
        node: "client",
        target: "tcp://[2001:db8:2::2]:8080",
        sees: &["connect timeout", "connect EHOSTUNREACH"],
    },
    fault,
    ruled_out: &[],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.node("router")?.sysctl("net.ipv6.conf.all.forwarding", "0")?;
    Ok(Broken::by("forwarding-off", json!({"kind": "sysctl"}))
        .heal(|lab| lab.node("router")?.sysctl("net.ipv6.conf.all.forwarding", "1")))
}
