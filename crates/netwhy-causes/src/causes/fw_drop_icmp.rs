//! # A firewall rule of this host drops the ICMP errors a connection needs
//!
//! ## What you see
//! Small exchanges work and large ones hang: the handshake completes, the first full-sized packet is lost for ever. Or a
//! refusal that arrives as ICMP never reaches the program, which waits until it times out. Or ping fails and nothing else.
//!
//! ## What happens
//! A rule drops incoming ICMP: "fragmentation needed" (ICMPv6 packet too big), on which path MTU discovery depends,
//! the unreachables that report a refusal, or echo requests and replies.
//!
//! ## How netwhy knows
//! An ICMP error about the flow arrived (capture, which sees it before the rules) and the ruleset, executed on it, drops
//! it; for echo the rule that stops the flow itself selects ICMP.
//!
//! ## Look-alikes
//! A router that does not send the error at all (mtu-blackhole): none arrives. A rule that stops the flow itself
//! (fw-drop-*).
//!
//! ## What to do
//! Accept ICMP errors of known flows (ct state related), and always "packet too big".
//!
//! ## References
//! RFC 1191, RFC 8201, RFC 4890; nft(8) "ct state related".

use netwhy_facts::capture::CapturedPacket;
use netwhy_facts::link::Links;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Proto, Role};
use netwhy_walk::{CtHypothesis, End, Origin, Packet, Path};

use crate::case::{Case, Fate};
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::obstacle::{Sight, is_firewall, object_text};
use crate::{firewall, fix};

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "fw-drop-icmp",
    title: "a firewall rule of this host drops the ICMP errors a connection needs",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Client, Role::Inbound],
    layer: Layer::Firewall,
    scope: Scope::EveryFlow,
    needs: &[
        "nft",
        "xtables",
        "mib",
        "capture",
        "attempts",
        "addresses",
        "kernel-events",
        "links",
        "routes",
        "rules",
        "sysctls",
        "bpf",
        "tc",
        "conntrack",
        "conntrack-entries",
        "fdb",
        "ipsets",
        "nexthops",
        "sockets",
        "xfrm",
        "fib-answers",
        "neighbours",
    ],
    explains: &[
        "mtu-blackhole",
        "path-or-remote-drop",
        "reply-lost-upstream",
        "fw-drop-inbound",
        "fw-drop-outbound",
        "fw-drop-reply",
    ],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    if case.flow.proto == Proto::Icmp {
        return echo(case);
    }
    // One error of each kind is enough.
    let mut kinds: Vec<(u8, u8)> = Vec::new();
    let mut all = Vec::new();
    for p in &case.seen.icmp_in {
        let Some((kind, code, _)) = p.icmp else { continue };
        if kinds.contains(&(kind, code)) {
            continue;
        }
        kinds.push((kind, code));
        all.push(one(case, p, kind, code));
    }
    Verdict::several(all)
}

/// A ping that a rule about ICMP stops: the rule is about the protocol, not about the target.
fn echo(case: &Case<'_>) -> Verdict {
    if case.fate() == Fate::Works {
        return Verdict::Silent;
    }
    let about_icmp = |locus: &Locus| match locus {
        Locus::NftRule { text, .. } => text.contains("icmp"),
        Locus::IptRule { text, .. } => text.contains("icmp"),
        _ => false,
    };
    let all = case.obstacles_where(|o| firewall::stops(case, o) && o.locus.is_some_and(about_icmp));
    let verdicts = all.iter().map(|o| {
        let Some(locus) = o.locus else { return Verdict::Silent };
        let sight = case.sight(o);
        if sight == Sight::Contradicts {
            return Verdict::Silent;
        }
        let mut finding = Finding::new(
            locus.clone(),
            format!("{} drops {}: only ICMP is affected", object_text(locus), case.packets_text(o)),
        );
        for e in case.ev_obstacle(o) {
            finding = finding.evidence(e);
        }
        for f in firewall::let_pass(o) {
            finding = finding.fix(f);
        }
        finding.verify(case.ask_again()).proven_if(sight == Sight::Agrees && !o.next && case.firm(o.path))
    });
    Verdict::several(verdicts.collect())
}

fn is_too_big(v6: bool, kind: u8, code: u8) -> bool {
    if v6 { kind == 2 } else { (kind, code) == (3, 4) }
}

fn one(case: &Case<'_>, p: &CapturedPacket, kind: u8, code: u8) -> Verdict {
    let v6 = p.src.is_ipv6();
    let too_big = is_too_big(v6, kind, code);
    // A refusal that got through is known to the socket; a lost one leaves the attempt waiting.
    if !too_big && !case.timed_out() {
        return Verdict::Silent;
    }
    let path = error_path(case, p, kind, code);
    let End::Dropped { locus } = &path.end else { return Verdict::Silent };
    if !is_firewall(locus) {
        return Verdict::Silent;
    }
    let counted = case.rule_counter(locus);
    if counted == Some(0) {
        return Verdict::ruled_out(
            format!("{} was predicted to drop the ICMP error, but counted nothing", object_text(locus)),
            case.ev_rule_counter(locus).into_iter().collect(),
        );
    }
    let what = if too_big { "\"packet too big\"" } else { "the refusal" };
    let effect =
        if too_big { "large packets are lost for ever" } else { "the program waits until it times out" };
    let nft = match (too_big, v6) {
        (true, false) => "icmp type destination-unreachable icmp code frag-needed",
        (true, true) => "icmpv6 type packet-too-big",
        (false, _) => "ct state related",
    };
    let ipt = match (too_big, v6) {
        (true, false) => "-p icmp --icmp-type fragmentation-needed",
        (true, true) => "-p ipv6-icmp --icmpv6-type packet-too-big",
        (false, _) => "-m conntrack --ctstate RELATED",
    };
    let mut finding = Finding::new(
        locus.clone(),
        format!("{} drops {what} that {} sends about the flow: {effect}", object_text(locus), p.src),
    )
    .maybe(case.ev_attempt())
    .evidence(
        Evidence::new(
            "icmp-error",
            format!("ICMP{} {kind}/{code} about the flow arrived from {}", if v6 { "v6" } else { "" }, p.src),
            "AF_PACKET",
        )
        .value(serde_json::json!({"from": p.src.to_string(), "type": kind, "code": code}))
        .command(format!(
            "tcpdump -nni any '{} and src {}'",
            if v6 { "icmp6" } else { "icmp" },
            p.src
        )),
    )
    .evidence(case.ev_prediction(&path, "ICMP error's"))
    .maybe(case.ev_rule_counter(locus));
    for f in fix::let_pass(locus, nft, ipt).into_iter().take(1) {
        finding = finding.fix(f);
    }
    let fails = case.fate() != Fate::Works || too_big;
    finding.verify(case.ask_again()).proven_if(fails && (case.firm(&path) || counted.is_some_and(|n| n > 0)))
}

