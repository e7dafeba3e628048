//! # The client's packets do not reach this host
//!
//! ## What you see
//! The client says it tries; on the server the capture stays empty.
//!
//! ## What happens
//! Something before this host loses the packets: a firewall or router on the way, a wrong address or route at the
//! client, a program or filter below the capture. Or the client does not try.
//!
//! ## How netwhy knows
//! A capture on every device saw no packet from the client to the service in the window, and nothing on this host is
//! predicted to stop one.
//!
//! ## Look-alikes
//! An XDP program of this host that drops the frame before a capture can see it (bpf-drop). The client does not try at
//! all while the question runs: then nothing can be said.
//!
//! ## What to do
//! Ask on the client (netwhy connect TARGET) or on a router between (--transit), while it tries.
//!
//! ## References
//! packet(7); tcpdump(8).

use netwhy_facts::question::Scenario;
use netwhy_facts::{Locus, Role};

use crate::case::Case;
use crate::cause::{Cause, Finding, Layer, Scope, Verdict};
use crate::evidence::Evidence;
use crate::fix::Fix;

/// The cause.
pub static CAUSE: Cause = Cause {
    id: "request-not-arriving",
    title: "the client's packets do not reach this host",
    scenarios: &[Scenario::Connect],
    roles: &[Role::Inbound, Role::Transit],
    layer: Layer::Path,
    scope: Scope::FailedFlow,
    needs: &["capture", "attempts", "mib"],
    explains: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Verdict {
    let s = &case.seen;
    let Some(client) = case.question.from else { return Verdict::Silent };
    if !s.known || s.lost > 0 || s.requests_in > 0 || s.answers_in + s.answers_out + s.resets_in > 0 {
        return Verdict::Silent;
    }
    // A predicted obstacle here is worth more than silence.
    if case.forward.blocker().is_some() || case.reply.blocker().is_some() {
        return Verdict::Silent;
    }
    let target = case.flow.target();
    let watched = case.window_us().unwrap_or(0);
    Finding::new(
        Locus::RemoteEndpoint { address: client, port: 0, proto: case.flow.proto },
        format!(
            "no packet from {client} to {target} reached this host in {:.1} s: if the client tried, its packets are lost before",
            watched as f64 / 1e6
        ),
    )
    .evidence(
        Evidence::new("capture", format!("0 packets from {client} to {target} arrived"), "AF_PACKET")
            .value(0)
            .window(watched)
            .command(format!("tcpdump -nni any src {client} and dst {}", case.flow.dst)),
    )
    .fix(Fix::act(format!("on {client}: netwhy connect {target}")))
    .fix(Fix::act(format!("on a router between: netwhy connect {target} --transit --from {client}")))
    .verify(case.ask_again())
    .outside()
    .consistent()
}

#[cfg(test)]
mod tests {
    use netwhy_walk::{End, Stage};

    use super::*;
    use crate::testing::*;

    #[test]
    fn an_empty_capture_points_outside() {
        let f = consistent(Scene::inbound("203.0.113.2", 80).captured().judge(&CAUSE));
        assert!(f.outside && f.summary.contains("if the client tried"), "{}", f.summary);
    }

    #[test]
    fn a_packet_that_came_ends_it() {
        silent(Scene::inbound("203.0.113.2", 80).request_in().judge(&CAUSE));
    }

    #[test]
    fn without_a_capture_nothing_is_said() {
        silent(Scene::inbound("203.0.113.2", 80).judge(&CAUSE));
    }

    #[test]
    fn a_predicted_obstacle_here_goes_first() {
        let scene = Scene::inbound("203.0.113.2", 80)
            .forward(&[Stage::Input], End::Dropped { locus: nft_policy("input") })
            .captured();
        silent(scene.judge(&CAUSE));
    }

    #[test]
    fn nobody_named_nobody_missed() {
        let mut scene = Scene::inbound("203.0.113.2", 80).captured();
        scene.question.from = None;
        silent(scene.judge(&CAUSE));
    }
}
