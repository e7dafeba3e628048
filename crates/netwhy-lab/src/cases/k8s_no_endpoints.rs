//! kube-proxy's rule for a service without ready pods, on the node that asks.

use netwhy_change::ipt::{IptRule, Target};

use crate::case::{Ask, Broken, Case, Victim, locus};
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::Topology;

pub(super) static CASE: Case = Case {
    id: "k8s-no-endpoints",
    title: "a Kubernetes service without ready endpoints",
    topology: Topology::TwoHosts,
    ask: Ask { node: "client", args: &["connect", "203.0.113.2:8080"] },
    victim: Victim { node: "client", target: "tcp://203.0.113.2:8080", sees: &["connect ECONNREFUSED"] },
    fault,
    ruled_out: &["path-or-remote-drop"],
    budget_ms: 5000,
};

fn fault(lab: &mut Lab) -> Result<Broken> {
    let rule = IptRule::new(Target::Reject(3))
        .destination("203.0.113.2/32")?
        .tcp_dport(8080)
        .comment("shop/web:http has no endpoints");
    let number = lab.node("client")?.ipt_insert("iptables", "filter", "OUTPUT", None, &rule)?;
    Ok(Broken::by("k8s-no-endpoints", locus::ipt_rule("iptables", "filter", "OUTPUT", number))
        .heal(move |lab| lab.node("client")?.ipt_delete("iptables", "filter", "OUTPUT", number as usize)))
}
