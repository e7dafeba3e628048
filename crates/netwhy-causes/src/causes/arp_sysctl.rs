//! # A setting keeps this host from answering ARP for the address
//!
//! ## What you see
//! Clients on the link get EHOSTUNREACH after three seconds, as if the host were off; from the host itself all is well.
//!
//! ## What happens
//! arp_ignore lets the host answer only for addresses of the device a request comes in by (1), of the sender's subnet
//! too (2), or for none (8); arp_filter only where the way back to the sender leads through that device. The address is
//! on another device (often loopback, a virtual address), and so nobody on the link learns where it is.
//!
//! ## How netwhy knows
//! ARP requests for the address arrived, no reply left, and arp_ignore or arp_filter, applied to the request, says so.
//!
//! ## Look-alikes
//! An arptables or nft arp rule that drops the request. An address that is not on this host at all (dst-ip-not-here).
//! Behind a load balancer with direct return the setting is meant so: only the balancer may answer.
//!
//! ## What to do
//! Set arp_ignore (arp_filter) back to 0 on the device and on `all`, or put the address on the device that faces the
//! clients.
//!
//! ## References
//! Documentation/networking/ip-sysctl.rst (arp_ignore, arp_filter, arp_announce); net/ipv4/arp.c (arp_process).

use netwhy_facts::address::{Address, Addresses};
use netwhy_facts::question::Scenario;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{IpNet, Locus, Role};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "arp-sysctl",
    title: "a setting keeps this host from answering ARP for the address",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound],
    layer: Layer::Neighbour,
    scope: Scope::EveryFlow,
    needs: &["sysctls", "addresses", "links", "capture", "attempts", "mib"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let dst = case.flow.dst;
    if !dst.is_ipv4() || case.fate() == Fate::Works {
        return Verdict::Silent;
    }
    let Some(sysctls) = case.facts.value::<Sysctls>() else { return Verdict::Silent };
    let own = case.facts.value::<Addresses>().map(|a| a.0.as_slice()).unwrap_or_default();
    if !own.iter().any(|a| a.addr == dst) {
        return Verdict::Silent; // dst-ip-not-here
    }
    let asked: Vec<_> = case
        .packets()
        .iter()
        .filter(|p| !p.out && matches!(p.arp, Some((1, _))) && p.dst == dst)
        .filter(|p| case.question.from.is_none_or(|from| from == p.src))
        .collect();
    let Some(request) = asked.first() else { return Verdict::Silent };
    let answered = case.packets().iter().any(|p| p.out && matches!(p.arp, Some((2, _))) && p.src == dst);
    let dev = case.dev_name(request.ifindex);
    let refused = ignores(sysctls, own, dst, request.src, request.ifindex, &dev)
        .or_else(|| filters(case, sysctls, request.ifindex, &dev));
    let Some((name, value, why)) = refused else { return Verdict::Silent };
    if answered {
        return Verdict::ruled_out(
            format!("{name} = {value} was taken to refuse ARP, but this host answered"),
            case.ev_capture().into_iter().collect(),
        );
    }
    Finding::new(
        Locus::Sysctl { name: name.clone(), value: value.to_string() },
        format!("{name} = {value} keeps this host from answering ARP for {dst} on {dev}: {why}"),
    )
    .evidence(
        Evidence::new(
            "arp-requests",
            format!(
                "{} ARP requests of {} for {dst} arrived on {dev}, no reply left",
                asked.len(),
                request.src
            ),
            "AF_PACKET",
        )
        .value(asked.len())
        .command(format!("tcpdump -nni {} arp and host {dst}", quote(&dev))),
    )
    .evidence(
        Evidence::new("sysctl", format!("{name} is {value}"), "/proc/sys")
            .value(value)
            .command(format!("sysctl {}", quote(&name))),
    )
    .fix(
        Fix::run(
            "answer for every address of this host",
            format!("sysctl -w {}=0", quote(&name)),
            format!("sysctl -w {}={value}", quote(&name)),
        )
        .risk("behind a load balancer with direct return the address must stay silent here"),
    )
    .verify(format!("arping -c 1 {dst}   # on a host of the link"))
    .proven()
}

