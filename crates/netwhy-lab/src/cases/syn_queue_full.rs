//! Half-open connections of a third host fill the SYN queue; without cookies the next SYN is dropped.

use serde_json::json;

use crate::case::{Ask, Broken, Case, Victim};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "syn-queue-full",
    title: "the queue of half-open connections is full",
    topology: Topology::Bridge,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["accept-queue-full", "fw-drop-inbound"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    lab.stop("web")?;
    lab.node("server")?.sysctl("net.ipv4.tcp_syncookies", "0")?;
    let pid = lab.serve("server", "web", "echo", &["tcp://[::]:8080,backlog=4"])?;
    // The third host starts connections and never hears the answers, so that it never completes one.
    Nft::new(Table::Inet, "deaf")
        .base("input", Hook::Input, 0, Policy::Accept)
        .rule("input", |r| r.tcp_sport(8080).drop())
        .commit(lab.node("other")?)?;
    lab.serve("other", "flood", "knock", &["16", "203.0.113.2:8080"])?;
    let locus = json!({"kind": "socket", "proto": "tcp", "pid": pid});
    Ok(Broken::by("syn-queue-full", locus).heal(|lab| {
        lab.stop("flood")?;
        lab.stop("web")?;
        lab.node("server")?.sysctl("net.ipv4.tcp_syncookies", "1")?;
        lab.serve("server", "web", "echo", &["tcp://[::]:8080"]).map(drop)
    }))
}
