//! # The gateway lets a private source out untranslated
//!
//! ## What you see
//! Hosts behind this gateway time out to everything outside, while the gateway itself reaches it.
//!
//! ## What happens
//! The packet leaves with the client's own source, which nobody outside can answer: the SNAT or masquerade rule is
//! missing, was flushed, or does not match this source or device.
//!
//! ## How netwhy knows
//! The packet meets no rule that translates its source, it was seen to leave with the client's own address, and no
//! answer came back.
//!
//! ## Look-alikes
//! A plain router: the source is meant to pass, and the far end knows a way back. A drop here: nothing leaves.
//!
//! ## What to do
//! Add the translation for the outgoing device.
//!
//! ## References
//! RFC 1918, RFC 6598; nft(8) masquerade, iptables-extensions(8) MASQUERADE.

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};
use netwhy_walk::End;

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::{self, Fix, quote};
use crate::nat;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "snat-missing",
    title: "the gateway lets a private source out untranslated",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Transit],
    layer: Layer::Nat,
    scope: Scope::FailedFlow,
    needs: &["nft", "xtables", "attempts", "capture", "addresses", "links"],
    explains: &["path-or-remote-drop"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let path = case.forward;
    let End::Sent { dev, .. } = &path.end else { return Verdict::Silent };
    let (src, dst) = (path.finally.src, path.finally.dst);
    if src.is_unspecified() {
        return Verdict::Silent;
    }
    let s = &case.seen;
    if nat::moves_source(path) {
        if s.known && s.requests_out > 0 && s.answers_in == 0 {
            return Verdict::ruled_out(
                format!("the source {} becomes {src}", path.packet.src),
                case.ev_capture().into_iter().collect(),
            );
        }
        return Verdict::Silent;
    }
    let chain = nat::source_chain(case, src.is_ipv4());
    let private = nat::is_private(&src) && !nat::is_private(&dst);
    let emptied = matches!(chain, Some((_, true)));
    // A router without private sources and without a trace of translation is just a router.
    if !(private || emptied) || s.answers_in + s.resets_in > 0 {
        return Verdict::Silent;
    }
    let locus = match &chain {
        Some((locus, _)) => locus.clone(),
        None => Locus::Link { dev: dev.clone(), index: path.finally.oif.unwrap_or(0) },
    };
    let why = match (&chain, emptied) {
        (Some(_), true) => "the chain for source translation is empty",
        (Some(_), false) => "no rule of the chain for source translation matches it",
        (None, _) => "nothing translates sources here",
    };
    let reason =
        if private { "a private address nobody beyond can answer" } else { "the client's own address" };
    let family = if src.is_ipv4() { "ip" } else { "ip6" };
    let finding = Finding::new(
        locus.clone(),
        format!("packets of {src} leave {dev} for {dst} with their own source, {reason}: {why}"),
    )
    .evidence(
        Evidence::new("untranslated", format!("{src} is not translated on the way to {dst}"), "ruleset")
            .value(src.to_string())
            .command(crate::fix::show(&locus)),
    )
    .maybe(case.ev_capture());
    let finding = match &locus {
        Locus::IptChain { command, .. } => finding.fix(Fix::run(
            "translate sources that leave by the device",
            format!("{command} -t nat -A POSTROUTING -o {} -j MASQUERADE", quote(dev)),
            format!("{command} -t nat -D POSTROUTING -o {} -j MASQUERADE", quote(dev)),
        )),
        Locus::NftChain { family, table, chain, .. } => finding.fix(Fix::run(
            "translate sources that leave by the device",
            format!(
                "nft add rule {} oifname {} masquerade comment \"netwhy\"",
                fix::nft_chain(family, table, chain),
                quote(&fix::nft_word(dev))
            ),
            fix::nft_take_back(&fix::nft_chain(family, table, chain)),
        )),
        _ => finding.fix(Fix::run(
            "translate sources that leave by the device",
            format!(
                "nft {}",
                quote(&format!(
                    "add table {family} nat; add chain {family} nat postrouting {{ type nat hook postrouting priority srcnat; }}; add rule {family} nat postrouting oifname {} masquerade",
                    fix::nft_word(dev)
                ))
            ),
            format!("nft delete table {family} nat"),
        )),
    };
    finding.verify(case.ask_again()).proven_if(private && s.known && s.requests_out > 0 && s.answers_in == 0)
}

#[cfg(test)]
mod tests {
    use netwhy_facts::nft::{Nft, NftChain, NftFamily, NftHook};

    use super::*;
    use crate::testing::*;

    fn gateway(client: &str) -> Scene {
        let mut scene = Scene::transit("203.0.113.2", 80).with(Nft::default());
        scene.forward.packet.src = ip(client);
        scene.forward.finally.src = ip(client);
        scene.flow.src = Some(ip(client));
        scene.question.from = Some(ip(client));
        scene
    }
    fn chain() -> NftChain {
        NftChain {
            family: NftFamily::Ip,
            table: "nat".into(),
            name: "postrouting".into(),
            handle: 1,
            hook: Some(NftHook { num: 4, priority: 100, devices: vec![] }),
            chain_type: Some("nat".into()),
            policy: Some(1),
            flags: 0,
            counter: None,
            ..NftChain::default()
        }
    }

    #[test]
    fn a_private_source_seen_on_the_outside_is_proven() {
        let f = proven(gateway("10.1.2.3").request_in().request_out().judge(&CAUSE));
        assert!(f.fix[0].command.contains("masquerade"), "{}", f.fix[0].command);
    }

    #[test]
    fn an_emptied_chain_is_named() {
        let nft = Nft { chains: vec![chain()], ..Nft::default() };
        let f = consistent(gateway(CLIENT4).with(nft).request_in().request_out().judge(&CAUSE));
        assert!(matches!(&f.locus, Locus::NftChain { chain, .. } if chain == "postrouting"));
    }

    #[test]
    fn a_plain_router_is_not_suspected() {
        silent(gateway(CLIENT4).request_in().request_out().judge(&CAUSE));
    }

    #[test]
    fn an_answer_ends_the_suspicion() {
        silent(gateway("10.1.2.3").request_in().request_out().answer_in().judge(&CAUSE));
    }

    #[test]
    fn a_translated_source_rules_it_out() {
        let mut scene = gateway("10.1.2.3");
        scene.forward.finally.src = ip("203.0.113.1");
        assert!(ruled_out(scene.request_in().request_out().judge(&CAUSE)).contains("becomes 203.0.113.1"));
    }

    #[test]
    fn private_to_private_is_routing() {
        let mut scene = gateway("10.1.2.3");
        scene.forward.finally.dst = ip("10.9.9.9");
        silent(scene.request_in().request_out().judge(&CAUSE));
    }
}