/// The larger of `all` and the device, with the name it stands under (IN_DEV_MAXCONF).
fn largest(sysctls: &Sysctls, dev: &str, what: &str) -> Option<(String, i64)> {
    let all = sysctls.conf4("all", what).unwrap_or(0);
    let own = sysctls.conf4(dev, what).unwrap_or(0);
    let holder = if own > all { dev.replace('.', "/") } else { "all".into() };
    (all.max(own) > 0).then(|| (format!("net.ipv4.conf.{holder}.{what}"), all.max(own)))
}

fn ignores(
    sysctls: &Sysctls,
    own: &[Address],
    dst: std::net::IpAddr,
    sender: std::net::IpAddr,
    ifindex: u32,
    dev: &str,
) -> Option<(String, i64, String)> {
    let (name, value) = largest(sysctls, dev, "arp_ignore")?;
    let here = own.iter().filter(|a| a.addr == dst);
    let on_dev = here.clone().any(|a| a.ifindex == ifindex);
    let same_net =
        here.clone().any(|a| a.ifindex == ifindex && IpNet::new(a.addr, a.prefix).contains(&sender));
    let host_scope = here.clone().all(|a| a.scope >= 254);
    let why = match value {
        1 if !on_dev => format!("the address is on another device than {dev}"),
        2 if !same_net => format!("the address is not on {dev} in the sender's subnet"),
        3 if host_scope => "the address has host scope".to_string(),
        8 => "it answers for no address".to_string(),
        _ => return None,
    };
    Some((name, value, why))
}

fn filters(case: &Case<'_>, sysctls: &Sysctls, ifindex: u32, dev: &str) -> Option<(String, i64, String)> {
    let (name, value) = largest(sysctls, dev, "arp_filter")?;
    // The way back to the sender, as predicted for the answer.
    let netwhy_walk::End::Sent { dev: back, .. } = &case.reply.end else { return None };
    let index = case.link(back).map(|l| l.index)?;
    (index != ifindex).then(|| (name, value, format!("the way back to the sender leads through {back}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn server(settings: &[(&str, &str)]) -> Scene {
        let map = settings.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let mut on_lo = address(1, "203.0.113.50", 32);
        on_lo.scope = 0;
        Scene::inbound("203.0.113.50", 80)
            .with(Addresses(vec![address(2, "203.0.113.2", 24), on_lo]))
            .with(Sysctls(map))
    }
    const IGNORE: &[(&str, &str)] =
        &[("net.ipv4.conf.all.arp_ignore", "1"), ("net.ipv4.conf.eth0.arp_ignore", "0")];

    #[test]
    fn a_request_without_reply_and_arp_ignore_prove_it() {
        let f = proven(server(IGNORE).arp_request(false, CLIENT4, "203.0.113.50").judge(&CAUSE));
        assert_eq!(f.fix[0].command, "sysctl -w net.ipv4.conf.all.arp_ignore=0");
    }

    #[test]
    fn a_reply_rules_it_out() {
        let scene = server(IGNORE).arp_request(false, CLIENT4, "203.0.113.50").arp_reply(
            true,
            "203.0.113.50",
            "02:00:00:00:00:01",
        );
        ruled_out(scene.judge(&CAUSE));
    }

    #[test]
    fn without_the_setting_or_without_a_request_it_is_innocent() {
        silent(server(&[]).arp_request(false, CLIENT4, "203.0.113.50").judge(&CAUSE));
        silent(server(IGNORE).captured().judge(&CAUSE));
        silent(server(IGNORE).arp_request(false, CLIENT4, "203.0.113.2").judge(&CAUSE));
    }

    #[test]
    fn arp_filter_asks_for_the_way_back() {
        let filter = &[("net.ipv4.conf.eth0.arp_filter", "1")];
        let other = netwhy_walk::End::Sent { dev: "eth1".into(), next_hop: None };
        let scene = server(filter).reply(&[netwhy_walk::Stage::Routing], other).arp_request(
            false,
            CLIENT4,
            "203.0.113.50",
        );
        assert!(proven(scene.judge(&CAUSE)).summary.contains("eth1"));
    }
}
