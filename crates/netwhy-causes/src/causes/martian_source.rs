//! # The packet's addresses are not acceptable on the device it came by
//!
//! ## What you see
//! Packets arrive and vanish: no answer, no error, no counter of this namespace moves. With log_martians set the kernel
//! log has "martian source".
//!
//! ## What happens
//! The kernel refuses a packet whose source is one of its own addresses, loopback, multicast or 0.0.0.0/8, or whose
//! destination is loopback, when it comes from a wire. A hairpin or a duplicated address causes the first.
//!
//! ## How netwhy knows
//! The checks the kernel makes on the packet end in that refusal, the packet arrived in the window and nothing came of
//! it, and `IPReversePathFilter` stayed flat.
//!
//! ## Look-alikes
//! Reverse path filtering (rp-filter): `IPReversePathFilter` rises.
//!
//! ## What to do
//! Find who sends with that address. accept_local and route_localnet allow the two cases some proxies want.
//!
//! ## References
//! RFC 1812 section 5.3.7; net/ipv4/route.c (ip_route_input_slow), net/ipv4/fib_frontend.c (fib_validate_source).

use netwhy_facts::address::Addresses;
use netwhy_facts::host::KernelLog;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{Fix, quote};
use crate::obstacle::{Obstacle, Sight};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "martian-source",
    title: "the packet's addresses are not acceptable on the device it came by",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound, Role::Transit],
    layer: Layer::Address,
    scope: Scope::FailedFlow,
    needs: &["attempts", "capture", "mib", "addresses", "links", "kernel-log", "kernel-events"],
    explains: &["path-or-remote-drop"],
    judge,
};

const REASONS: &[&str] = &["IP_LOCALNET", "IP_LOCAL_SOURCE", "IP_INVALID_SOURCE", "IP_INVALID_DEST"];

fn judge(case: &Case<'_>) -> Verdict {
    let obstacles = case
        .obstacles_where(|o| matches!(o.path.end, End::Dropped { .. }) && o.locus.is_some_and(is_martian));
    Verdict::several(obstacles.iter().map(|o| judge_one(case, o)).collect())
}

/// The objects a refusal of the addresses is predicted with.
fn is_martian(locus: &Locus) -> bool {
    match locus {
        Locus::Address { .. } => true,
        Locus::Sysctl { name, .. } => name.ends_with(".accept_local") || name.ends_with(".route_localnet"),
        _ => false,
    }
}

fn judge_one(case: &Case<'_>, o: &Obstacle<'_>) -> Verdict {
    let Some(locus) = o.locus else { return Verdict::Silent };
    let (src, dst) = (o.path.finally.src, o.path.finally.dst);
    let holder = holder(case, locus, src);
    let object = holder.clone().unwrap_or_else(|| locus.clone());
    let on = o.path.packet.iif.map_or("the device of arrival".to_string(), |i| case.dev_name(i));
    let why = match locus {
        Locus::Sysctl { name, .. } if name.ends_with(".accept_local") => match &holder {
            Some(Locus::Address { dev, .. }) => {
                format!("its source {src} is this host's own address (on {dev})")
            }
            _ => format!("its source {src} is an address of this host"),
        },
        Locus::Sysctl { .. } => format!("loopback addresses ({src} to {dst}) are not accepted from {on}"),
        Locus::Address { address, .. } if *address == src => format!("{src} cannot be a source on {on}"),
        _ => format!("{dst} cannot be a destination on {on}"),
    };
    let sight = case.sight(o);
    let rp = case.grew("TcpExt.IPReversePathFilter");
    if sight == Sight::Contradicts || (!o.next && rp.is_some_and(|d| d > 0)) {
        return Verdict::ruled_out(
            "the addresses were predicted to be refused, but packets got past or reverse path filtering counted them",
            case.ev_capture().into_iter().chain(case.ev_counter("TcpExt.IPReversePathFilter")).collect(),
        );
    }
    let mut finding = Finding::new(object, format!("this host refuses {}: {why}", case.packets_text(o)));
    if o.next {
        finding = finding.evidence(case.ev_next(o));
    } else {
        finding = finding
            .maybe(case.ev_attempt())
            .evidence(case.ev_prediction(o.path, case.direction_text(o)))
            .maybe(ev_log(case))
            .maybe(case.ev_drop_event(|f| REASONS.contains(&f.reason)))
            .maybe(case.ev_counter("TcpExt.IPReversePathFilter"))
            .maybe(case.ev_capture());
    }
    finding = finding.fix(Fix::act(format!(
        "find who sends {src} to {dst} by {on}: tcpdump -neni {} host {src}",
        quote(&on)
    )));
    if let Some(Locus::Address { dev, address, prefix }) = &holder {
        finding = finding.fix(Fix::run(
            "if the address belongs to the sender, take it away here",
            format!("ip addr del {address}/{prefix} dev {}", quote(dev)),
            format!("ip addr add {address}/{prefix} dev {}", quote(dev)),
        ));
    }
    if let Locus::Sysctl { name, value } = locus {
        finding = finding.fix(
            Fix::run(
                "or allow it, where a proxy or a hairpin needs it",
                format!("sysctl -w {}=1", quote(name)),
                format!("sysctl -w {}={value}", quote(name)),
            )
            .risk("forged packets with such addresses are accepted on the device"),
        );
    }
    finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && !o.next && case.firm(o.path))
}

