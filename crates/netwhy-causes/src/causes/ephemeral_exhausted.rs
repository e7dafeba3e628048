//! # No source port is left for the destination
//!
//! ## What you see
//! connect() fails at once with EADDRNOTAVAIL ("Cannot assign requested address"). Other destinations work.
//!
//! ## What happens
//! Every connection to one address and port needs a source port of its own. All ports of net.ipv4.ip_local_port_range are
//! in use toward this destination, by open connections or by closed ones in TIME-WAIT (60 seconds each).
//!
//! ## How netwhy knows
//! connect() failed with EADDRNOTAVAIL, and sock_diag counts about as many connections to the destination as the range
//! has ports. No counter moves for it.
//!
//! ## Look-alikes
//! A source address that is not here (addr-missing): bind() fails. IPv6 disabled or an address that failed its check: few
//! connections. Many TIME-WAIT sockets without this error are normal.
//!
//! ## What to do
//! Mostly TIME-WAIT: keep connections open (pool, keep-alive), or net.ipv4.tcp_tw_reuse=1 on the client. Mostly open:
//! more destination or source addresses, a wider range.
//!
//! ## References
//! ip(7) ip_local_port_range; net/ipv4/inet_hashtables.c (__inet_hash_connect); tcp(7) tcp_tw_reuse.

use netwhy_facts::question::Scenario;
use netwhy_facts::socket::Sockets;
use netwhy_facts::sysctl::Sysctls;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "ephemeral-exhausted",
    title: "no source port is left for the destination",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Socket,
    scope: Scope::FailedFlow,
    needs: &["sockets", "sysctls", "attempts"],
    explains: &[],
    judge,
};

const RESERVED: &str = "net.ipv4.ip_local_reserved_ports";
const RANGE: &str = "net.ipv4.ip_local_port_range";

/// Low and high end of the range, and how many of its ports are not reserved.
fn range(sysctls: &Sysctls) -> Option<(u16, u16, u32)> {
    let mut ends = sysctls.0.get(RANGE)?.split_whitespace().map(str::parse::<u16>);
    let (low, high) = (ends.next()?.ok()?, ends.next()?.ok()?);
    let reserved = sysctls.0.get(RESERVED).map(String::as_str).unwrap_or_default();
    let mut taken = 0u32;
    for part in reserved.split(',').filter(|p| !p.trim().is_empty()) {
        let (a, b) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        let (a, b) = (a.parse::<u16>().ok()?.max(low), b.parse::<u16>().ok()?.min(high));
        taken += u32::from(b).checked_sub(u32::from(a)).map_or(0, |n| n + 1);
    }
    let all = u32::from(high).checked_sub(u32::from(low))? + 1;
    Some((low, high, all.saturating_sub(taken)))
}

fn judge(case: &Case<'_>) -> Verdict {
    if case.errno() != Some("EADDRNOTAVAIL") {
        return Verdict::Silent;
    }
    let Some((low, high, ports)) = case.facts.value::<Sysctls>().and_then(range) else {
        return Verdict::Silent;
    };
    let sockets = match case.facts.latest::<Sockets>() {
        netwhy_facts::Reading::Known { value, .. } => value,
        absent => {
            return absent
                .absence()
                .map_or(Verdict::Silent, |a| Verdict::unknown("connections to the target", a));
        }
    };
    let count = |states: &[&str]| -> u32 { states.iter().filter_map(|s| sockets.to_target.get(*s)).sum() };
    let used: u32 = sockets.to_target.values().sum();
    let waiting = count(&["TIME-WAIT"]);
    let target = case.flow.target();
    let evidence = Evidence::new(
        "ports-in-use",
        format!("{used} connections to {target} exist ({waiting} in TIME-WAIT), the range {low}-{high} has {ports} free to choose"),
        "sock_diag, /proc/sys",
    )
    .value(serde_json::json!({"used": used, "time_wait": waiting, "ports": ports}))
    .command(format!("ss -tan 'dst {} and dport = :{}' | awk '{{print $1}}' | sort | uniq -c", case.flow.dst, case.flow.dport));
    // The kernel gives up a little before the last port: some are held by sockets that are only bound.
    if u64::from(used) * 10 < u64::from(ports) * 9 {
        return Verdict::ruled_out(
            format!("only {used} of {ports} source ports are in use toward {target}"),
            vec![evidence],
        );
    }
    if ports == 0 {
        return all_reserved(case, (low, high), evidence);
    }
    let mostly_waiting = waiting * 2 > used;
    let what = if mostly_waiting {
        "most of them by connections in TIME-WAIT"
    } else {
        "most of them by open connections"
    };
    let mut finding = Finding::new(
        Locus::PortRange { low, high, dst: target.clone() },
        format!("all {ports} source ports are in use toward {target}, {what}"),
    )
    .maybe(case.ev_attempt())
    .evidence(evidence);
    let reuse = case.facts.value::<Sysctls>().and_then(|s| s.number("net.ipv4.tcp_tw_reuse"));
    if mostly_waiting && reuse != Some(1) {
        let old = reuse.unwrap_or(2);
        finding = finding.fix(
            Fix::run(
                "let new connections take ports that are in TIME-WAIT (after a second, with timestamps)",
                "sysctl -w net.ipv4.tcp_tw_reuse=1",
                format!("sysctl -w net.ipv4.tcp_tw_reuse={old}"),
            )
            .risk("only for connections this host makes; behind a NAT shared with others leave it"),
        );
    }
    if ports < 50_000 {
        finding = finding.fix(
            Fix::run(
                "widen the range",
                format!("sysctl -w {RANGE}=\"1024 65535\""),
                format!("sysctl -w {RANGE}=\"{low} {high}\""),
            )
            .risk("ports of services that start later may be taken; reserve them (ip_local_reserved_ports)"),
        );
    }
    finding
        .fix(Fix::act("keep connections open (pool, keep-alive), or spread them over more addresses"))
        .verify(case.ask_again())
        .proven()
}

