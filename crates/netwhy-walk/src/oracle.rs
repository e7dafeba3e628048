//! Explores what the facts leave open: the walk is run again for every answer an open point can have.

use netwhy_facts::Locus;

use crate::path::{Action, End, Path, Stage, Step};

/// Runs of one walk at most; more open points than that and the walker says it cannot know.
const MAX_RUNS: usize = 48;

/// One open point met during a run.
#[derive(Debug, Clone)]
struct Choice {
    options: usize,
    picked: usize,
    why: String,
    locus: Option<Locus>,
    /// Steps taken before it, and the stage it belongs to.
    steps: usize,
    stage: Stage,
}

/// Answers open points: first from the script of this run, then with option 0.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    script: Vec<usize>,
    taken: Vec<Choice>,
}

impl Oracle {
    /// Picks one of `options` answers for an open point; option 0 is the plainest (usually "does not match").
    pub(crate) fn choose(
        &mut self,
        options: usize,
        why: String,
        locus: Option<Locus>,
        stage: Stage,
        steps: usize,
    ) -> usize {
        let picked = self.script.get(self.taken.len()).copied().unwrap_or(0).min(options.saturating_sub(1));
        self.taken.push(Choice { options, picked, why, locus, steps, stage });
        picked
    }

    /// The script of the next run, or `None` when every combination was seen.
    fn next_script(&self) -> Option<Vec<usize>> {
        let last = self.taken.iter().rposition(|c| c.picked + 1 < c.options)?;
        let mut script: Vec<usize> = self.taken.iter().take(last).map(|c| c.picked).collect();
        script.push(self.taken.get(last)?.picked + 1);
        Some(script)
    }
}

/// The disposition of an end, without the object and the words.
fn disposition(end: &End) -> u8 {
    match end {
        End::Delivered { .. } => 0,
        End::Sent { .. } => 1,
        End::Dropped { .. } => 2,
        End::Rejected { .. } => 3,
        End::NoSocket { .. } => 4,
        End::Unroutable { .. } => 5,
        End::Unresolved { .. } => 6,
        End::Stolen { .. } => 7,
        End::Insufficient { .. } => 8,
    }
}

/// Runs `walk` for every combination of open points. One disposition: the first path, with what was left open as
/// an assumption. Several: a path that ends in `Insufficient` at the point that decides.
pub(crate) fn explore(mut walk: impl FnMut(&mut Oracle) -> Path) -> Path {
    let mut oracle = Oracle::default();
    let mut first = walk(&mut oracle);
    let mut open: Vec<Choice> = oracle.taken.clone();
    let first_choices = oracle.taken.clone();
    let mut others: Vec<String> = Vec::new();
    for run in 1.. {
        let Some(script) = oracle.next_script() else { break };
        if run >= MAX_RUNS {
            let point = first_choices.first().cloned();
            return undecided(first, point, "more open points than can be explored");
        }
        oracle = Oracle { script, taken: Vec::new() };
        let path = walk(&mut oracle);
        if disposition(&path.end) != disposition(&first.end) {
            let at = first_choices.iter().zip(&oracle.taken).position(|(a, b)| a.picked != b.picked);
            let point = at.and_then(|i| first_choices.get(i)).cloned();
            return undecided(first, point, "");
        }
        if path.end != first.end {
            let other = crate::text::end_text(&path.end);
            if !others.contains(&other) {
                others.push(other);
            }
        }
        for choice in &oracle.taken {
            if !open.iter().any(|c| c.why == choice.why) {
                open.push(choice.clone());
            }
        }
    }
    let mut whys: Vec<String> = Vec::new();
    for choice in open {
        if !whys.contains(&choice.why) {
            whys.push(choice.why);
        }
    }
    for why in whys {
        first.assumptions.push(format!("not known: {why}; the packet fares alike either way"));
    }
    if !others.is_empty() {
        others.truncate(4);
        first.assumptions.push(format!("it may also end: {}", others.join("; ")));
    }
    first
}

fn undecided(mut path: Path, point: Option<Choice>, note: &str) -> Path {
    let (why, locus, stage, steps) = match point {
        Some(c) => (c.why, c.locus, c.stage, c.steps),
        None => (note.to_string(), None, Stage::Routing, path.steps.len()),
    };
    let what = if note.is_empty() || note == why { why } else { format!("{why} ({note})") };
    path.steps.truncate(steps);
    path.steps.push(Step {
        stage,
        text: format!("insufficient information: {what}"),
        locus: locus.clone(),
        action: Action::Unknown { what: what.clone() },
        passed: Vec::new(),
    });
    path.end = End::Insufficient { what, locus };
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use netwhy_facts::{Flow, Proto};

    fn path(end: End) -> Path {
        let flow = Flow {
            proto: Proto::Tcp,
            src: None,
            sport: None,
            dst: "203.0.113.1".parse().unwrap(),
            dport: 80,
            mark: 0,
            uid: None,
            dev: None,
        };
        let packet = Packet::first_of(&flow, "198.51.100.1".parse().unwrap(), 40000);
        Path { finally: packet.clone(), packet, steps: vec![], end, assumptions: vec![], ct: None }
    }
    fn dropped(n: u32) -> End {
        End::Dropped { locus: Locus::Nexthop { id: n } }
    }
    fn sent() -> End {
        End::Sent { dev: "eth0".into(), next_hop: None }
    }
    fn ask(o: &mut Oracle, why: &str) -> bool {
        o.choose(2, why.into(), None, Stage::Input, 0) == 1
    }

    #[test]
    fn open_points_that_do_not_matter_become_assumptions() {
        let mut runs = 0;
        let p = explore(|o| {
            runs += 1;
            let (_, _) = (ask(o, "a"), ask(o, "b"));
            path(sent())
        });
        assert_eq!(runs, 4);
        assert_eq!(p.end, sent());
        assert_eq!(p.assumptions.len(), 2);
    }

    #[test]
    fn a_deciding_point_is_named() {
        let p = explore(|o| {
            ask(o, "harmless");
            if ask(o, "deciding") { path(dropped(1)) } else { path(sent()) }
        });
        match p.end {
            End::Insufficient { what, .. } => assert_eq!(what, "deciding"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_ways_to_drop_are_still_a_drop() {
        let p = explore(|o| path(dropped(ask(o, "which").into())));
        assert_eq!(p.end, dropped(0));
        assert!(p.assumptions.iter().any(|a| a.contains("may also end")));
    }

    #[test]
    fn too_many_points_end_in_insufficient() {
        let p = explore(|o| {
            for i in 0..12 {
                ask(o, &format!("p{i}"));
            }
            path(sent())
        });
        assert!(matches!(p.end, End::Insufficient { .. }));
    }
}