/// The address of this host that the packet's source collides with.
fn holder(case: &Case<'_>, locus: &Locus, src: std::net::IpAddr) -> Option<Locus> {
    let own = matches!(locus, Locus::Sysctl { name, .. } if name.ends_with(".accept_local"));
    let addresses = case.facts.value::<Addresses>().filter(|_| own)?;
    let held = addresses.0.iter().find(|a| a.addr == src)?;
    Some(Locus::Address { dev: case.dev_name(held.ifindex), address: src, prefix: held.prefix })
}

fn ev_log(case: &Case<'_>) -> Option<Evidence> {
    let log = case.facts.latest::<KernelLog>().value()?;
    let (_, _, text) = log.lines.iter().find(|(_, _, text)| text.contains("martian"))?;
    Some(
        Evidence::new("kernel-log", format!("the kernel log says: {text}"), "/dev/kmsg")
            .value(text.clone())
            .command("dmesg | grep martian"),
    )
}

#[cfg(test)]
mod tests {
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn refused() -> Scene {
        let locus = Locus::Sysctl { name: "net.ipv4.conf.eth0.accept_local".into(), value: "0".into() };
        Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::Prerouting, Stage::Routing], End::Dropped { locus })
    }

    #[test]
    fn a_packet_with_our_own_address_that_vanishes_is_proven() {
        let log = KernelLog {
            lines: vec![(1, 4, "IPv4: martian source 203.0.113.2 from 203.0.113.2, on dev eth0".into())],
            lost: 0,
        };
        let scene = refused().with(log).request_in().rose("TcpExt.IPReversePathFilter", 0);
        let f = proven(scene.judge(&CAUSE));
        assert!(f.evidence.iter().any(|e| e.id == "kernel-log"));
        assert!(f.summary.contains("address of this host"), "{}", f.summary);
    }

    #[test]
    fn the_colliding_address_is_the_object() {
        let scene = refused()
            .with(Addresses(vec![address(2, "203.0.113.2", 24), address(1, CLIENT4, 32)]))
            .request_in();
        let f = proven(scene.judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::Address { address, .. } if *address == ip(CLIENT4)));
        assert!(f.fix.iter().any(|f| f.command.starts_with("ip addr del 198.51.100.7/32")));
    }

    #[test]
    fn a_counted_reverse_path_drop_is_the_look_alike() {
        ruled_out(refused().request_in().rose("TcpExt.IPReversePathFilter", 1).judge(&CAUSE));
    }

    #[test]
    fn without_traffic_it_is_only_consistent() {
        consistent(refused().captured().judge(&CAUSE));
    }

    #[test]
    fn a_line_in_the_log_alone_accuses_nobody() {
        let log = KernelLog { lines: vec![(1, 4, "IPv4: martian source".into())], lost: 0 };
        silent(Scene::inbound("203.0.113.2", 80).with(log).request_in().judge(&CAUSE));
    }
}