/// The path of an ICMP error as it arrives here.
fn error_path(case: &Case<'_>, p: &CapturedPacket, kind: u8, code: u8) -> Path {
    let packet = Packet {
        src: p.src,
        dst: p.dst,
        proto: if p.src.is_ipv4() { 1 } else { 58 },
        sport: 0,
        dport: 0,
        icmp_type: kind,
        icmp_code: code,
        tcp_flags: 0,
        ttl: p.ttl,
        tos: 0,
        len: p.len,
        mark: 0,
        iif: None,
        oif: None,
        uid: None,
        gid: None,
        mac_src: None,
        mac_dst: None,
        vlan: p.vlan,
        ct: CtHypothesis::Related,
    };
    let known = case.facts.value::<Links>().is_some_and(|l| l.by_index(p.ifindex).is_some());
    let origin = if known { Origin::Arriving { ifindex: p.ifindex } } else { Origin::Local };
    netwhy_walk::predict(case.facts, packet, origin)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::{CmpOp, Data, Expr, Nft, NftChain, NftFamily, NftHook, NftRule, NftVerdict};
    use netwhy_facts::route::{Routes, Rules};
    use netwhy_walk::Stage;

    use super::*;
    use crate::testing::*;

    fn drops_icmp() -> Nft {
        Nft {
            chains: vec![NftChain {
                family: NftFamily::Inet,
                table: "filter".into(),
                name: "early".into(),
                handle: 1,
                hook: Some(NftHook { num: 0, priority: -300, devices: vec![] }),
                chain_type: Some("filter".into()),
                policy: Some(1),
                flags: 0,
                counter: None,
                ..NftChain::default()
            }],
            rules: vec![NftRule {
                family: NftFamily::Inet,
                table: "filter".into(),
                chain: "early".into(),
                handle: 6,
                exprs: vec![
                    Expr::Meta { key: 16, dreg: 1 },
                    Expr::Cmp { op: CmpOp::Eq, sreg: 1, data: vec![1] },
                    Expr::Immediate { dreg: 0, data: Data::Verdict(NftVerdict::Drop) },
                ],
                comment: None,
                compat: false,
            }],
            ..Nft::default()
        }
    }
    fn stalled(kind: u8, code: u8) -> Scene {
        Scene::client("203.0.113.2", 80)
            .with(Routes { routes: vec![], complete: true })
            .with(Rules::default())
            .timeout(3000)
            .request_out()
            .icmp(false, "192.0.2.1", kind, code)
    }

    #[test]
    fn a_dropped_fragmentation_needed_is_proven() {
        let f = proven(stalled(3, 4).with(drops_icmp()).judge_unchecked(&CAUSE));
        assert!(matches!(f.locus, Locus::NftRule { handle: 6, .. }));
        assert!(f.fix[0].command.contains("frag-needed"), "{}", f.fix[0].command);
    }

    #[test]
    fn a_dropped_refusal_is_proven_by_the_wait() {
        let f = proven(stalled(3, 13).with(drops_icmp()).judge_unchecked(&CAUSE));
        assert!(f.summary.contains("waits until it times out"), "{}", f.summary);
    }

    #[test]
    fn an_error_that_got_through_accuses_nobody() {
        silent(stalled(3, 13).with(Nft::default()).judge_unchecked(&CAUSE));
    }

    #[test]
    fn without_an_error_nothing_is_dropped() {
        let scene = Scene::client("203.0.113.2", 80).with(drops_icmp()).timeout(3000).request_out();
        silent(scene.judge_unchecked(&CAUSE));
    }

    #[test]
    fn a_ping_stopped_by_a_rule_about_icmp_is_its_own_condition() {
        let mut scene = Scene::client_icmp("203.0.113.2").timeout(1000).captured();
        let rule = Locus::NftRule {
            family: "inet".into(),
            table: "filter".into(),
            chain: "output".into(),
            handle: 3,
            text: "icmp type echo-request drop".into(),
        };
        scene = scene.forward(&[Stage::Output], End::Dropped { locus: rule.clone() });
        assert_eq!(proven(scene.judge_unchecked(&CAUSE)).locus, rule);
        let other = Scene::client_icmp("203.0.113.2")
            .timeout(1000)
            .captured()
            .forward(&[Stage::Output], End::Dropped { locus: nft_rule("output", 4) });
        silent(other.judge_unchecked(&CAUSE));
    }
}