/// Every port of the range is set aside: no connection is to blame.
fn all_reserved(case: &Case<'_>, (low, high): (u16, u16), evidence: Evidence) -> Verdict {
    let reserved = case.facts.value::<Sysctls>().and_then(|s| s.0.get(RESERVED)).cloned().unwrap_or_default();
    Finding::new(
        Locus::Sysctl { name: RESERVED.into(), value: reserved.clone() },
        format!("the whole range of source ports {low}-{high} is reserved ({RESERVED} = {reserved}): none is left to choose"),
    )
    .maybe(case.ev_attempt())
    .evidence(evidence.command(format!("sysctl {RANGE} {RESERVED}")))
    .fix(
        Fix::run(
            "widen the range beyond what is reserved",
            format!("sysctl -w {RANGE}=\"1024 65535\""),
            format!("sysctl -w {RANGE}=\"{low} {high}\""),
        )
        .risk("ports of services that start later may be taken; reserve them (ip_local_reserved_ports)"),
    )
    .verify(case.ask_again())
    .proven()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn client(established: u32, waiting: u32) -> Scene {
        let map = [
            (RANGE.to_string(), "40000 40099".to_string()),
            ("net.ipv4.ip_local_reserved_ports".to_string(), "40090-40099,50000".to_string()),
        ];
        let to_target = [("ESTAB".to_string(), established), ("TIME-WAIT".to_string(), waiting)];
        Scene::client("203.0.113.2", 80)
            .with(Sysctls(map.into()))
            .with(Sockets { to_target: to_target.into(), ..Sockets::default() })
    }

    #[test]
    fn as_many_connections_as_ports_prove_it() {
        let f = proven(client(88, 1).errno("EADDRNOTAVAIL", 0).judge(&CAUSE));
        assert!(f.summary.contains("all 90 source ports") && f.summary.contains("open"), "{}", f.summary);
        assert!(f.fix[0].command.contains("ip_local_port_range"));
        assert_eq!(f.fix[0].undo, "sysctl -w net.ipv4.ip_local_port_range=\"40000 40099\"");
    }

    #[test]
    fn a_range_that_is_wholly_reserved_blames_the_reservation() {
        let map =
            [(RANGE.to_string(), "40000 40001".to_string()), (RESERVED.to_string(), "40000-40001".into())];
        let scene = Scene::client("203.0.113.2", 80).with(Sysctls(map.into())).with(Sockets::default());
        let f = proven(scene.errno("EADDRNOTAVAIL", 0).judge(&CAUSE));
        assert!(matches!(f.locus, Locus::Sysctl { .. }) && f.summary.contains("reserved"), "{}", f.summary);
    }

    #[test]
    fn time_wait_is_told_apart() {
        let f = proven(client(2, 88).errno("EADDRNOTAVAIL", 0).judge(&CAUSE));
        assert!(f.summary.contains("TIME-WAIT") && f.fix[0].command.contains("tcp_tw_reuse=1"));
    }

    #[test]
    fn ports_to_spare_rule_it_out() {
        assert!(ruled_out(client(3, 0).errno("EADDRNOTAVAIL", 0).judge(&CAUSE)).contains("only 3"));
    }

    #[test]
    fn many_connections_without_the_error_are_normal() {
        silent(client(2, 90).judge(&CAUSE));
        silent(client(2, 90).timeout(3000).judge(&CAUSE));
    }

    #[test]
    fn sockets_that_may_not_be_read_are_unknown() {
        let scene = client(0, 0).denied::<Sockets>("CAP_NET_ADMIN").errno("EADDRNOTAVAIL", 0);
        unknown(scene.judge(&CAUSE));
    }
}
