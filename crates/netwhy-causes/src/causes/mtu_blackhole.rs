//! # Large packets vanish on the way and nobody says so
//!
//! ## What you see
//! connect() works and small exchanges too; a TLS handshake, a page, a file stalls until it times out.
//!
//! ## What happens
//! Somewhere on the path a link carries smaller packets than the ends believe (a tunnel, PPPoE, a VPN), and the ICMP
//! message that would tell the sender is filtered. Path MTU discovery fails silently.
//!
//! ## How netwhy knows
//! Probes with the don't-fragment bit: small ones are answered, large ones vanish without any ICMP message, and the
//! boundary lies below the MTU of this host's own device.
//!
//! Where the target answers no echo: the question is asked again on connections that announce and send small segments
//! only. They are answered, and the plain one is not.
//!
//! ## Look-alikes
//! A path that loses everything (path-or-remote-drop): small probes vanish too. Path MTU discovery that works: a router
//! answers the large probe with its MTU. A slow or silent service: large probes are answered.
//!
//! ## What to do
//! Let ICMP 3/4 (ICMPv6 type 2) through the firewalls, or align the MTUs; until then clamp the MSS at the tunnel, or give
//! the route the MTU that passes.
//!
//! ## References
//! RFC 1191, RFC 8201, RFC 2923, RFC 8899; ip-route(8) mtu, tcp(7) tcp_mtu_probing.

