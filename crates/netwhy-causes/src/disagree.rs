//! Where prediction and observation contradict each other: a finding of its own, named even when a cause explains it.

use netwhy_walk::{End, Path};

use crate::case::Case;
use crate::events::by_rule;
use crate::obstacle::{Direction, Obstacle, is_firewall};
use crate::report::{CauseOut, Disagreement, StageOut};

/// Contradictions about one flow, from the kernel's events and from the stages.
pub(crate) fn of_flow(case: &Case<'_>, causes: &[CauseOut], stages: &[StageOut]) -> Vec<Disagreement> {
    let flow = case.flow.target();
    let mut out: Vec<Disagreement> = stages
        .iter()
        .filter(|s| s.disagrees && s.flow == flow)
        .map(|s| Disagreement {
            flow: s.flow.clone(),
            direction: s.direction.clone(),
            predicted: s.predicted.clone(),
            observed: s.observed.clone(),
            source: "AF_PACKET".into(),
            explained_by: String::new(),
        })
        .collect();
    for (direction, path) in [(Direction::Forward, case.forward), (Direction::Reply, case.reply)] {
        out.extend(of_path(case, direction, path).map(|(predicted, observed, value)| Disagreement {
            flow: flow.clone(),
            direction: match direction {
                Direction::Forward => "forward".into(),
                Direction::Reply => "reply".into(),
            },
            explained_by: explained_by(causes, &flow, &value),
            predicted,
            observed,
            source: "skb:kfree_skb".into(),
        }));
    }
    out
}

/// What was predicted, what was seen, and the value that evidence of the same has.
fn of_path(case: &Case<'_>, direction: Direction, path: &Path) -> Option<(String, String, String)> {
    let predicted = path.last().map(|step| step.text.clone()).unwrap_or_default();
    let freed: Vec<_> = case.freed().into_iter().filter(|f| f.is(direction)).collect();
    // A reply path that no request of this run came to has met nothing.
    let obstacle = case.obstacles().into_iter().find(|o| !o.next && o.direction == direction);
    let unexpected = freed.iter().find(|f| match &path.end {
        // What a socket turns away, or a neighbour that fails, is an end the walk cannot know of.
        End::Delivered { .. } | End::Sent { .. } => f.reason != "NO_SOCKET",
        End::Dropped { locus } if is_firewall(locus) => !(f.by_netfilter() && by_rule(locus, f.location)),
        End::Dropped { .. } | End::Unroutable { .. } | End::NoSocket { .. } => f.by_netfilter(),
        // A rule that rejects frees the packet as well; what stops at an unknown place may be freed for any reason.
        End::Rejected { .. } | End::Unresolved { .. } | End::Stolen { .. } | End::Insufficient { .. } => {
            false
        }
    });
    if let Some(f) = unexpected {
        let passes = if path.passes() { ": it passes" } else { "" };
        return Some((format!("{predicted}{passes}"), case.freed_text(f), f.value()));
    }
    let silent = freed.is_empty() && case.events_complete("drop");
    let stops = |o: &Obstacle<'_>| o.is_firewall() && o.is_drop() && case.met(o) && path.is_certain();
    (silent && obstacle.as_ref().is_some_and(stops)).then(|| {
        let observed = "the kernel freed no packet of this direction".to_string();
        (format!("{predicted}: it is dropped"), observed, String::new())
    })
}

/// The cause whose evidence is the same observation.
fn explained_by(causes: &[CauseOut], flow: &str, value: &str) -> String {
    let same = |c: &&CauseOut| {
        (c.flows.is_empty() || c.flows.iter().any(|f| f == flow))
            && c.evidence.iter().any(|e| e.id == "drop-event" && e.value.as_str() == Some(value))
    };
    causes.iter().find(same).map(|c| c.id.clone()).unwrap_or_default()
}
