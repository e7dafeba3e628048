//! # The answers leave by another device than the requests come by
//!
//! ## What you see
//! Clients of one network time out, others work. Requests arrive, answers leave, and nobody acknowledges them.
//!
//! ## What happens
//! The route back to the client leads through another device. A stateful firewall, a translation or a strict reverse
//! path filter on the other way does not know the flow and drops the answer; or the answer carries a source that does
//! not belong there.
//!
//! ## How netwhy knows
//! The capture saw the request come by one device and the answer leave by another, repeated, and no acknowledgement.
//! That the asymmetry is why cannot be seen from here; it is the only thing unusual here.
//!
//! ## Look-alikes
//! An answer lost on the same way it came (reply-lost-upstream). No route back at all (reply-route-missing).
//!
//! ## What to do
//! Route answers by the address they come from: a policy rule for the source address with its own table.
//!
//! ## References
//! ip-rule(8); RFC 2827, RFC 3704 section 2.

use netwhy_facts::capture::FlowCapture;
use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;
use crate::obstacle::object_text;
use crate::routing;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "reply-route-asymmetric",
    title: "the answers leave by another device than the requests come by",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound],
    layer: Layer::Route,
    scope: Scope::FailedFlow,
    needs: &["capture", "links", "attempts"],
    explains: &["reply-lost-upstream"],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let s = &case.seen;
    if !s.known || s.requests_in == 0 || s.answers_out == 0 || s.acks > 0 || s.resets_out > 0 {
        return Verdict::Silent;
    }
    let Some(capture) = case.facts.latest::<FlowCapture>().value() else { return Verdict::Silent };
    let came = capture.toward(case.flow).find(|p| !p.out).map(|p| p.ifindex);
    let went: Vec<u32> =
        capture.back(case.flow).filter(|p| p.out && !p.is_rst()).map(|p| p.ifindex).collect();
    let (Some(came), Some(by)) = (came, went.first().copied()) else { return Verdict::Silent };
    // A bridge and its port, a VLAN and the device below it: the same way, seen twice.
    if went.contains(&came) {
        return Verdict::ruled_out(
            format!("answers leave by the device the requests come by ({})", case.dev_name(came)),
            case.ev_capture().into_iter().collect(),
        );
    }
    let (came_dev, by_dev) = (case.dev_name(came), case.dev_name(by));
    let route = routing::deciding_route(case.reply);
    let locus = route.cloned().unwrap_or(Locus::Link { dev: by_dev.clone(), index: by });
    let client = case.question.from.or(case.flow.src).map_or("CLIENT".to_string(), |c| c.to_string());
    let ip = routing::ip_command(case.flow.dst.is_ipv4());
    let (dst, table) = (case.flow.dst, 100);
    let by_route = route.map(|r| format!(" ({})", object_text(r))).unwrap_or_default();
    Finding::new(
        locus,
        format!(
            "requests of {client} come by {came_dev} and the answers leave by {by_dev}{by_route}; nobody acknowledges them"
        ),
    )
    .evidence(
        Evidence::new(
            "devices",
            format!("requests came by {came_dev}, {} answers left by {by_dev}", went.len()),
            "AF_PACKET",
        )
        .value(serde_json::json!({"in": came_dev, "out": by_dev}))
        .command(format!("tcpdump -nni any host {client} and port {}", case.flow.dport)),
    )
    .maybe(case.ev_capture())
    .fix(Fix::run(
        "answer by the device that has the address: a table of its own for this source",
        format!("{ip} rule add from {dst} lookup {table} && {ip} route add default via GATEWAY dev {came_dev} table {table}"),
        format!("{ip} rule del from {dst} lookup {table} && {ip} route flush table {table}"),
    ))
    .verify(case.ask_again())
    .consistent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    fn crossed(answers: usize) -> Scene {
        let mut scene = Scene::inbound("203.0.113.2", 80).request_in();
        for _ in 0..answers {
            scene = scene.answer_out();
            if let Some(p) = scene.packets.as_mut().and_then(|p| p.last_mut()) {
                p.ifindex = 3;
            }
        }
        scene
    }

    #[test]
    fn another_device_without_an_ack_fits() {
        let f = consistent(crossed(2).judge(&CAUSE));
        assert!(f.summary.contains("come by eth0") && f.summary.contains("leave by eth1"), "{}", f.summary);
    }

    #[test]
    fn the_same_device_rules_it_out() {
        ruled_out(Scene::inbound("203.0.113.2", 80).request_in().answer_out().judge(&CAUSE));
    }

    #[test]
    fn an_acknowledged_answer_got_there() {
        silent(crossed(1).ack_in().judge(&CAUSE));
    }

    #[test]
    fn without_an_answer_it_is_another_matter() {
        silent(Scene::inbound("203.0.113.2", 80).request_in().judge(&CAUSE));
    }
}
