//! nft accepts the service; a legacy rule of the other engine, which nft does not list, drops it.

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;
use netwhy_change::ipt::{IptRule, Target};
use netwhy_change::nft::{Hook, Nft, Policy, Table};

pub(super) static CASE: Case = Case {
    id: "two-engines",
    title: "nft accepts and a legacy rule drops",
    topology: Topology::TwoHosts,
    ask: Ask { node: "server", args: &["connect", ":8080", "--inbound", "--from", "203.0.113.1"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect timeout"] },
    fault,
    ruled_out: &["svc-not-listening"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let server = lab.node("server")?;
    Nft::new(Table::Inet, "filter")
        .base("input", Hook::Input, 0, Policy::Drop)
        .rule("input", |r| r.ct_state(2 | 4).accept())
        .rule("input", |r| r.tcp_dport(8080).accept())
        .rule("input", |r| r.icmp6_type(135).accept())
        .commit(server)?;
    let rule = IptRule::new(Target::Drop).tcp_dport(8080);
    let number = server.ipt_insert("iptables", "filter", "INPUT", None, &rule)?;
    Ok(Broken::by("legacy-and-nft-both", locus::ipt_rule("iptables", "filter", "INPUT", number))
        .heal(move |lab| lab.node("server")?.ipt_delete("iptables", "filter", "INPUT", number as usize)))
}