use netwhy_facts::path::{PathMtu, PathMtus, Paths};
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "mtu-blackhole",
    title: "large packets vanish on the way and nobody says so",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client],
    layer: Layer::Path,
    scope: Scope::EveryFlow,
    needs: &["path-mtus", "paths", "attempts"],
    explains: &["path-or-remote-drop", "tls-silent", "http-no-answer"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let Some(all) = case.facts.latest::<PathMtus>().value() else { return Verdict::Silent };
    let of_flow = || all.0.iter().filter(|m| m.dst == case.flow.dst);
    // Echo says more where it is answered.
    let by_echo = of_flow().find(|m| m.proto == Proto::Icmp && m.passes.is_some());
    let Some(mtu) = by_echo.or_else(|| of_flow().next_back()) else { return Verdict::Silent };
    if mtu.proto == Proto::Tcp {
        return by_connection(case, mtu);
    }
    let (v, command) = if case.flow.dst.is_ipv4() { (28, "ping -M do") } else { (48, "ping -6 -M do") };
    let evidence = |text: String| {
        Evidence::new("path-mtu", text, "DF probes")
            .value(serde_json::json!({"passes": mtu.passes, "fails": mtu.fails, "local_mtu": mtu.local_mtu}))
            .command(format!(
                "{command} -c 1 -s {} {}",
                mtu.fails.unwrap_or(mtu.local_mtu).saturating_sub(v),
                case.flow.dst
            ))
    };
    let Some(passes) = mtu.passes else {
        return Verdict::ruled_out(
            "small probes get no answer either",
            vec![evidence("no size was answered".into())],
        );
    };
    if let Some((from, told)) = mtu.told {
        return Verdict::ruled_out(
            format!("{from} tells the sender its MTU ({told} bytes): path MTU discovery works"),
            vec![evidence(format!("{from} answered a large probe with its MTU {told}"))],
        );
    }
    if !mtu.black_hole {
        return Verdict::ruled_out(
            format!("packets of {passes} bytes with don't-fragment are answered"),
            vec![evidence(format!("{passes} bytes pass"))],
        );
    }
    let fails = mtu.fails.unwrap_or(mtu.local_mtu);
    let last = case.facts.latest::<Paths>().value().and_then(|paths| {
        let path = paths.0.iter().find(|p| p.flow.dst == case.flow.dst)?;
        path.hops.iter().rev().find_map(|h| h.replies.first().map(|r| (h.ttl, r.from)))
    });
    let locus = match last {
        Some((ttl, from)) if from != case.flow.dst => {
            Locus::Hop { address: Some(from), ttl, detail: "last hop that answers".into() }
        }
        _ => Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: case.flow.proto },
    };
    let workaround = case.flow.dst;
    Finding::new(
        locus,
        format!(
            "packets of {passes} bytes reach {workaround} and packets of {fails} vanish without an ICMP message: a link on the way is smaller than this host's MTU of {} and the message that would say so is filtered",
            mtu.local_mtu
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(evidence(format!("{passes} bytes are answered, {fails} bytes are not, no ICMP message came")))
    .fix(Fix::act("on the router before the small link: let ICMP \"fragmentation needed\" (ICMPv6 \"packet too big\") out, or clamp the MSS there"))
    .fix(
        Fix::act(format!(
            "until then, here: give the route to {workaround} the size that passes (ip route ... mtu {passes})"
        ))
        .risk("every flow by that route sends smaller packets"),
    )
    .verify(format!("{command} -c 1 -s {} {workaround}", fails.saturating_sub(v)))
    .outside()
    .proven()
}

/// Where the target answers no echo: connections with small segments against the plain one.
fn by_connection(case: &Case<'_>, mtu: &PathMtu) -> Verdict {
    let target = case.flow.target();
    let evidence = |text: String| {
        Evidence::new("path-mtu", text, "connections with small segments (TCP_MAXSEG)")
            .value(serde_json::json!({"passes": mtu.passes, "fails": mtu.fails, "local_mtu": mtu.local_mtu}))
            .command(format!("tcpdump -nnv host {} and port {}", case.flow.dst, case.flow.dport))
    };
    let (Some(passes), true) = (mtu.passes, mtu.black_hole) else {
        return Verdict::ruled_out(
            "a connection with small segments gets no answer either",
            vec![evidence("packets of 576 bytes at most, and no answer either".into())],
        );
    };
    Finding::new(
        Locus::RemoteEndpoint { address: case.flow.dst, port: case.flow.dport, proto: case.flow.proto },
        format!(
            "{target} answers on a connection whose packets have at most {passes} bytes, and not on one with this host's MTU of {}: larger packets vanish on the way, in one direction or the other, without an ICMP message",
            mtu.local_mtu
        ),
    )
    .maybe(case.ev_attempt())
    .evidence(evidence(format!("answered with packets of at most {passes} bytes, not with {}", mtu.local_mtu)))
    .fix(Fix::act("on the router before the small link: let ICMP \"fragmentation needed\" (ICMPv6 \"packet too big\") out, or clamp the MSS there"))
    .fix(
        Fix::act(format!(
            "until then, here: let connections announce small segments (ip route ... advmss {} mtu {passes})",
            passes.saturating_sub(if case.flow.dst.is_ipv4() { 40 } else { 60 })
        ))
        .risk("every flow by that route sends smaller packets"),
    )
    .verify(case.ask_again())
    .outside()
    .proven()
}

#[cfg(test)]
mod tests {
    use netwhy_facts::Proto;
    use netwhy_facts::path::PathMtu;

    use super::*;
    use crate::testing::*;

    fn search() -> PathMtu {
        PathMtu {
            dst: ip("203.0.113.2"),
            proto: Proto::Icmp,
            local_mtu: 1500,
            passes: Some(1400),
            fails: Some(1401),
            told: None,
            black_hole: true,
            sent: 9,
        }
    }
    fn client(m: PathMtu) -> Scene {
        Scene::client("203.0.113.2", 443).with(PathMtus(vec![m]))
    }

    #[test]
    fn small_pass_large_vanish_proves_it() {
        let f = proven(client(search()).judge(&CAUSE));
        assert!(f.outside && f.summary.contains("1400"), "{}", f.summary);
        assert!(f.verify.contains("-s 1373"), "{}", f.verify);
    }

    #[test]
    fn a_router_that_says_so_a_dead_path_and_a_wide_one_rule_it_out() {
        let told = PathMtu { told: Some((ip("198.51.100.1"), 1400)), black_hole: false, ..search() };
        assert!(ruled_out(client(told).judge(&CAUSE)).contains("works"));
        ruled_out(client(PathMtu { passes: None, black_hole: false, ..search() }).judge(&CAUSE));
        let wide = PathMtu { passes: Some(1500), fails: None, black_hole: false, ..search() };
        ruled_out(client(wide).judge(&CAUSE));
    }

    #[test]
    fn where_echo_is_filtered_small_segments_tell() {
        let by_tcp = PathMtu { proto: Proto::Tcp, passes: Some(1260), fails: Some(1500), ..search() };
        let no_echo = PathMtu { passes: None, fails: None, black_hole: false, ..search() };
        let scene = |tcp: PathMtu| client(no_echo.clone()).with(PathMtus(vec![no_echo.clone(), tcp]));
        let f = proven(scene(by_tcp.clone()).judge(&CAUSE));
        assert!(f.outside && f.summary.contains("at most 1260 bytes"), "{}", f.summary);
        let dead = PathMtu { passes: None, black_hole: false, ..by_tcp };
        assert!(ruled_out(scene(dead).judge(&CAUSE)).contains("small segments"));
    }

    #[test]
    fn without_a_search_nothing_is_said() {
        silent(Scene::client("203.0.113.2", 443).timeout(3000).judge(&CAUSE));
    }
}
